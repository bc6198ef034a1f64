/* Connections into a container's network. */
#ifndef BERTH_ENGINE_LOCAL_DIAL_H
#define BERTH_ENGINE_LOCAL_DIAL_H

#include "engine/local/private.h"

int local_dial(Engine *engine, const char *id, uint16_t port, int *ret_fd, Error **err);

#endif
