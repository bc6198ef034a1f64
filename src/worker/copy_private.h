/* The copying of one repository, which repository-copy does by hand and offsite by itself. */
#ifndef BERTH_WORKER_COPY_PRIVATE_H
#define BERTH_WORKER_COPY_PRIVATE_H

#include "worker/repositories.h"

#define COPIES_FORMAT 1
#define OWNER_FORMAT  1
/* The project's files of a copy: "project/20261121T153012Z.tar.zst". */
#define BUNDLE_FOLDER "project"
#define BUNDLE_ENDING ".tar.zst"

/* "<project>/<service>/<system identifier>": where a repository lies in a copy; the caller's. */
char *copy_folder(const Repository *repository);

typedef struct CopyWork {
        Opened from, to;
        char *copies_path; /* copies.json of from */
        json_t *copies;    /* what it says; NULL: nothing */
        int lock_fd;
        CopyReport report;
        PruneReport pruned;
} CopyWork;

void copy_work_done(CopyWork *work);
#define _cleanup_copy_work_ _cleanup_(copy_work_done)

/* Opens the repository in path and its copy, which is begun where there was none, and makes sure that it is this
 * installation's to write: ERROR_CONFLICT where another run is at work, ERROR_EXISTS where another installation writes it (take_over: it is taken from
 * it). ERROR_UNAVAILABLE where there was a copy and is none. */
int copy_work_open(const Job *job, const char *path, bool take_over, CopyWork *ret, Error **err);
/* Brings it up to date by the policy "keep". */
int copy_work_run(const Job *job, CopyWork *work, bool log_only, Error **err);
/* Writes copies.json: url, finished_ns, what was sent, and all of more (taken; may be NULL). */
int copy_work_remember(const Job *job, const CopyWork *work, json_t *more, Error **err);
json_t *copy_report_to_json(const CopyReport *report);

/* Makes sure that this installation writes the copy, or, where nobody does, makes it so. */
int copy_claim(const Job *job, Repository *to, bool take_over, Error **err);

#endif
