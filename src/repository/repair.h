/* Mends what a verification finds damaged or missing in a repository from another one of the same cluster: this machine's from
 * its copy elsewhere, or the other way round. Whatever is fetched is checked before it takes a place. On this machine the
 * damaged objects are kept, below damaged/<time>/; elsewhere they are replaced.
 *
 * Chunks are found by their names, in whichever pack the other repository has them: those of a damaged pack that a backup
 * needs are written into a new one. May be killed anywhere and run again. The caller holds the lock of the repository of this
 * machine and keeps others off the copy. */
#ifndef BERTH_REPOSITORY_REPAIR_H
#define BERTH_REPOSITORY_REPAIR_H

#include "repository/verify.h"

typedef struct RepairReport {
        char **mended;  /* objects; a strv */
        char **failed;  /* "<object>: <why>", what the other repository could not give; a strv */
        char *kept;     /* folder below the repository that has the damaged objects; NULL: none were kept */
        uint64_t bytes; /* fetched */
} RepairReport;

void repair_report_done(RepairReport *report);
#define _cleanup_repair_report_ _cleanup_(repair_report_done)

/* *ret_after: what a verification says afterwards: its faults are what could not be mended. threads as verify_run has them. */
int repository_repair(Repository *repository, Repository *source, unsigned threads, const WorkProgress *progress,
                      RepairReport *ret, VerifyReport *ret_after, Error **err);

#endif
