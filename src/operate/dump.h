/* Logical backups by the server's own pg_dump and pg_dumpall, inside its container. What they write lies in a folder of
 * its own beside its place until all of it is there, read back and synced; then it is moved: a dump is whole or absent.
 * What a killed one left is removed by the next dump into that folder. */
#ifndef BERTH_OPERATE_DUMP_H
#define BERTH_OPERATE_DUMP_H

#include "engine/engine.h"

typedef enum DumpFormat { DUMP_CUSTOM, DUMP_DIRECTORY, DUMP_PLAIN } DumpFormat;

typedef struct DumpOptions {
        Engine *engine;
        const ContainerInfo *container; /* it runs */
        DumpFormat format;
        const char *database; /* NULL: POSTGRES_DB */
        bool all;             /* every database and the roles: a folder with one of each, or, DUMP_PLAIN, one file */
        bool roles;           /* the roles, too: in PATH.roles.sql, or, DUMP_DIRECTORY, in PATH/roles.sql */
        bool no_role_passwords;
        char *const *tables, *const *schemas; /* patterns; NULL: all */
        char *const *arguments;               /* more for pg_dump; NULL */
        int jobs;                             /* DUMP_DIRECTORY: at a time; 0: as many as processors, four at most */
} DumpOptions;

typedef struct DumpResult {
        char *path, *roles_path; /* roles_path: NULL where they have no file of their own */
        uint64_t size_bytes;
} DumpResult;
void dump_result_done(DumpResult *result);
#define _cleanup_dump_result_ _cleanup_(dump_result_done)

/* "custom", "c", "directory", …: as pg_dump has them. */
bool dump_format_parse(const char *word, DumpFormat *ret);
/* True where the dump is a folder. */
bool dump_is_folder(const DumpOptions *options);

/* path NULL: <project>-<service>[-<database>]-<UTC time> with an extension, in the working directory. A folder that
 * exists: by that name in it. A file that exists is replaced, mode 0600. ERROR_FAILED: what pg_dump said;
 * ERROR_CANCELLED by progress->cancel_fd. progress->bytes is called from another thread. */
int dump_to_path(const DumpOptions *options, const char *path, const EngineProgress *progress, DumpResult *ret,
                 Error **err);
/* As it comes; ERROR_USAGE for what would be a folder or two files. */
int dump_to_stream(const DumpOptions *options, int fd, const EngineProgress *progress, DumpResult *ret, Error **err);

#endif
