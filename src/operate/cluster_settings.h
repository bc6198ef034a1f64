/* What is changed in a user's cluster, and how it is taken back. <repository>/settings.json remembers, before anything
 * changes, what postgresql.auto.conf said; `berth status` lists it and `berth release` takes all of it back. */
#ifndef BERTH_OPERATE_CLUSTER_SETTINGS_H
#define BERTH_OPERATE_CLUSTER_SETTINGS_H

#include "operate/cluster_record.h"
#include "postgres/connect.h"
#include "repository/storage.h"

/* ALTER SYSTEM SET name = value, and the server reads it. Remembers first, durably. For settings that need no restart. */
int cluster_setting_set(PGconn *sql, const char *repository_path, const char *name, const char *value, Error **err);

typedef enum SettingEnd {
        SETTING_WAS_NOT_OURS, /* nothing is remembered, or it was taken back before */
        SETTING_TAKEN_BACK,
        SETTING_CHANGED_SINCE, /* somebody has set another value: it stays */
} SettingEnd;

/* Puts back what was there before. *ret_end may be NULL. */
int cluster_setting_take_back(PGconn *sql, const char *repository_path, const char *name, SettingEnd *ret_end,
                              Error **err);

/* Out of postgresql.auto.conf, whoever set it, and whatever is remembered. */
int cluster_setting_reset(PGconn *sql, const char *name, Error **err);

/* The slot that is made in it; NULL: it is dropped. */
int cluster_settings_note_slot(const char *repository_path, const char *slot, Error **err);

/* What postgresql.auto.conf says; NULL: nothing. The caller's. */
int cluster_setting_written(PGconn *sql, const char *name, char **ret, Error **err);

/* The way to a copy elsewhere and back: a cluster that comes back from there has the changed settings in its files, and whoever runs it
 * then must be able to say so and to take them back. Only what base backups carry goes along: neither the slot nor
 * synchronous_standby_names. Nothing is written where it says the same already. */
int cluster_settings_send(const char *repository_path, Storage *to, Error **err);
/* Where nothing is remembered here yet; a copy that has none is none to complain of. */
int cluster_settings_fetch(Storage *from, const char *repository_path, Error **err);

#endif
