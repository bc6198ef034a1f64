/* New, empty migration files. */
#ifndef BERTH_POSTGRES_MIGRATE_CREATE_H
#define BERTH_POSTGRES_MIGRATE_CREATE_H

#include "base/error.h"

#define MIGRATE_DEFAULT_FORMAT "20060102150405"

typedef struct MigrateCreate {
        const char *folder;    /* "" or NULL: the working directory */
        const char *extension; /* with or without its dot */
        const char *name;
        bool sequential;    /* continue the highest number */
        int digits;         /* of sequential numbers */
        const char *format; /* Go's time layout, "unix" or "unixNano" */
        const char *zone;   /* a name of the time zone database */
        int64_t now_ns;     /* realtime */
} MigrateCreate;

/* Makes the folder and both files, never over existing ones; *ret_paths are absolute and the caller's. */
int migrate_create(const MigrateCreate *create, char ***ret_paths, Error **err);

#endif
