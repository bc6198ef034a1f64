/* A folder of migrations as golang-migrate names them: VERSION_NAME.up.EXT and VERSION_NAME.down.EXT. What does not
 * match is skipped; the order is that of the numbers. */
#ifndef BERTH_POSTGRES_MIGRATE_SOURCE_H
#define BERTH_POSTGRES_MIGRATE_SOURCE_H

#include "base/error.h"
#include "base/strbuf.h"
#include "base/vector.h"

typedef struct MigrationFile {
        char *file; /* name in the folder; NULL: this half is missing */
        char *name; /* what stands between version and direction */
} MigrationFile;

typedef struct Migration {
        uint64_t version;
        MigrationFile up, down;
} Migration;

typedef struct MigrationSource {
        char *folder;
        VECTOR(Migration) migrations; /* by version */
} MigrationSource;

void migration_source_done(MigrationSource *source);
#define _cleanup_migration_source_ _cleanup_(migration_source_done)

/* Takes "VERSION_NAME.up.EXT" apart. *ret_name is the caller's. */
bool migration_parse_name(const char *file, uint64_t *ret_version, bool *ret_up, char **ret_name);
/* Reads the folder. ERROR_EXISTS: "duplicate migration file: F". */
int migration_source_open(const char *folder, MigrationSource *ret, Error **err);
/* "file://PATH", PATH absolute or relative to the working directory; *ret_folder is the caller's. */
int migration_source_folder_of_url(const char *url, char **ret_folder, Error **err);
/* Index of a version, or -1. */
ssize_t migration_source_find(const MigrationSource *source, uint64_t version);
/* The text of a migration without a byte order mark. ERROR_INVALID where it holds NUL bytes. */
int migration_source_read(const MigrationSource *source, const char *file, Strbuf *ret, Error **err);

#endif
