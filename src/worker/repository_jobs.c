/* What is done with repositories of backups. Each takes "repository", the path of one of this machine, or "copy" (as
 * location_parse has it), "folder" ("<project>/<service>/<system identifier>" there) and, where it is encrypted, "key", the
 * path of the key's file.
 *
 * repository-verify → verify.json of docs/backup-format.md
 * repository-prune {"keep"?, "dry_run"?} → {"backups", "segments", "packs_removed", "packs_rewritten", "leftovers", "freed_bytes"} */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "repository/prune.h"
#include "repository/verify.h"
#include "state/document.h"
#include "worker/job.h"
#include "worker/repositories.h"

/* ---- verify, prune ---- */

int job_repository_verify(const Job *job, json_t **ret, Error **err)
{
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_opened_ Opened opened = { 0 };
        WorkProgress progress = job_progress(job);
        int r = job_open_either(job, &opened, err);

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

int job_read_policy(const Job *job, bool required, RetentionPolicy *ret, Error **err)
{
        const json_t *keep = json_object_get(job->params, "keep");

        if (!keep && required)
                return error_set(err, ERROR_USAGE, "what is kept is not said");
        *ret = (RetentionPolicy){ .keep_ns = INT64_MAX / 2 };
        return keep ? retention_policy_parse(keep, ret, err) : 0;
}

int job_prune(const Job *job, Repository *repository, bool dry_run, PruneReport *report, Error **err)
{
        _cleanup_verify_report_ VerifyReport last = { 0 };
        WorkProgress progress = job_progress(job);
        PruneOptions options = { .now_ns = clock_realtime_ns(), .dry_run = dry_run };
        int r = job_read_policy(job, true, &options.policy, err);

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
        int r = job_open_either(job, &opened, err);

        if (r == 0 && opened.repository->path)
                r = repository_lock(opened.repository, &lock_fd, err);
        if (r == 0)
                r = job_prune(job, opened.repository, json_get_bool(job->params, "dry_run", false), &report, err);
        if (r == 0)
                *ret = prune_to_json(&report);
        return r;
}
