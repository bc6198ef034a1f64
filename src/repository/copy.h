/* Brings what a repository has, as far as the policy of the copy wants it, to a copy elsewhere, or back. What is there is not
 * sent again. The log goes first and again and again while packs go, since it is what would be lost; then packs, each before
 * its index; then, once every chunk of it is there, a backup's list and last its record. So a copy never has a backup that
 * it could not restore. May be killed anywhere and run again, however long ago the last time was.
 *
 * Takes no lock of the repository it reads: backups, the receiver and prune go on beside it. */
#ifndef BERTH_REPOSITORY_COPY_H
#define BERTH_REPOSITORY_COPY_H

#include "base/progress.h"
#include "repository/retention.h"

typedef struct CopyReport {
        uint64_t backups, packs, segments; /* sent */
        uint64_t bytes;
        uint64_t postponed; /* backups whose chunks were changed around meanwhile: the next run has them */
        /* All of the log that was here at copied_ns (realtime) is there; 0: none was. It ends at that place. */
        int64_t copied_ns;
        Lsn copied_lsn;
        uint32_t timeline;
} CopyReport;

typedef struct CopyOptions {
        RetentionPolicy policy; /* of the copy: what it would give up is not sent */
        int64_t now_ns;
        int64_t log_every_ns; /* while packs go; 0: ten seconds */
        uint64_t max_rate;    /* bytes a second; 0: as fast as it goes */
        /* The log has been sent once more: copied_ns, copied_lsn and timeline of the report are true from now on. NULL. */
        void (*log_sent)(void *context, const CopyReport *report);
        void *context;
        /* This backup alone, and all of the log that leads on from it: what can be reached from it can be had there. NULL: what policy
         * says. */
        const char *only_backup;
        bool log_only; /* no backup is new: what is there is not even looked through */
} CopyOptions;

/* Adds to *report, also when it fails. ERROR_UNAVAILABLE: try again later. */
int repository_copy(Repository *from, Repository *to, const CopyOptions *options, const WorkProgress *progress,
                    CopyReport *report, Error **err);

#endif
