/* What a job of berth-worker is given, and how it tells of its progress; see state/worker.h for the other side. */
#ifndef BERTH_WORKER_JOB_H
#define BERTH_WORKER_JOB_H

#include <jansson.h>

#include "image/progress.h"
#include "postgres/connect.h"
#include "state/layout.h"

typedef struct Job {
        const Layout *layout;
        const json_t *params;
        int cancel_fd; /* readable: give up with ERROR_CANCELLED */
} Job;

typedef struct JobEntry {
        const char *name, *summary;
        /* *ret: the result, an object; left alone: an empty one. */
        int (*run)(const Job *job, json_t **ret, Error **err);
        bool folderless; /* leaves the installation's folders alone: for everybody, and where there are none yet */
} JobEntry;

extern const JobEntry job_table[];
extern const size_t job_table_length;

/* Writes one event; takes the reference. From any thread. */
void job_emit(json_t *event);
/* An ImageProgress that emits {"status"}, {"what", "done", "total"} and {"warning"}. */
ImageProgress job_progress(const Job *job);
/* A string among the parameters; ERROR_USAGE where it is missing. *ret is borrowed. */
int job_require(const Job *job, const char *key, const char **ret, Error **err);

/* The database of "target", as database_target_to_json wrote it; its texts are the parameters'. */
PostgresTarget job_target(const Job *job);
/* Locks the file "lock" of a place that is being filled: whoever clears away what was cut off waits for this. -1: none is wanted. */
int job_lock_place(const Job *job, int *ret_fd, Error **err);

int job_alert(const Job *job, json_t **ret, Error **err);
int job_digests(const Job *job, json_t **ret, Error **err);
int job_pull(const Job *job, json_t **ret, Error **err);
int job_load(const Job *job, json_t **ret, Error **err);
int job_import(const Job *job, json_t **ret, Error **err);
int job_served_certificate(const Job *job, json_t **ret, Error **err);
int job_certificate(const Job *job, json_t **ret, Error **err);
int job_init(const Job *job, json_t **ret, Error **err);
int job_backup(const Job *job, json_t **ret, Error **err);
int job_release(const Job *job, json_t **ret, Error **err);
int job_status(const Job *job, json_t **ret, Error **err);
int job_synchronous_off(const Job *job, json_t **ret, Error **err);
int job_restore(const Job *job, json_t **ret, Error **err);
int job_reflink(const Job *job, json_t **ret, Error **err);
int job_restore_plan(const Job *job, json_t **ret, Error **err);
int job_recover(const Job *job, json_t **ret, Error **err);
int job_backups(const Job *job, json_t **ret, Error **err);
int job_backup_remove(const Job *job, json_t **ret, Error **err);
int job_repository_verify(const Job *job, json_t **ret, Error **err);
int job_repository_describe(const Job *job, json_t **ret, Error **err);
int job_repository_repair(const Job *job, json_t **ret, Error **err);
int job_repository_prune(const Job *job, json_t **ret, Error **err);
int job_repository_copy(const Job *job, json_t **ret, Error **err);
int job_repository_fetch(const Job *job, json_t **ret, Error **err);
int job_offsite(const Job *job, json_t **ret, Error **err);
int job_offsite_look(const Job *job, json_t **ret, Error **err);
int job_offsite_unpack(const Job *job, json_t **ret, Error **err);
int job_offsite_claim(const Job *job, json_t **ret, Error **err);
int job_backup_key(const Job *job, json_t **ret, Error **err);

#endif
