/* Copies of repositories elsewhere, one repository at a time.
 *
 * repository-copy {"repository", "copy", "key"?, "make_key"?, "keep"?, "prune"?, "take_over"?, "max_rate"?} → {"backups", "packs",
 * "segments", "bytes", "postponed"} repository-fetch {"copy", "folder", "key"?, "keep"?, "into":
 * "<data>/backups/<project>/<service>", "to"?, "backup"?, "timeline"?: of the backups only the one that leads to that point} → the same
 * and "repository" */
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "operate/cluster_settings.h"
#include "operate/restore.h"
#include "state/document.h"
#include "worker/copy_private.h"

#define OWNER_LIMIT (1u << 16)

void copy_work_done(CopyWork *work)
{
        opened_done(&work->from);
        opened_done(&work->to);
        free(work->copies_path);
        json_decref(work->copies);
        fs_close(work->lock_fd);
        prune_report_done(&work->pruned);
}

char *copy_folder(const Repository *repository)
{
        return xasprintf("%s/%s/%" PRIu64, repository->project, repository->service, repository->system_identifier);
}

json_t *copy_report_to_json(const CopyReport *report)
{
        return json_pack("{s:I, s:I, s:I, s:I, s:I}", "backups", (json_int_t)report->backups, "packs",
                         (json_int_t)report->packs, "segments", (json_int_t)report->segments, "bytes",
                         (json_int_t)report->bytes, "postponed", (json_int_t)report->postponed);
}

/* ---- opening ---- */

/* A place that has had a copy and has none now is a missing mount or another's bucket, not a reason to begin anew. */
static int begin_copy(const Job *job, const Repository *repository, const char *folder, const BackupKey *key,
                      const json_t *copies, Error **err)
{
        const char *url = json_get_string(json_object_get(job->params, "copy"), "url", "");
        _cleanup_(storage_freep) Storage *storage = NULL;
        int r;

        if (streq(json_get_string(copies, "url", ""), url)) {
                r = error_set(err, ERROR_UNAVAILABLE,
                              "the copy of the backups of service \"%s\" is not at \"%s\" any more",
                              repository->service, url);
                return error_hint(err, r,
                                  "If nothing is missing there (a mount, for example) and it shall begin anew, "
                                  "remove %s/copies.json.",
                                  repository->path);
        }
        r = job_open_storage(job, folder, &storage, err);
        return r < 0 ? r : repository_begin_elsewhere(storage, key, repository, err);
}

static int open_or_begin(const Job *job, CopyWork *work, Error **err)
{
        _cleanup_free_ char *folder = copy_folder(work->from.repository);
        _cleanup_error_ Error *missing = NULL;
        int r = job_open_copy(job, folder, &work->to, &missing);

        if (r != -ERROR_NOT_FOUND || (!work->to.key && json_get_string(job->params, "key", NULL)))
                return r < 0 ? error_move(err, &missing, r) : 0;
        r = begin_copy(job, work->from.repository, folder, work->to.key, work->copies, err);
        backup_key_free(TAKE_PTR(work->to.key));
        return r < 0 ? r : job_open_copy(job, folder, &work->to, err);
}

/* What was begun without a key goes on without: whoever now names one would take it for encrypted. */
static int check_encryption(const CopyWork *work, Error **err)
{
        int r;

        if (!work->to.key || work->to.repository->encrypted)
                return 0;
        r = error_set(err, ERROR_CONFLICT,
                      "the copy of the backups of service \"%s\" is not encrypted, and a key is given",
                      work->from.repository->service);
        return error_hint(err, r,
                          "Begin an encrypted copy at another URL, and remove the old one when that is complete.");
}

int copy_work_open(const Job *job, const char *path, bool take_over, CopyWork *ret, Error **err)
{
        _cleanup_free_ char *lock = path_join(path, "copy.lock");
        int r;

        *ret = (CopyWork){ .lock_fd = -1, .copies_path = path_join(path, "copies.json") };
        r = repository_open(path, &ret->from.repository, err);
        if (r < 0)
                return r;
        r = lock_file(lock, (int)json_get_int(job->params, "wait_ms", 0), &ret->lock_fd, err);
        if (r < 0)
                return error_prefix(err, r, "another copy of service \"%s\" is at work", ret->from.repository->service);
        document_load(ret->copies_path, COPIES_FORMAT, &ret->copies, NULL); /* absent: there was no copy yet */
        r = open_or_begin(job, ret, err);
        if (r == 0)
                r = check_encryption(ret, err);
        return r < 0 ? r : copy_claim(job, ret->to.repository, take_over, err);
}

/* ---- whose it is ---- */

/* Who this is to copies: the same for the life of an installation, and another on every other machine. The caller's. */
static char *own_number(const Layout *layout)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, machine = STRBUF_INIT;
        _cleanup_free_ char *digits = NULL;
        char host[256] = "";

        if (fs_read_file(AT_FDCWD, "/etc/machine-id", 256, &machine, NULL) < 0 || machine.length < 32) {
                gethostname(host, sizeof(host) - 1);
                strbuf_truncate(&machine, 0);
                strbuf_adds(&machine, host);
        }
        strbuf_addf(&text, "berth owner\n%s\n%s\n", strbuf_text(&machine), layout->data_dir);
        digits = sha256_hex(strbuf_text(&text), text.length);
        return xstrndup(digits, 32);
}

static int write_owner(Repository *to, const char *number, Error **err)
{
        char host[256] = "";
        json_t *document;
        int r;

        gethostname(host, sizeof(host) - 1);
        document = json_pack("{s:s, s:s, s:I}", "owner", number, "host", host, "since_ns",
                             (json_int_t)clock_realtime_ns());
        r = storage_put_document(to->storage, "owner.json", OWNER_FORMAT, document, err);
        json_decref(document);
        return r;
}

int copy_claim(const Job *job, Repository *to, bool take_over, Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_error_ Error *missing = NULL;
        _cleanup_free_ char *number = own_number(job->layout), *since = NULL;
        int r = storage_get_document(to->storage, "owner.json", OWNER_FORMAT, OWNER_LIMIT, &document, &missing);

        if (r < 0 && r != -ERROR_NOT_FOUND)
                return error_move(err, &missing, r);
        if (r == 0 && streq(json_get_string(document, "owner", ""), number))
                return 0;
        if (r < 0 || take_over)
                return write_owner(to, number, err);
        since = clock_format_rfc3339(json_get_int(document, "since_ns", 0));
        r = error_set(
                err, ERROR_EXISTS,
                "the copy of the backups of service \"%s\" belongs to another installation (host \"%s\", since %.19sZ)",
                to->service, json_get_string(document, "host", ""), since);
        return error_hint(err, r,
                          "Two must not write it. If that one is gone for good, take it over with \"berth backup copy "
                          "--take-over\"; otherwise give this one another url.");
}

/* ---- copying ---- */

/* A first copy takes long: how far behind it is is known all the while. */
static void tell_log(void *context, const CopyReport *report)
{
        char lsn[LSN_TEXT_SIZE];

        job_emit(json_pack("{s:I, s:s, s:I}", "copied_ns", (json_int_t)report->copied_ns, "copied_lsn",
                           lsn_format(report->copied_lsn, lsn), "timeline", (json_int_t)report->timeline));
}

int copy_work_run(const Job *job, CopyWork *work, bool log_only, Error **err)
{
        WorkProgress progress = job_progress(job);
        CopyOptions options = { .now_ns = clock_realtime_ns(),
                                .log_only = log_only,
                                .max_rate = (uint64_t)json_get_int(job->params, "max_rate", 0),
                                .log_sent = tell_log };
        int r = job_read_policy(job, false, &options.policy, err);

        if (r == 0)
                r = repository_copy(work->from.repository, work->to.repository, &options, &progress, &work->report,
                                    err);
        return r < 0 || log_only
                       ? r
                       : cluster_settings_send(work->from.repository->path, work->to.repository->storage, err);
}

int copy_work_remember(const Job *job, const CopyWork *work, json_t *more, Error **err)
{
        _cleanup_json_ json_t *document = copy_report_to_json(&work->report);

        json_set_string(document, "url", json_get_string(json_object_get(job->params, "copy"), "url", ""));
        json_object_set_new(document, "finished_ns", json_integer(clock_realtime_ns()));
        json_object_update(document, more);
        json_decref(more);
        return document_save(work->copies_path, COPIES_FORMAT, document, err);
}

int job_repository_copy(const Job *job, json_t **ret, Error **err)
{
        _cleanup_copy_work_ CopyWork work = { .lock_fd = -1 };
        const char *path;
        int r = job_require(job, "repository", &path, err);

        if (r == 0)
                r = copy_work_open(job, path, json_get_bool(job->params, "take_over", false), &work, err);
        if (r == 0)
                r = copy_work_run(job, &work, false, err);
        if (r == 0 && json_get_bool(job->params, "prune", false))
                r = job_prune(job, work.to.repository, false, &work.pruned, err);
        if (r == 0)
                r = copy_work_remember(job, &work, NULL, err);
        if (r == 0)
                *ret = copy_report_to_json(&work.report);
        return r;
}

/* Going there a backup waits for the next run; coming back it is one that cannot be had. */
static int not_whole(const Opened *from, const CopyReport *report, Error **err)
{
        int r = error_set(err, ERROR_CORRUPT, "the copy of the backups of service \"%s\" lacks parts of %llu backups",
                          from->repository->service, (unsigned long long)report->postponed);

        return error_hint(err, r,
                          "The warnings say which; what is whole was fetched, and can be restored with --backup.");
}

/* The backup from which the point "to" is reached there; *ret_id NULL: no point is said. The caller's. */
static int choose_backup(const Job *job, Repository *from, char **ret_id, Error **err)
{
        const char *to = json_get_string(job->params, "to", NULL);
        _cleanup_restore_plan_ RestorePlan plan = { 0 };
        RestoreTarget target;
        int r = to ? restore_target_parse(to, &target, err) : 0;

        if (r < 0 || !to)
                return r;
        target.timeline = (uint32_t)json_get_int(job->params, "timeline", 0);
        r = restore_plan_make(from, json_get_string(job->params, "backup", NULL), &target, &plan, err);
        if (r == 0)
                *ret_id = xstrdup(plan.backup->id);
        return r;
}

int job_repository_fetch(const Job *job, json_t **ret, Error **err)
{
        CopyOptions options = { .now_ns = clock_realtime_ns() };
        _cleanup_opened_ Opened from = { 0 }, into = { 0 };
        WorkProgress progress = job_progress(job);
        _cleanup_close_ int lock_fd = -1;
        CopyReport report = { 0 };
        _cleanup_free_ char *only = NULL;
        const char *folder, *target;
        int r = job_require(job, "folder", &folder, err);

        if (r == 0)
                r = job_require(job, "into", &target, err);
        if (r == 0)
                r = job_read_policy(job, false, &options.policy, err);
        if (r == 0)
                r = job_open_copy(job, folder, &from, err);
        if (r == 0)
                r = choose_backup(job, from.repository, &only, err);
        options.only_backup = only;
        if (r == 0)
                r = repository_create(target, from.repository->project, from.repository->service,
                                      from.repository->system_identifier, &into.repository, err);
        if (r == 0)
                r = repository_lock(into.repository, &lock_fd, err);
        if (r == 0)
                r = repository_copy(from.repository, into.repository, &options, &progress, &report, err);
        if (r == 0)
                r = cluster_settings_fetch(from.repository->storage, into.repository->path, err);
        if (r == 0 && report.postponed)
                r = not_whole(&from, &report, err);
        if (r < 0)
                return r;
        *ret = copy_report_to_json(&report);
        json_set_string(*ret, "repository", into.repository->path);
        return 0;
}
