/* Looks at everything in a repository: that every object is there, whole, and what its name or its checksum says, that every
 * backup has all it refers to, and that the log has no gap. Reads everything, changes nothing. */
#ifndef BERTH_REPOSITORY_VERIFY_H
#define BERTH_REPOSITORY_VERIFY_H

#include <jansson.h>

#include "base/progress.h"
#include "repository/backup_record.h"
#include "repository/wal_archive.h"

typedef struct VerifyFault {
        char *object; /* "packs/….pack", "backups/20261121T153012Z", "wal/00000001/…" */
        char *message;
} VerifyFault;

typedef struct VerifyReport {
        VECTOR(VerifyFault) faults;                       /* by object */
        char **damaged;                                   /* backups that cannot be restored whole; a strv of ids */
        uint64_t backups, packs, chunks, segments, bytes; /* looked at */
        int64_t finished_ns;
} VerifyReport;

void verify_report_done(VerifyReport *report);
#define _cleanup_verify_report_ _cleanup_(verify_report_done)

/* Faults are in the report; an error is something that kept it from looking (ERROR_UNAVAILABLE, ERROR_CANCELLED). threads 0:
 * one for each processor. May run beside a backup and the receiver, not beside prune. */
int verify_run(Repository *repository, unsigned threads, const WorkProgress *progress, VerifyReport *ret, Error **err);

/* verify.json of the repository: the last result, for listings and for retention. */
int verify_report_save(Repository *repository, const VerifyReport *report, Error **err);
/* ERROR_NOT_FOUND where it was never verified. */
int verify_report_load(Repository *repository, VerifyReport *ret, Error **err);
/* Ids of packs in which the last verification found damage; a strv, NULL where there are none or it never was. */
char **verify_damaged_packs(Storage *storage);
json_t *verify_report_to_json(const VerifyReport *report); /* a new reference */

#endif
