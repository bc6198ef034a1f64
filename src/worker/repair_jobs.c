/* Mending a repository of this machine from its copy elsewhere, or the copy from it.
 *
 * repository-repair {"repository", "copy", "key"?, "elsewhere"?, "wait_ms"?} → verify.json of docs/backup-format.md as it is
 * afterwards, and "mended", "failed", "kept"? (a path), "fetched_bytes" */
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/describe.h"
#include "repository/repair.h"
#include "state/document.h"
#include "worker/copy_private.h"

/* repository-describe {"repository"} → {"written", "kept"?}: repository.json where it is damaged or missing. */
int job_repository_describe(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_close_ int lock_fd = -1;
        _cleanup_free_ char *kept = NULL;
        const char *path;
        bool written = false;
        int r = job_require(job, "repository", &path, err);

        if (r == 0)
                r = repository_open(path, &repository, err);
        if (r == 0 && repository->undescribed) {
                written = true;
                r = repository_lock(repository, &lock_fd, err);
                if (r == 0)
                        r = repository_describe_anew(repository, &kept, err);
        }
        if (r < 0)
                return r;
        *ret = json_pack("{s:b}", "written", written);
        json_set_string(*ret, "kept", kept);
        return 0;
}

static json_t *to_json(const Repository *repository, const RepairReport *report, const VerifyReport *after)
{
        json_t *result = verify_report_to_json(after);
        _cleanup_free_ char *kept = report->kept ? path_join(repository->path, report->kept) : NULL;

        json_object_set_new(result, "mended", json_from_strv(report->mended));
        json_object_set_new(result, "failed", json_from_strv(report->failed));
        json_set_string(result, "kept", kept);
        json_object_set_new(result, "fetched_bytes", json_integer((json_int_t)report->bytes));
        return result;
}

/* Before the copy is opened, which needs it. */
static int describe_copy(const Job *job, const char *path, bool *ret_written, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_(backup_key_freep) BackupKey *key = NULL;
        _cleanup_(storage_freep) Storage *storage = NULL;
        _cleanup_free_ char *folder = NULL;
        int r = repository_open(path, &repository, err);

        if (r == 0)
                r = job_load_key(job, &key, err);
        if (r < 0)
                return r;
        folder = copy_folder(repository);
        r = job_open_storage(job, folder, &storage, err);
        return r < 0 ? r : repository_describe_elsewhere(storage, key, repository, ret_written, err);
}

int job_repository_repair(const Job *job, json_t **ret, Error **err)
{
        _cleanup_copy_work_ CopyWork work = { .lock_fd = -1 };
        _cleanup_verify_report_ VerifyReport after = { 0 };
        _cleanup_repair_report_ RepairReport report = { 0 };
        WorkProgress progress = job_progress(job);
        _cleanup_close_ int lock_fd = -1;
        bool elsewhere = json_get_bool(job->params, "elsewhere", false), written = false;
        Repository *here, *there;
        const char *path;
        int r = job_require(job, "repository", &path, err);

        if (r == 0 && elsewhere)
                r = describe_copy(job, path, &written, err);
        if (r == 0)
                r = copy_work_open(job, path, false, &work, err);
        if (r == 0)
                r = repository_lock(work.from.repository, &lock_fd, err);
        if (r < 0)
                return r;
        here = work.from.repository;
        there = work.to.repository;
        if (written)
                strv_add(&report.mended, REPOSITORY_DESCRIPTION);
        if (elsewhere) {
                here = work.to.repository;
                there = work.from.repository;
        }
        r = repository_repair(here, there, 0, &progress, &report, &after, err);
        if (r == 0)
                r = verify_report_save(here, &after, err);
        if (r == 0)
                *ret = to_json(here, &report, &after);
        return r;
}
