/* What x-berth.backup says of a database: read from a project's canonical model, by the keeper and by verbs alike. A service's
 * word wins over the project's, member by member. */
#ifndef BERTH_OPERATE_BACKUP_SETTINGS_H
#define BERTH_OPERATE_BACKUP_SETTINGS_H

#include <jansson.h>

#include "base/cron.h"

/* The member key of x-berth.backup; key NULL: all of it, of one level. Borrowed; NULL: not said. */
const json_t *backup_setting_of(const json_t *model, const char *service, const char *key);
/* Nothing said is yes. */
bool backup_is_wanted(const json_t *model, const char *service);
/* What is kept here ("local") or in the copy elsewhere ("offsite"), as retention_policy_parse takes it: a new reference.
 * Not said: seven days here, thirty there. */
json_t *backup_keep_of(const json_t *model, const char *service, const char *place);

#define OFFSITE_INTERVAL_NS (INT64_C(60) * 1000000000)
#define OFFSITE_INTERVAL    "1m" /* the same, as people write it */

/* x-berth.backup.offsite, ready for use. */
typedef struct OffsiteSettings {
        json_t *copy; /* as location_parse takes it, paths absolute */
        char *key;    /* path of the key's file; NULL: not encrypted */
        json_t *keep;
        int64_t max_rate;    /* bytes a second; 0: as fast as it goes */
        int64_t interval_ns; /* between two copies; 0: by cron */
        Cron cron;
        Timezone *timezone; /* of cron; NULL without */
} OffsiteSettings;

/* What the key says: a place, or a map that names one. */
bool offsite_names_place(const json_t *words);
void offsite_settings_done(OffsiteSettings *settings);
#define _cleanup_offsite_settings_ _cleanup_(offsite_settings_done)

/* False: the project says nothing of a copy elsewhere for this service, or "off". Paths are taken from working_dir; the name of
 * a secret stands for its file. ERROR_INVALID where that secret has none. */
int offsite_settings_read(const json_t *model, const char *working_dir, const char *service, OffsiteSettings *ret,
                          bool *ret_said, Error **err);

#endif
