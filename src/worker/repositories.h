/* What jobs on repositories share: opening them, here or elsewhere, as a job's parameters say. */
#ifndef BERTH_WORKER_REPOSITORIES_H
#define BERTH_WORKER_REPOSITORIES_H

#include "repository/copy.h"
#include "repository/prune.h"
#include "worker/job.h"

/* A repository and what it needs to be open. */
typedef struct Opened {
        Repository *repository;
        BackupKey *key;
} Opened;

void opened_done(Opened *opened);
#define _cleanup_opened_ _cleanup_(opened_done)

/* The parameter "key", the path of a key's file (and "make_key": it is made where it is absent). None: *ret stays NULL. */
int job_load_key(const Job *job, BackupKey **ret, Error **err);
/* The storage below folder of the parameter "copy". */
int job_open_storage(const Job *job, const char *folder, Storage **ret, Error **err);
int job_open_copy(const Job *job, const char *folder, Opened *ret, Error **err);
/* "repository", a path on this machine, or else the copy in "folder". */
int job_open_either(const Job *job, Opened *ret, Error **err);

/* The parameter "keep". Removing wants to be told (required); a copy takes all where nothing is said. */
int job_read_policy(const Job *job, bool required, RetentionPolicy *ret, Error **err);
int job_prune(const Job *job, Repository *repository, bool dry_run, PruneReport *report, Error **err);

#endif
