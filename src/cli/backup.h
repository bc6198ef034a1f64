/* Parts of the verb backup. */
#ifndef BERTH_CLI_BACKUP_H
#define BERTH_CLI_BACKUP_H

#include <jansson.h>

#include "cli/scope.h"
#include "operate/backup_settings.h"

extern const Command command_backup_ls, command_backup_show, command_backup_rm;
extern const Command command_backup_verify, command_backup_prune, command_backup_copy, command_backup_key;
extern const Command command_backup_export;

/* Opens the scope and finds the database's service: the one named, or the only one; one that is stopped or removed but has
 * backups will do. *ret_service is the caller's. */
int backup_scope(Invocation *invocation, const char *name, Scope *ret, char **ret_service, Error **err);

/* In the zone of whoever reads it; "" for none. The caller's. */
char *backup_local_time(int64_t ns);
/* rows as the worker's job "backups" gives them: a line is drawn for each cluster, from its first point that can be restored to its
 * last, with backups and gaps. */
void backup_print_timelines(const json_t *rows);

/* The repositories of the argument's service that have backups, the newest last; a strv. Both are the caller's. */
int backup_repositories(Invocation *invocation, char ***ret, char **ret_service, Error **err);
/* Of a service that backup_scope has found. */
int backup_repositories_of(Invocation *invocation, const Scope *scope, const char *service, char ***ret, Error **err);
/* --keep as the worker takes it, into params: "7d", or counts like "daily=7,weekly=4". */
int backup_read_keep(const Invocation *invocation, json_t *params, Error **err);
#define BACKUP_KEEP_OPTION                                                                                    \
        { "keep", 0, OPTION_TEXT, "HOW-LONG",                                                                 \
          "What is kept: a time like 7d, or time=7d,last=3,daily=7,weekly=4,monthly=6 or a part of it" }

/* ---- elsewhere ---- */

/* How to reach a place, for commands that are told on their command line. */
#define LOCATION_OPTIONS                                                                                      \
        { "endpoint", 0, OPTION_TEXT, "URL", "Of an S3 server that is not Amazon's" },                        \
        { "region", 0, OPTION_TEXT, "NAME", "Of S3 (default: us-east-1)" },                                   \
        { "credentials", 0, OPTION_TEXT, "FILE", "Of S3, as ~/.aws/credentials has them, or KEY:SECRET" },    \
        { "identity", 0, OPTION_TEXT, "FILE", "Private key for SFTP" },                                       \
        { "known-hosts", 0, OPTION_TEXT, "FILE", "Host keys for SFTP" }

/* {"url", …} of url and those options: a new reference. */
json_t *location_from_options(const Invocation *invocation, const char *url);
/* The option's path, absolute; the caller's; NULL where it is not given. */
char *path_from_option(const Invocation *invocation, const char *option);

/* What x-berth.backup.offsite says of a service: by the compose file, or, where there is none, as the project was last
 * brought up. *ret_said false: nothing. */
int offsite_settings_of(const Invocation *invocation, const Scope *scope, const char *service, OffsiteSettings *ret,
                        bool *ret_said, Error **err);
/* Warns of backups past their budget and of copies elsewhere that fail. */
void backup_warn(const Invocation *invocation, const char *project);
/* A line for each copy elsewhere: where it is, up to where, how far behind, and why it fails; and one for backups that are past their
 * budget. */
void offsite_print(const Invocation *invocation, const char *project, const char *service);

#endif
