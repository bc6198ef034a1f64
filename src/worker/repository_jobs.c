/* What is done with repositories of backups. Each takes "repository", the path of one of this machine, or "copy" (as
 * location_parse has it), "folder" ("<project>/<service>/<system identifier>" there) and, where it is encrypted, "key", the
 * path of the key's file.
 *
 * repository-verify → verify.json of docs/backup-format.md
 * repository-prune {"keep"?, "dry_run"?} → {"backups", "segments", "packs_removed", "packs_rewritten", "leftovers", "freed_bytes"}
 * repository-copy {"repository", "copy", "key"?, "make_key"?, "keep"?, "prune"?} → {"backups", "packs", "segments", "bytes", "postponed"}
 * repository-fetch {"copy", "folder", "key"?, "into": "<data>/backups/<project>/<service>"} → the same */
#include <inttypes.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "repository/copy.h"
#include "repository/prune.h"
#include "repository/remote/location.h"
#include "repository/verify.h"
#include "state/document.h"
#include "worker/job.h"

#define COPIES_FORMAT 1

/* A repository and what it needs to be open. */
typedef struct Opened {
        Repository *repository;
        BackupKey *key;
} Opened;

static void opened_done(Opened *opened)
{
        repository_free(opened->repository); /* which borrows the key */
        backup_key_free(opened->key);
}
#define _cleanup_opened_ _cleanup_(opened_done)

static int load_key(const Job *job, Opened *ret, Error **err)
{
        const char *path = json_get_string(job->params, "key", NULL);
        _cleanup_free_ char *name = NULL, *warning = NULL;
        WorkProgress progress = job_progress(job);
        int r;

        if (!path)
                return 0;
        if (fs_exists(path) || !json_get_bool(job->params, "make_key", false))
                return backup_key_load(path, &ret->key, err);
        name = xstrndup(path_basename(path), strcspn(path_basename(path), "."));
        r = backup_key_create(path, name, &ret->key, err);
        if (r < 0)
                return r;
        warning = xasprintf("made the key \"%s\" (%s): keep a copy of that file away from this machine, nobody can read the "
                            "encrypted backups without it", path, ret->key->id_text);
        progress_warning(&progress, warning);
        return 0;
}

static int open_storage(const Job *job, const char *folder, Storage **ret, Error **err)
{
        _cleanup_location_ Location location = { 0 };
        int r = location_parse(json_object_get(job->params, "copy"), &location, err);

        return r < 0 ? r : location_open(&location, folder, ret, err);
}

static int open_copy(const Job *job, const char *folder, Opened *ret, Error **err)
{
        Storage *storage;
        int r = load_key(job, ret, err);

        if (r == 0)
                r = open_storage(job, folder, &storage, err);
        return r < 0 ? r : repository_open_elsewhere(storage, ret->key, &ret->repository, err);
}

/* The one of this machine, or else the copy. */
static int open_either(const Job *job, Opened *ret, Error **err)
{
        const char *path = json_get_string(job->params, "repository", NULL), *folder;
        int r = path ? 0 : job_require(job, "folder", &folder, err);

        if (r < 0)
                return r;
        return path ? repository_open(path, &ret->repository, err) : open_copy(job, folder, ret, err);
}

/* ---- verify, prune ---- */

int job_repository_verify(const Job *job, json_t **ret, Error **err)
{
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_opened_ Opened opened = { 0 };
        WorkProgress progress = job_progress(job);
        int r = open_either(job, &opened, err);

        if (r == 0)
                r = verify_run(opened.repository, 0, &progress, &report, err);
        if (r == 0)
                r = verify_report_save(opened.repository, &report, err);
        if (r == 0)
                *ret = verify_report_to_json(&report);
        return r;
}

static json_t *prune_to_json(const PruneReport *report)
{
        return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "backups", json_from_strv(report->backups), "segments",
                         (json_int_t)report->segments, "packs_removed", (json_int_t)report->packs_removed,
                         "packs_rewritten", (json_int_t)report->packs_rewritten, "leftovers",
                         (json_int_t)report->leftovers, "freed_bytes", (json_int_t)report->freed_bytes);
}

/* Removing wants to be told; a copy takes all where nothing is said. */
static int read_policy(const Job *job, bool required, RetentionPolicy *ret, Error **err)
{
        const json_t *keep = json_object_get(job->params, "keep");

        if (!keep && required)
                return error_set(err, ERROR_USAGE, "what is kept is not said");
        *ret = (RetentionPolicy){ .keep_ns = INT64_MAX / 2 };
        return keep ? retention_policy_parse(keep, ret, err) : 0;
}

static int prune(const Job *job, Repository *repository, bool dry_run, PruneReport *report, Error **err)
{
        _cleanup_verify_report_ VerifyReport last = { 0 };
        WorkProgress progress = job_progress(job);
        PruneOptions options = { .now_ns = clock_realtime_ns(), .dry_run = dry_run };
        int r = read_policy(job, true, &options.policy, err);

        if (r < 0)
                return r;
        verify_report_load(repository, &last, NULL); /* never verified: none is known to be damaged */
        options.damaged = last.damaged;
        return prune_run(repository, &options, &progress, report, err);
}

int job_repository_prune(const Job *job, json_t **ret, Error **err)
{
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_opened_ Opened opened = { 0 };
        _cleanup_close_ int lock_fd = -1;
        int r = open_either(job, &opened, err);

        if (r == 0 && opened.repository->path)
                r = repository_lock(opened.repository, &lock_fd, err);
        if (r == 0)
                r = prune(job, opened.repository, json_get_bool(job->params, "dry_run", false), &report, err);
        if (r == 0)
                *ret = prune_to_json(&report);
        return r;
}

/* ---- copy ---- */

static json_t *copy_to_json(const CopyReport *report)
{
        return json_pack("{s:I, s:I, s:I, s:I, s:I}", "backups", (json_int_t)report->backups, "packs",
                         (json_int_t)report->packs, "segments", (json_int_t)report->segments, "bytes",
                         (json_int_t)report->bytes, "postponed", (json_int_t)report->postponed);
}

/* A place that has had a copy and has none now is a missing mount or another's bucket, not a reason to begin anew. */
static int begin_copy(const Job *job, const Repository *repository, const char *folder, const BackupKey *key,
                      const json_t *copies, Error **err)
{
        const char *url = json_get_string(json_object_get(job->params, "copy"), "url", "");
        _cleanup_(storage_freep) Storage *storage = NULL;
        int r;

        if (streq(json_get_string(copies, "url", ""), url)) {
                r = error_set(err, ERROR_UNAVAILABLE, "the copy of the backups of service \"%s\" is not at \"%s\" any more",
                              repository->service, url);
                return error_hint(err, r, "If nothing is missing there (a mount, for example) and it shall begin anew, "
                                          "remove %s/copies.json.", repository->path);
        }
        r = open_storage(job, folder, &storage, err);
        return r < 0 ? r : repository_begin_elsewhere(storage, key, repository, err);
}

static int open_or_begin_copy(const Job *job, const Repository *repository, const json_t *copies, Opened *ret, Error **err)
{
        _cleanup_free_ char *folder = xasprintf("%s/%s/%" PRIu64, repository->project, repository->service,
                                                repository->system_identifier);
        _cleanup_error_ Error *missing = NULL;
        int r = open_copy(job, folder, ret, &missing);

        if (r != -ERROR_NOT_FOUND || (!ret->key && json_get_string(job->params, "key", NULL)))
                return r < 0 ? error_move(err, &missing, r) : 0;
        r = begin_copy(job, repository, folder, ret->key, copies, err);
        backup_key_free(TAKE_PTR(ret->key));
        return r < 0 ? r : open_copy(job, folder, ret, err);
}

/* copies.json of the repository: where its copy is, and when it was last whole. */
static int remember_copy(const Job *job, const char *path, const CopyReport *report, Error **err)
{
        _cleanup_json_ json_t *document = copy_to_json(report);

        json_set_string(document, "url", json_get_string(json_object_get(job->params, "copy"), "url", ""));
        json_object_set_new(document, "finished_ns", json_integer(clock_realtime_ns()));
        return document_save(path, COPIES_FORMAT, document, err);
}

static int run_copy(const Job *job, Repository *from, Repository *to, CopyReport *report, Error **err)
{
        WorkProgress progress = job_progress(job);
        CopyOptions options = { .now_ns = clock_realtime_ns() };
        int r = read_policy(job, false, &options.policy, err);

        return r < 0 ? r : repository_copy(from, to, &options, &progress, report, err);
}

int job_repository_copy(const Job *job, json_t **ret, Error **err)
{
        _cleanup_prune_report_ PruneReport pruned = { 0 };
        _cleanup_opened_ Opened from = { 0 }, to = { 0 };
        _cleanup_free_ char *lock = NULL, *copies_path = NULL;
        _cleanup_json_ json_t *copies = NULL;
        _cleanup_close_ int lock_fd = -1;
        CopyReport report = { 0 };
        const char *path;
        int r = job_require(job, "repository", &path, err);

        if (r == 0)
                r = repository_open(path, &from.repository, err);
        if (r < 0)
                return r;
        lock = path_join(path, "copy.lock");
        copies_path = path_join(path, "copies.json");
        r = lock_file(lock, 0, &lock_fd, err);
        if (r < 0)
                return error_prefix(err, r, "another copy of service \"%s\" is at work", from.repository->service);
        document_load(copies_path, COPIES_FORMAT, &copies, NULL); /* absent: there was no copy yet */
        r = open_or_begin_copy(job, from.repository, copies, &to, err);
        if (r == 0)
                r = run_copy(job, from.repository, to.repository, &report, err);
        if (r == 0 && json_get_bool(job->params, "prune", false))
                r = prune(job, to.repository, false, &pruned, err);
        if (r == 0)
                r = remember_copy(job, copies_path, &report, err);
        if (r == 0)
                *ret = copy_to_json(&report);
        return r;
}

int job_repository_fetch(const Job *job, json_t **ret, Error **err)
{
        const RetentionPolicy all = { .keep_ns = INT64_MAX / 2 };
        CopyOptions options = { .policy = all, .now_ns = clock_realtime_ns() };
        _cleanup_opened_ Opened from = { 0 }, into = { 0 };
        WorkProgress progress = job_progress(job);
        _cleanup_close_ int lock_fd = -1;
        CopyReport report = { 0 };
        const char *folder, *target;
        int r = job_require(job, "folder", &folder, err);

        if (r == 0)
                r = job_require(job, "into", &target, err);
        if (r == 0)
                r = open_copy(job, folder, &from, err);
        if (r == 0)
                r = repository_create(target, from.repository->project, from.repository->service,
                                      from.repository->system_identifier, &into.repository, err);
        if (r == 0)
                r = repository_lock(into.repository, &lock_fd, err);
        if (r == 0)
                r = repository_copy(from.repository, into.repository, &options, &progress, &report, err);
        if (r == 0)
                *ret = copy_to_json(&report);
        return r;
}
