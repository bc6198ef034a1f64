/* A storage that reads ahead: who reads small pieces one behind the other asks the storage behind it seldom. Reading only; for
 * one thread at a time. */
#ifndef BERTH_REPOSITORY_STORAGE_AHEAD_H
#define BERTH_REPOSITORY_STORAGE_AHEAD_H

#include "repository/storage.h"

/* inner is borrowed. */
Storage *storage_ahead_create(Storage *inner);

#endif
