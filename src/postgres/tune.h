/* Settings of a server sized to its machine, each with its reason. Pure: facts in, settings out.
 * Sources: PostgreSQL's documentation ("Resource Consumption", "WAL Configuration") and what its community has found to
 * hold on ordinary machines. What PostgreSQL sizes well by itself (wal_buffers, autovacuum's costs) is left alone. */
#ifndef BERTH_POSTGRES_TUNE_H
#define BERTH_POSTGRES_TUNE_H

#include "base/error.h"

typedef enum DiskKind { DISK_UNKNOWN, DISK_SOLID, DISK_ROTATING } DiskKind;

typedef struct TuneFacts {
        int major;             /* of PostgreSQL */
        uint64_t memory_bytes; /* what the server may use: the container's limit, else the machine's memory */
        int processors;
        DiskKind disk;
        uint64_t disk_free_bytes; /* where the data lives; 0: unknown */
        int max_connections;      /* 0: 100 */
} TuneFacts;

typedef struct TuneSetting {
        const char *name;
        char *value;  /* as postgresql.conf has it, quoted where it must be */
        char *reason; /* a short sentence without its full stop */
} TuneSetting;

typedef struct TuneResult {
        TuneSetting *settings;
        size_t length;
} TuneResult;

void tune_result_done(TuneResult *result);
#define _cleanup_tune_result_ _cleanup_(tune_result_done)

/* Memory (the smaller of the machine's and this cgroup's limit), processors, kind and free space of the disk that holds
 * path (or its nearest existing parent). */
int tune_facts_of_machine(const char *path, int major, TuneFacts *ret, Error **err);
void tune(const TuneFacts *facts, TuneResult *ret);
/* A fragment of postgresql.conf: "name = value  # reason", owned by the caller. */
char *tune_to_configuration(const TuneResult *result);
/* The text of a postgresql.conf with these values: lines that set another one are replaced, what is missing comes at the end,
 * all else stays as it is. *ret_changes (a strv): "name: before -> now (reason)" each; NULL: there was nothing to change.
 * Owned by the caller. */
char *tune_update(const char *text, const TuneResult *result, char ***ret_changes);

#endif
