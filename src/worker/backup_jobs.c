/* backup {"project", "service", "target": {"pid", "data_dir", "user", "password"?, "database"?, "url"?},
 * "max_rate_kib"?, "gentle"?, "full"?, "wait"?, "keep"?, "prune_first"?, "spread"?, "streamed"?, "level"?} → the record of docs/backup-format.md backups {"project",
 * "service"?} → {"backups": rows of operate/catalog.h} backup-remove {"repository": path, "backup", "last_too"?}
 * restore {"repository": path, "directory", "inside"?, "uid"?, "gid"?, "to"?, "backup"?, "timeline"?, "lock"?: a file
 * that is locked as long as it writes, "elsewhere"?: {"copy", "key"?}, what is damaged is taken from there} → {"backup", "timeline",
 * "end_lsn", "kind", "may_end" (a server that does not come to the time has all until then), "server_version", "rescued": objects, "tablespaces": [{"oid",
 * "location"}], which the log makes anew}
 * restore-plan: the same without "directory": only looks → {"backup", "timeline", "from_ns", "until_ns"}
 * recover {"target", "slot"?, "stall_ms"} → {"recovered_lsn"} */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/backup.h"
#include "operate/backup_work.h"
#include "operate/catalog.h"
#include "operate/recovery.h"
#include "operate/restore.h"
#include "repository/prune.h"
#include "repository/verify.h"
#include "state/document.h"
#include "worker/copy_private.h"

/* Expiry, where whoever asks for the backup says what is kept. What keeps it from that is told and does not make the
 * backup less. */
static void prune_by_keep(const Job *job, const char *folder, bool backup_follows)
{
        _cleanup_verify_report_ VerifyReport last = { 0 };
        _cleanup_strv_ char **lines = repository_lines(folder);
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_error_ Error *failure = NULL;
        _cleanup_free_ char *path = lines ? path_join(folder, lines[strv_length(lines) - 1]) : NULL;
        PruneOptions options = { .now_ns = clock_realtime_ns(), .backup_follows = backup_follows };
        WorkProgress progress = job_progress(job);
        _cleanup_close_ int lock_fd = -1;
        int r = retention_policy_parse(json_object_get(job->params, "keep"), &options.policy, &failure);

        if (r < 0 || !path)
                return progress_warning(&progress, failure ? failure->message : "the repository is gone");
        r = repository_open(path, &repository, &failure);
        if (r == 0)
                r = repository_lock(repository, &lock_fd, &failure);
        if (r == 0 &&
            verify_report_load(repository, &last, NULL) == 0) /* never verified: none is known to be damaged */
                options.damaged = last.damaged;
        if (r == 0)
                r = prune_run(repository, &options, &progress, &report, &failure);
        if (r < 0)
                progress_warning(&progress, failure->message);
}

int job_backup(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(backup_record_freep) BackupRecord *record = NULL;
        _cleanup_free_ char *folder = NULL, *noted_at = NULL;
        WorkProgress progress = job_progress(job);
        BackupOptions options = {
                .target = job_target(job),
                .max_rate_kib = json_get_int(job->params, "max_rate_kib", 0),
                .gentle = json_get_bool(job->params, "gentle", false),
                .wait = json_get_bool(job->params, "wait", false),
                .full = json_get_bool(job->params, "full", false),
                .spread = json_get_bool(job->params, "spread", false),
                .streamed = json_get_bool(job->params, "streamed", false),
                .level = (int)json_get_int(job->params, "level", 0),
        };
        int r = job_require(job, "project", &options.project, err);

        if (r == 0)
                r = job_require(job, "service", &options.service, err);
        if (r < 0)
                return r;
        folder = layout_data(job->layout, "backups/%s/%s", options.project, options.service);
        options.folder = folder;
        options.noted_at = noted_at = backup_work_path(job->layout, options.project, options.service);
        if (json_object_get(job->params, "keep") && json_get_bool(job->params, "prune_first", false))
                prune_by_keep(job, folder, true);
        r = backup_run(&options, &progress, &record, err);
        if (r < 0)
                return r;
        if (json_object_get(job->params, "keep"))
                prune_by_keep(job, folder, false);
        *ret = backup_record_to_json(record);
        return 0;
}

static int open_plan(const Job *job, Repository **ret_repository, RestorePlan *ret, Error **err)
{
        RestoreTarget target;
        const char *path;
        int r = job_require(job, "repository", &path, err);

        if (r == 0)
                r = repository_open(path, ret_repository, err);
        if (r == 0)
                r = restore_target_parse(json_get_string(job->params, "to", "latest"), &target, err);
        if (r < 0)
                return r;
        target.timeline = (uint32_t)json_get_int(job->params, "timeline", 0);
        r = restore_plan_make(*ret_repository, json_get_string(job->params, "backup", NULL), &target, ret, err);
        return r < 0 ? r : restore_plan_check_gap(ret, &target, err);
}

/* The copy of the repository that is restored. */
typedef struct Elsewhere {
        Job job; /* its parameters are how to get there */
        char *folder;
        Opened opened;
} Elsewhere;

static void elsewhere_done(Elsewhere *elsewhere)
{
        opened_done(&elsewhere->opened);
        free(elsewhere->folder);
}

static int open_elsewhere(void *context, Repository **ret, Error **err)
{
        Elsewhere *elsewhere = context;
        int r = job_open_copy(&elsewhere->job, elsewhere->folder, &elsewhere->opened, err);

        *ret = elsewhere->opened.repository;
        return r;
}

int job_restore(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(elsewhere_done) Elsewhere elsewhere = {
                .job = { .layout = job->layout,
                         .params = json_object_get(job->params, "elsewhere"),
                         .cancel_fd = job->cancel_fd },
        };
        _cleanup_(rescue_freep) Rescue *rescue = NULL;
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_restore_plan_ RestorePlan plan = { 0 };
        WorkProgress progress = job_progress(job);
        RestoreOptions options = {
                .uid = (unsigned)json_get_int(job->params, "uid", RESTORE_OWNER),
                .gid = (unsigned)json_get_int(job->params, "gid", RESTORE_OWNER),
        };
        _cleanup_json_ json_t *tablespaces = NULL;
        char end[LSN_TEXT_SIZE];
        _cleanup_close_ int lock_fd = -1;
        int r = job_require(job, "directory", &options.directory, err);

        if (r == 0)
                r = job_lock_place(job, &lock_fd, err);
        if (r == 0)
                r = open_plan(job, &repository, &plan, err);
        if (r < 0)
                return r;
        options.inside = json_get_string(job->params, "inside", options.directory);
        if (json_object_get(job->params, "elsewhere")) {
                elsewhere.folder = copy_folder(repository);
                options.rescue = rescue = rescue_create(open_elsewhere, &elsewhere, &progress);
        }
        r = restore_lay_out(repository, &plan, &options, &progress, &tablespaces, err);
        if (r < 0)
                r = restore_plan_offer(repository, &plan, r, err);
        if (r == 0)
                *ret = json_pack("{s:s, s:i, s:s, s:s, s:b, s:i, s:o, s:O}", "backup", plan.backup->id, "timeline",
                                 (int)plan.target.timeline, "end_lsn",
                                 lsn_format(MAX(plan.range.end, plan.backup->stop_lsn), end), "kind",
                                 plan.target.kind == RESTORE_TIME ? "time" : "other", "may_end", (int)plan.may_end,
                                 "server_version", plan.backup->server_version, "rescued",
                                 json_from_strv(rescue_objects(rescue)), "tablespaces", tablespaces);
        return r;
}

int job_backups(const Job *job, json_t **ret, Error **err)
{
        json_t *rows = NULL;
        const char *project;
        int r = job_require(job, "project", &project, err);

        if (r == 0)
                r = catalog_list(job->layout, project, json_get_string(job->params, "service", NULL), &rows, err);
        if (r == 0)
                *ret = json_pack("{s:o}", "backups", rows);
        return r;
}

static int check_not_last(Repository *repository, const char *id, Error **err)
{
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = backup_list_load(repository, &list, err);

        if (r < 0 || list.records.length != 1 || !streq(list.records.items[0]->id, id))
                return r;
        return error_hint(err, error_set(err, ERROR_CONFLICT, "backup %s is the only one of its cluster", id),
                          "Take another one first, or say --last-too.");
}

int job_backup_remove(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_close_ int lock_fd = -1;
        const char *path, *id;
        int r = job_require(job, "repository", &path, err);

        if (r == 0)
                r = job_require(job, "backup", &id, err);
        if (r == 0)
                r = repository_open(path, &repository, err);
        if (r == 0)
                r = repository_lock(repository, &lock_fd, err);
        if (r == 0 && !json_get_bool(job->params, "last_too", false))
                r = check_not_last(repository, id, err);
        return r < 0 ? r : backup_remove(repository, id, err);
}

int job_restore_plan(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_restore_plan_ RestorePlan plan = { 0 };
        int r = open_plan(job, &repository, &plan, err);

        if (r == 0)
                *ret = json_pack("{s:s, s:i, s:I, s:I}", "backup", plan.backup->id, "timeline",
                                 (int)plan.target.timeline, "from_ns", (json_int_t)plan.backup->finished_ns, "until_ns",
                                 (json_int_t)plan.until_ns);
        return r;
}

int job_recover(const Job *job, json_t **ret, Error **err)
{
        WorkProgress progress = job_progress(job);
        RecoveryWatch watch = {
                .target = job_target(job),
                .slot = json_get_string(job->params, "slot", NULL),
                .stall_ms = (int)json_get_int(job->params, "stall_ms", 120000),
        };
        char text[LSN_TEXT_SIZE];
        Lsn end = 0;
        int r = recovery_await(&watch, &progress, &end, err);

        if (r == 0)
                *ret = json_pack("{s:s}", "recovered_lsn", lsn_format(end, text));
        return r;
}
