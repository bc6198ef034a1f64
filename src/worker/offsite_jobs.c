/* The copy elsewhere that x-berth.backup.offsite asks for, as the keeper keeps it up to date.
 *
 * offsite {"project", "service", "copy", "key"?, "keep", "bundle"?: {"working_dir", "files", "model"}, "full"?,
 * "take_over"?, "prune_after_s"?, "max_rate"?: bytes a second} → {"backups", "packs", "segments", "bytes", "postponed", "copied_ns", "copied_lsn",
 * "timeline", "key"?, "bundle"?: "sealed" or "open", "left_out"}; copied_ns 0: there is no backup yet.
 * Events {"copied_ns", "copied_lsn", "timeline"} while it runs */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/bundle.h"
#include "state/document.h"
#include "worker/copy_private.h"

#define DAY_NS          (INT64_C(86400) * NSEC_PER_SEC)
#define PRUNE_AFTER_S   (20 * 3600)
#define BUNDLES_KEPT    5
#define GENTLE_NICE     15
#define IOPRIO_IDLE     (3 << 13)
#define IOPRIO_WHO_SELF 1

/* ---- one line ---- */

/* Ids of backups that are complete here. */
static char **local_backups(const char *repository)
{
        _cleanup_free_ char *folder = path_join(repository, "backups");
        _cleanup_strv_ char **names = NULL;
        char **ids = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *record = xasprintf("%s/%s/backup.json", folder, *name);
                if (fs_exists(record))
                        strv_add(&ids, *name);
        }
        return ids;
}

/* Whether the copy has to be looked through: a backup is new, or a day has passed. Otherwise only the log is sent. */
static bool is_full(const Job *job, const CopyWork *work, char *const *ids)
{
        _cleanup_strv_ char **known = json_get_strv(work->copies, "have");
        const char *url = json_get_string(json_object_get(job->params, "copy"), "url", "");
        int64_t age_ns = clock_realtime_ns() - json_get_int(work->copies, "full_ns", 0);

        if (json_get_bool(job->params, "full", false) || !streq(json_get_string(work->copies, "url", ""), url) ||
            age_ns < 0 || age_ns > DAY_NS) /* one of the future: the clock was set back */
                return true;
        STRV_FOREACH(id, (char **)ids)
                if (!strv_contains(known, *id))
                        return true;
        return false;
}

static int prune_when_due(const Job *job, CopyWork *work, json_t *more, Error **err)
{
        int64_t last_ns = json_get_int(work->copies, "pruned_ns", 0), now_ns = clock_realtime_ns();
        int64_t after_s = json_get_int(job->params, "prune_after_s", PRUNE_AFTER_S);

        json_object_set_new(more, "pruned_ns", json_integer(last_ns));
        if (now_ns >= last_ns && now_ns - last_ns < after_s * NSEC_PER_SEC)
                return 0;
        json_object_set_new(more, "pruned_ns", json_integer(now_ns));
        return job_prune(job, work->to.repository, false, &work->pruned, err);
}

/* ---- the project's files ---- */

#define BUNDLE_TIME "%Y%m%dT%H%M%SZ"

/* The newest is the last one by its name, also where the clock has been set back since the one before it. */
static char *bundle_name(const StorageList *earlier, int64_t now_ns)
{
        const StorageEntry *last =
                earlier->entries.length ? &earlier->entries.items[earlier->entries.length - 1] : NULL;
        time_t seconds = (time_t)(now_ns / NSEC_PER_SEC);
        char text[32];
        struct tm utc = { 0 };

        if (last && strptime(path_basename(last->key), BUNDLE_TIME, &utc))
                seconds = MAX(seconds, timegm(&utc) + 1);
        gmtime_r(&seconds, &utc);
        strftime(text, sizeof(text), BUNDLE_TIME, &utc);
        return xasprintf("%s/%s%s", BUNDLE_FOLDER, text, BUNDLE_ENDING);
}

static int put_bundle(Storage *storage, const Bundle *bundle, Error **err)
{
        _cleanup_storage_list_ StorageList earlier = { 0 };
        _cleanup_free_ char *name = NULL;
        Strbuf archive = STRBUF_INIT;
        int r = storage->operations->list(storage, BUNDLE_FOLDER, &earlier, err);

        if (r < 0)
                return r;
        name = bundle_name(&earlier, clock_realtime_ns());
        r = bundle_write(bundle, &archive, err);
        if (r == 0)
                r = storage_put(storage, name, strbuf_text(&archive), archive.length, err);
        strbuf_erase(&archive);
        strbuf_done(&archive);
        for (size_t i = 0; r == 0 && i + BUNDLES_KEPT <= earlier.entries.length; i++)
                r = storage->operations->remove(storage, earlier.entries.items[i].key, err);
        return r;
}

/* Sends it where it has changed. Secrets only where they are encrypted. */
static int send_bundle(const Job *job, CopyWork *work, json_t *more, json_t *result, Error **err)
{
        const json_t *words = json_object_get(job->params, "bundle");
        _cleanup_strv_ char **files = json_get_strv(words, "files");
        bool sealed = work->to.repository->encrypted;
        BundleSource source = {
                .project = work->from.repository->project,
                .working_dir = json_get_string(words, "working_dir", NULL),
                .files = files,
                .model = json_object_get(words, "model"),
                .key = json_get_string(job->params, "key", NULL),
                .secrets = sealed,
        };
        _cleanup_bundle_ Bundle bundle = { 0 };
        int r;

        if (!source.working_dir || !source.model)
                return 0;
        r = bundle_collect(&source, &bundle, err);
        if (r == 0 && !streq(json_get_string(work->copies, "bundle", ""), bundle.signature))
                r = put_bundle(work->to.repository->storage, &bundle, err);
        if (r < 0)
                return error_prefix(err, r, "files of the project");
        json_set_string(more, "bundle", bundle.signature);
        json_set_string(result, "bundle", sealed ? "sealed" : "open");
        json_object_set_new(result, "left_out", json_from_strv(bundle.left_out));
        return 0;
}

/* ---- the copy ---- */

static json_t *result_of(const CopyWork *work)
{
        json_t *result = copy_report_to_json(&work->report);
        char lsn[LSN_TEXT_SIZE];

        json_object_set_new(result, "copied_ns", json_integer(work->report.copied_ns));
        json_set_string(result, "copied_lsn", lsn_format(work->report.copied_lsn, lsn));
        json_object_set_new(result, "timeline", json_integer(work->report.timeline));
        if (work->to.key)
                json_set_string(result, "key", work->to.key->id_text);
        return result;
}

/* The cluster that is written to now. What the copy lacks is remembered by what it has. */
static int copy_present(const Job *job, const char *path, json_t **ret, Error **err)
{
        _cleanup_strv_ char **ids = local_backups(path);
        _cleanup_copy_work_ CopyWork work = { .lock_fd = -1 };
        _cleanup_json_ json_t *more = json_object(), *result = NULL;
        bool full = true;
        int r = copy_work_open(job, path, json_get_bool(job->params, "take_over", false), &work, err);

        if (r == 0) {
                full = is_full(job, &work, ids);
                r = copy_work_run(job, &work, !full, err);
        }
        if (r < 0)
                return r;
        result = result_of(&work);
        r = send_bundle(job, &work, more, result, err);
        if (r == 0 && full)
                r = prune_when_due(job, &work, more, err);
        else if (r == 0)
                json_object_set_new(more, "pruned_ns", json_integer(json_get_int(work.copies, "pruned_ns", 0)));
        if (r < 0)
                return r;
        json_object_set_new(more, "have", full && work.report.postponed ? json_array() : json_from_strv(ids));
        json_object_set_new(more, "full_ns",
                            json_integer(full ? clock_realtime_ns() : json_get_int(work.copies, "full_ns", 0)));
        r = copy_work_remember(job, &work, TAKE_PTR(more), err);
        if (r == 0)
                *ret = TAKE_PTR(result);
        return r;
}

/* One that is not written to any more: once is enough. */
static int copy_earlier(const Job *job, const char *path, Error **err)
{
        const char *url = json_get_string(json_object_get(job->params, "copy"), "url", "");
        _cleanup_free_ char *copies = path_join(path, "copies.json");
        _cleanup_copy_work_ CopyWork work = { .lock_fd = -1 };
        _cleanup_json_ json_t *last = NULL;
        int r;

        document_load(copies, COPIES_FORMAT, &last, NULL);
        if (json_get_bool(last, "complete", false) && streq(json_get_string(last, "url", ""), url))
                return 0;
        r = copy_work_open(job, path, json_get_bool(job->params, "take_over", false), &work, err);
        if (r == 0)
                r = copy_work_run(job, &work, false, err);
        if (r == 0 && !work.report.postponed)
                r = copy_work_remember(job, &work, json_pack("{s:b}", "complete", 1), err);
        return r;
}

static void be_gentle(void)
{
        setpriority(PRIO_PROCESS, 0, GENTLE_NICE);
        syscall(SYS_ioprio_set, IOPRIO_WHO_SELF, 0, IOPRIO_IDLE);
}

int job_offsite(const Job *job, json_t **ret, Error **err)
{
        _cleanup_free_ char *folder = NULL;
        _cleanup_strv_ char **lines = NULL;
        const char *project, *service;
        size_t n;
        int r = job_require(job, "project", &project, err);

        if (r == 0)
                r = job_require(job, "service", &service, err);
        if (r < 0)
                return r;
        be_gentle();
        folder = layout_data(job->layout, "backups/%s/%s", project, service);
        lines = repository_lines(folder);
        n = strv_length(lines);
        if (!n) {
                *ret = json_pack("{s:i}", "copied_ns", 0);
                return 0;
        }
        for (size_t i = n; r == 0 && i-- > 0;) {
                _cleanup_free_ char *path = path_join(folder, lines[i]);
                r = i + 1 == n ? copy_present(job, path, ret, err) : copy_earlier(job, path, err);
                if (r < 0 && i + 1 < n)
                        error_prefix(err, r, "earlier cluster %s", lines[i]);
        }
        return r;
}
