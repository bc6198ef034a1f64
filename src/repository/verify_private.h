/* What the parts of a verification share. */
#ifndef BERTH_REPOSITORY_VERIFY_PRIVATE_H
#define BERTH_REPOSITORY_VERIFY_PRIVATE_H

#include <pthread.h>

#include "repository/chunk.h"
#include "repository/verify.h"

typedef struct Verification {
        Repository *repository;
        const WorkProgress *progress;
        unsigned threads;
        pthread_mutex_t lock; /* of all below */
        VerifyReport *report;
        ChunkIndex good; /* chunks that were read and are right, and where */
        char **missing;  /* keys of segments that are missing within the log; a strv */
        Error *failure;  /* what keeps it from going on */
        uint64_t bytes_total;
} Verification;

/* Looks at everything: verify_run's work. list is empty, and gets the backups; report gets the rest. */
int verify_look(Verification *verification, BackupList *list, Error **err);
void verification_init(Verification *verification, Repository *repository, unsigned threads,
                       const WorkProgress *progress, VerifyReport *report);
void verification_done(Verification *verification);
#define _cleanup_verification_ _cleanup_(verification_done)

/* From any thread. */
void verify_fault(Verification *verification, const char *object, const char *format, ...) _printf_(3, 4);
/* An error that came up while object was read: damage becomes a fault (0), everything else ends the verification. Takes
 * *failure. */
int verify_judge(Verification *verification, const char *object, Error **failure);
/* Whether to stop: an earlier failure, or the user's wish, which becomes one. */
bool verify_stopped(Verification *verification);
void verify_count_bytes(Verification *verification, uint64_t bytes);

/* Every pack, into verification->good. */
int verify_packs(Verification *verification, Error **err);
/* One segment: that it can be read and is what its name says. ERROR_CORRUPT, ERROR_NOT_FOUND. */
int verify_segment(Repository *repository, const WalSegment *segment, uint32_t segment_bytes, Error **err);
/* Every segment and history, and gaps between them. backups: those that are sound. */
int verify_log(Verification *verification, const BackupList *backups, Error **err);

#endif
