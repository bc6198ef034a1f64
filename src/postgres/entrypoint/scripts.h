/* What runs inside a new cluster: the database, then the files of /docker-entrypoint-initdb.d. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_SCRIPTS_H
#define BERTH_POSTGRES_ENTRYPOINT_SCRIPTS_H

#include "postgres/entrypoint/settings.h"

#define INIT_FILES_DIR "/docker-entrypoint-initdb.d"

/* The files in the order of the locale, as a shell expands "dir/[*]": hidden ones left out; where there are none, the
 * pattern itself. Fails where the folder cannot be read. *ret is the caller's. */
int scripts_list(const char *folder, char ***ret, Error **err);
/* True where every file would be named and ignored. */
bool scripts_do_nothing(char *const *files);
/* Creates the database where it is absent. environment is the clients'. */
int scripts_create_database(const Settings *settings, char *const *environment, int *ret_status, Error **err);
/* Runs every file by its kind: .sh executed or sourced, .sql, .sql.gz, .sql.xz, .sql.zst, others named and ignored.
 * The first failure ends it, with its exit status in *ret_status. name is printed before each line. */
int scripts_run(const Settings *settings, const char *name, char *const *files, char *const *environment,
                int *ret_status, Error **err);

#endif
