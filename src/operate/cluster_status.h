/* How the protection of a running cluster stands, as its server says. */
#ifndef BERTH_OPERATE_CLUSTER_STATUS_H
#define BERTH_OPERATE_CLUSTER_STATUS_H

#include <jansson.h>

#include "postgres/connect.h"

/* *ret: {"version", "system_identifier", "flush_lsn", "in_recovery", "slot": null or {"active", "wal_status", "kept_bytes",
 * "left_bytes" (until max_slot_wal_keep_size loses it; absent: no limit), "room_bytes" (on the disk of the log; absent: not seen)}, "limit": max_slot_wal_keep_size, "sender": null or
 * {"state", "sync_state", "flush_lsn"}, "settings": {name: value} of those in names (a JSON object's keys)}. */
int cluster_status(const PostgresTarget *target, const char *slot, const json_t *names, json_t **ret, Error **err);

#endif
