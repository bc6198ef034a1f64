/* Takes away what nothing needs any more: backups and log that the policy gives up, chunks that no backup refers to, and
 * what interrupted work left. All under the repository's lock, which the caller holds.
 *
 * May be killed anywhere and run again: a record goes before what it refers to, and a pack that is rewritten goes once its
 * successor and that one's index are durable. */
#ifndef BERTH_REPOSITORY_PRUNE_H
#define BERTH_REPOSITORY_PRUNE_H

#include "base/progress.h"
#include "repository/retention.h"

typedef struct PruneReport {
        char **backups;    /* removed; a strv */
        uint64_t segments; /* of the log, removed */
        uint64_t packs_removed, packs_rewritten;
        uint64_t leftovers; /* objects of interrupted work, removed */
        uint64_t freed_bytes;
} PruneReport;

void prune_report_done(PruneReport *report);
#define _cleanup_prune_report_ _cleanup_(prune_report_done)

typedef struct PruneOptions {
        RetentionPolicy policy;
        int64_t now_ns;
        char *const *damaged; /* ids of backups that are known to be damaged; a strv, may be NULL */
        bool backup_follows;  /* see retention.h */
        bool dry_run;         /* say only: packs are then not looked at */
} PruneOptions;

/* Expiry, then chunks. Adds to *report also when it fails. ERROR_CORRUPT where a backup that stays cannot be read: its chunks
 * are not known, so none is removed; the hint names it. */
int prune_run(Repository *repository, const PruneOptions *options, const WorkProgress *progress, PruneReport *report,
              Error **err);
/* Chunks and leftovers alone. */
int prune_chunks(Repository *repository, const WorkProgress *progress, PruneReport *report, Error **err);

#endif
