/* The migration command on a database's container: over loopback inside the container's network, as the user that the
 * container was given, or as the owner that x-berth names. Neither an address nor a password stands on a command line
 * or in an environment. */
#ifndef BERTH_OPERATE_MIGRATION_H
#define BERTH_OPERATE_MIGRATION_H

#include <jansson.h>

#include "base/process.h"
#include "compose/xberth.h"
#include "engine/engine.h"
#include "state/layout.h"

typedef struct MigrationCommand {
        const Layout *layout;
        const ContainerInfo *container; /* it runs */
        const XBerth *settings;
        const char *folder;        /* of the migrations; NULL: the command needs none (seed) */
        const char *role;          /* that what writes runs as (migration_role); NULL: the container's user */
        const char *role_password; /* NULL: not known */
        bool json;                 /* talk to a program: see postgres/migrate/output.h */
        char *const *arguments;    /* "up", "down", "1", … */
        int stdin_fd, stdout_fd, stderr_fd;
} MigrationCommand;

/* Where migrations are: what x-berth names, below project_folder, else the first of the usual places that exists. make:
 * where there is none, the first of them, which need not exist. ERROR_NOT_FOUND. *ret is the caller's. */
int migration_find_folder(const char *project_folder, const XBerth *settings, bool make, char **ret, Error **err);
/* The folder of seeds, in the same way. NULL where x-berth names none and none of the usual places exists. */
char *migration_find_seeds(const char *project_folder, const XBerth *settings);
/* The first owner among x-berth's roles that has its rights in the service's POSTGRES_DB: what migrations and seeds
 * make belongs to it. NULL where there is none; lives as long as the project. */
const char *migration_role(const Project *project, const Service *service);
/* That role's password; NULL where there is none or its secret cannot be read. The caller's (free_secret). */
char *migration_role_password(const Project *project, const Service *service);
/* The program's path; the caller's. */
char *migration_program(const Layout *layout);
/* Runs it to its end as a program's partner: json and the descriptors are set here. event (NULL: none) is called with
 * each line as it comes; a failure is the program's own, with its place in the file. cancel_fd (-1: none): readable
 * once it is to stop, which it does after the migration that runs. */
typedef void (*MigrationEvent)(void *context, const json_t *event);
int migration_run(const MigrationCommand *command, MigrationEvent event, void *context, int cancel_fd, Error **err);
/* The caller waits. ERROR_UNSUPPORTED where the container's network cannot be entered from here. */
int migration_spawn(const MigrationCommand *command, Process *ret, Error **err);

#endif
