/* The parts of operate/dump.h: the programs (dump_run.c) and the place of what they write (dump_staging.c). */
#ifndef BERTH_OPERATE_DUMP_PRIVATE_H
#define BERTH_OPERATE_DUMP_PRIVATE_H

#include <pthread.h>

#include "operate/dump.h"

/* ---- dump_run.c ---- */

typedef struct DumpRun {
        const DumpOptions *options;
        const EngineProgress *progress;
        char **environment; /* by which the server lets them in */
        char *database;     /* the resolved one */
} DumpRun;

/* Runs a program of the container to its end. folder_fd is its standard input (-1: none), which it reaches as
 * /proc/self/fd/0; it runs as root then, whose folder that is. ERROR_FAILED: its own words. */
int dump_program(const DumpRun *run, char *const *argv, int folder_fd, int output_fd, Error **err);
/* Names of the databases that take connections, templates apart; the caller's. */
int dump_list_databases(const DumpRun *run, char ***ret, Error **err);
/* One database as `name` in the folder (DUMP_DIRECTORY), or to output_fd. */
int dump_one(const DumpRun *run, const char *database, const char *name, int folder_fd, int output_fd, Error **err);
/* pg_dumpall: the roles alone, or all. */
int dump_cluster(const DumpRun *run, bool roles_only, int output_fd, Error **err);
/* Reads back what was written: the table of contents of an archive, the last line of SQL. ERROR_CORRUPT. */
int dump_check_archive(const DumpRun *run, const char *name, int folder_fd, Error **err);
int dump_check_script(const char *tail, size_t length, Error **err);

/* ---- dump_staging.c ---- */

typedef struct DumpStaging {
        char *path;
        int fd; /* locked: nobody takes it for a left-over */
        pthread_t watcher;
        bool watched;
        int stop_fd;
        const EngineProgress *progress;
        const char *what;
} DumpStaging;

#define DUMP_STAGING_INIT                                                                                              \
        {                                                                                                              \
                .fd = -1, .stop_fd = -1                                                                                \
        }

/* Beside target. ERROR_CONFLICT: another dump writes there. */
int dump_staging_open(const char *target, DumpStaging *ret, Error **err);
/* Tells of its size from a thread, until it is closed. */
void dump_staging_watch(DumpStaging *staging, const EngineProgress *progress, const char *what);
/* A new file in it, mode 0600; the descriptor. */
int dump_staging_file(const DumpStaging *staging, const char *name, Error **err);
/* Removes it with what is still in it. */
void dump_staging_close(DumpStaging *staging);
#define _cleanup_dump_staging_ _cleanup_(dump_staging_close)

#endif
