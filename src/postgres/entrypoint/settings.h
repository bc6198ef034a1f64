/* What the environment asks of a PostgreSQL container: POSTGRES_*, their _FILE forms, PGDATA. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_SETTINGS_H
#define BERTH_POSTGRES_ENTRYPOINT_SETTINGS_H

#include "base/error.h"

typedef struct Settings {
        char *data_dir; /* PGDATA */
        char *user, *database;
        char *password;       /* "" where none; erased with the settings */
        char *initdb_args;    /* as written */
        char *waldir;         /* NULL: inside the data folder */
        char *auth_method;    /* NULL: the server's password_encryption */
        char *port;           /* PGPORT or 5432 */
        int major;            /* 0 where it could not be found */
        bool initialised;     /* PG_VERSION is there and not empty */
        char **old_databases; /* data found where an older layout kept it; NULL: none */
} Settings;

void settings_done(Settings *settings);
#define _cleanup_settings_ _cleanup_(settings_done)

/* Reads and completes the environment (file variables are read as the user who calls), and looks at the data folder.
 * Exported afterwards are USER, DB and INITDB_ARGS, as users' scripts expect; _FILE forms are removed. */
int settings_load(Settings *ret, Error **err);
/* Takes what only the first start needs out of the environment, passwords above all. */
void settings_forget_secrets(void);
/* The value of name, or of the file that name_FILE names without its trailing newlines, or fallback. */
int settings_file_variable(const char *name, const char *fallback, char **ret, Error **err);
bool path_is_mount_point(const char *path);

#endif
