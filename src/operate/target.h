/* A database's container as workers and receivers are told of it: {"pid", "data_dir", "user", "password"?}, see
 * postgres/connect.h. */
#ifndef BERTH_OPERATE_TARGET_H
#define BERTH_OPERATE_TARGET_H

#include <jansson.h>

#include "engine/engine.h"

/* A new reference; it may hold a password: hand it on by a descriptor only. */
json_t *database_target_to_json(const ContainerInfo *info);

#endif
