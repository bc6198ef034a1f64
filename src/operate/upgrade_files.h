/* The files of a database server that runs, while a backup of it is under way. */
#ifndef BERTH_OPERATE_UPGRADE_FILES_H
#define BERTH_OPERATE_UPGRADE_FILES_H

#include "base/error.h"

/* Copies the data folder from, which a server may be writing to, into the folder to, which exists: on several threads, by
 * reference where the file system can. Left out is what a server makes anew (the content of pg_wal, of pg_replslot and of
 * what holds for one run only), links and logs. What goes meanwhile is left out too. Owner and mode are the caller's and
 * nothing is synced. */
int upgrade_copy_data(const char *from, const char *to, Error **err);
/* The same for pg_wal alone; what is there already is replaced. */
int upgrade_copy_log(const char *from, const char *to, Error **err);

#endif
