/* What is remembered of a cluster that was changed, <repository>/settings.json, for those that only read it. Format 1:
 * {"settings": {name: {"before": text or null, "ours": [text…], "on": bool}}, "slot": name or absent}. "before": what
 * postgresql.auto.conf said; "ours": what was set; "on": false once it was taken back. */
#ifndef BERTH_OPERATE_CLUSTER_RECORD_H
#define BERTH_OPERATE_CLUSTER_RECORD_H

#include <jansson.h>

#include "base/macros.h"

#define CLUSTER_SETTINGS_FORMAT 1
#define CLUSTER_SETTINGS_FILE   "settings.json"

/* An empty object where there is nothing. A new reference. */
json_t *cluster_settings_load(const char *repository_path);
/* A setting is changed now, or a slot is there. */
bool cluster_settings_hold(const json_t *document);

#endif
