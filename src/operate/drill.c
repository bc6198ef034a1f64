#include "operate/drill.h"

#include <stdlib.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "operate/drill_checks.h"
#include "operate/restore_container.h"
#include "operate/restore_mark.h"
#include "operate/restore_service.h"
#include "state/document.h"

#define MEND_WAIT_MS 60000 /* for the copy that is at work by itself */

typedef struct Running {
        const Drill *drill;
        const EngineProgress *progress;
        ServiceRestore restore;
        char *volume, *repository, *backup, *point; /* point: as restore takes it */
        int64_t from_ns, until_ns;                  /* moments that the newest backup leads to */
        int64_t moment_ns;                          /* that is restored to; 0: by another kind of point */
        int64_t size_bytes;
        bool rescued; /* something was damaged here and taken from the copy elsewhere */
        json_t *report, *checks;
} Running;

static void running_done(Running *running)
{
        free(running->volume);
        free(running->repository);
        free(running->backup);
        free(running->point);
        json_decref(running->report);
}

char *throwaway_volume(const char *project, const char *service, const char *suffix)
{
        return xasprintf("%s_%s%s", project, service, suffix);
}

/* ---- what is restored ---- */

static int run_job(const Running *running, const char *job, json_t *params, json_t **ret, Error **err)
{
        return restore_run_job(&running->restore, job, params, running->progress, ret, err);
}

/* The newest one, whether it is good or not: that is what the drill is to find out. */
static int find_backup(Running *running, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        const json_t *row, *newest = NULL;
        size_t i;
        int r = run_job(running, "backups",
                        json_pack("{s:s, s:s}", "project", running->drill->project, "service", running->drill->service),
                        &result, err);

        if (r < 0)
                return r;
        json_array_foreach(json_object_get(result, "backups"), i, row)
                if (json_get_bool(row, "present", false) &&
                    (!newest || strcmp(json_get_string(row, "id", ""), json_get_string(newest, "id", "")) > 0))
                        newest = row;
        if (!newest)
                return error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no backup", running->drill->service),
                        "\"berth backup\" takes one of a running database.");
        free_and_replace(&running->backup, xstrdup(json_get_string(newest, "id", "")));
        free_and_replace(&running->repository, xstrdup(json_get_string(newest, "repository", "")));
        running->size_bytes = json_get_int(newest, "size_bytes", 0);
        json_set_string(running->report, "backup", running->backup);
        if (json_get_bool(newest, "damaged", false))
                return error_set(err, ERROR_CORRUPT, "the record of backup %s, the newest, is damaged",
                                 running->backup);
        return 0;
}

static int find_range(Running *running, Error **err)
{
        _cleanup_json_ json_t *plan = NULL;
        const char *to = running->drill->to ? running->drill->to : "latest";
        json_t *params = json_pack("{s:s, s:s}", "repository", running->repository, "to", to);
        int64_t behind_ns;
        int r;

        if (!running->drill->to) /* else any that leads there */
                json_set_string(params, "backup", running->backup);
        r = run_job(running, "restore-plan", params, &plan, err);

        if (r < 0)
                return r;
        free_and_replace(&running->backup, xstrdup(json_get_string(plan, "backup", running->backup)));
        json_set_string(running->report, "backup", running->backup);
        running->from_ns = json_get_int(plan, "from_ns", 0);
        running->until_ns = json_get_int(plan, "until_ns", 0);
        behind_ns = clock_realtime_ns() - running->until_ns;
        json_object_set_new(running->report, "rpo_ms",
                            json_integer(running->until_ns ? MAX(behind_ns, INT64_C(0)) / NSEC_PER_MSEC : -1));
        return 0;
}

/* By lot, so that in time every stretch is tried. */
static void choose_moment(Running *running)
{
        int64_t range_ns = running->until_ns - running->from_ns;
        uint64_t lot = 0;

        if (running->drill->to) {
                running->point = xstrdup(running->drill->to);
                clock_parse_moment(running->point, clock_realtime_ns(), &running->moment_ns);
        } else if (range_ns < NSEC_PER_SEC || getrandom(&lot, sizeof(lot), 0) < 0) {
                running->point = xstrdup("latest");
        } else {
                running->moment_ns = running->from_ns + (int64_t)(lot % (uint64_t)range_ns);
                running->moment_ns -= running->moment_ns % 1000; /* as the server has them */
                running->moment_ns = MAX(running->moment_ns, running->from_ns + 1000);
                running->point = clock_format_rfc3339(running->moment_ns);
        }
        json_set_string(running->report, "point", running->point);
        json_object_set_new(running->report, "target_ns", json_integer(running->moment_ns));
}

static int check_space(const Running *running, Error **err)
{
        _cleanup_free_ char *folder = layout_data(running->drill->layout, "volumes"), *wanted = NULL, *available = NULL;
        struct statvfs status;
        uint64_t size = (uint64_t)running->size_bytes, room;

        if (statvfs(folder, &status) < 0)
                return 0;
        room = (uint64_t)status.f_bavail * status.f_frsize;
        if (size + size / 10 < room)
                return 0;
        wanted = format_size(size);
        available = format_size(room);
        return error_set(err, ERROR_IO, "a copy takes %s, and %s are free", wanted, available);
}

/* ---- the copy ---- */

static int check_copy(Running *running, const char *container, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        const json_t *check;
        size_t i;
        int r = running->drill->engine->operations->container_inspect(running->drill->engine, container, &info, err);

        if (r < 0)
                return r;
        if (drill_checks_run(running->drill, info, running->moment_ns, running->progress, running->checks))
                return 0;
        json_array_foreach(running->checks, i, check)
                if (!json_get_bool(check, "good", false))
                        return error_set(err, ERROR_FAILED, "%s: %s", json_get_string(check, "name", ""),
                                         json_get_string(check, "message", "it failed"));
        return error_set(err, ERROR_INTERNAL, "a check failed and is not named");
}

static void note_verification(Running *running, const char *outcome)
{
        bool done = streq(outcome, "yes");
        _cleanup_free_ char *message = done ? xstrdup("the files are as the backup's manifest says (pg_verifybackup)")
                                            : xasprintf("not done: %s", outcome);

        drill_add_check(running->checks, "verifybackup", true, message);
        if (!done)
                json_object_set_new(json_array_get(running->checks, json_array_size(running->checks) - 1), "skipped",
                                    json_true());
}

static int restore_and_check(Running *running, Error **err)
{
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        _cleanup_json_ json_t *result = NULL;
        _cleanup_free_ char *container = NULL;
        int r;

        running->restore.repository = running->repository;
        running->restore.to = running->point;
        running->restore.backup = running->backup;
        running->restore.elsewhere = running->drill->elsewhere;
        r = restore_service_begin(&running->restore, &places, err);
        if (r >= 0)
                r = restore_service_open(&running->restore, &places, running->progress, &result, &container, err);
        if (r < 0)
                return r;
        drill_add_check(running->checks, "files", true, "every file matches its checksum");
        note_verification(running, json_get_string(result, "verified", ""));
        running->rescued = json_array_size(json_object_get(result, "rescued")) > 0;
        json_object_set_new(running->report, "rto_ms", json_integer(json_get_int(result, "ready_ms", 0)));
        json_set_string(running->report, "recovered_lsn", json_get_string(result, "recovered_lsn", NULL));
        return check_copy(running, container, err);
}

static int carry_out(Running *running, Error **err)
{
        _cleanup_error_ Error *left = NULL;
        int r = find_backup(running, err), r2;

        if (r >= 0)
                r = find_range(running, err);
        if (r >= 0)
                r = check_space(running, err);
        if (r < 0)
                return r;
        choose_moment(running);
        r = restore_and_check(running, err);
        r2 = restore_service_discard(&running->restore, &left);
        if (r2 < 0 && r >= 0)
                r = error_move(err, &left, r2);
        return r;
}

/* ---- damage ---- */

static int mend(const Running *running, Error **err)
{
        json_t *params = json_deep_copy(running->drill->elsewhere);
        _cleanup_json_ json_t *result = NULL;
        int r;

        json_set_string(params, "repository", running->repository);
        json_object_set_new(params, "wait_ms", json_integer(MEND_WAIT_MS));
        r = run_job(running, "repository-repair", params, &result, err);
        if (r < 0)
                return error_prefix(err, r, "mend the backups from their copy");
        json_object_set(running->report, "mended", json_object_get(result, "mended"));
        if (!json_array_size(json_object_get(result, "faults")))
                return 0;
        return error_hint(err, error_set(err, ERROR_CORRUPT, "the backups have damage that their copy cannot mend"),
                          "\"berth backup verify\" names it; take a new backup with \"berth backup\".");
}

/* What is damaged and what of it the copy has back is found out here, at the latest: the next restore shall need no luck. */
static int carry_out_and_mend(Running *running, Error **err)
{
        _cleanup_error_ Error *damage = NULL;
        int r = carry_out(running, &damage);
        bool again = r == -ERROR_CORRUPT || r == -ERROR_NOT_FOUND;

        if (!running->drill->elsewhere || !running->repository || (!again && !(r >= 0 && running->rescued)))
                return r < 0 ? error_move(err, &damage, r) : r;
        r = mend(running, err);
        if (r < 0 || !again)
                return r;
        if (!json_array_size(json_object_get(running->report, "mended")))
                return error_move(err, &damage, -(int)damage->kind);
        free_and_replace(&running->point, NULL);
        json_array_clear(running->checks);
        return carry_out(running, err);
}

/* ---- what is remembered ---- */

static char *report_path(const Drill *drill)
{
        return layout_data(drill->layout, "projects/%s/drills/%s.json", drill->project, drill->service);
}

static int save(const Running *running, Error **err)
{
        _cleanup_free_ char *path = report_path(running->drill), *folder = path_dirname(path);
        _cleanup_json_ json_t *before = NULL;
        int64_t good_ns = json_get_int(running->report, "finished_ns", 0);
        int r;

        if (!streq(json_get_string(running->report, "outcome", ""), "succeeded"))
                good_ns = document_load(path, DRILL_FORMAT, &before, NULL) == 0
                                  ? json_get_int(before, "last_good_ns", 0)
                                  : 0;
        json_object_set_new(running->report, "last_good_ns", json_integer(good_ns));
        r = fs_make_directories(folder, 0700, err);
        return r < 0 ? r : document_save(path, DRILL_FORMAT, running->report, err);
}

static char *describe(const Running *running)
{
        size_t mended = json_array_size(json_object_get(running->report, "mended")), i;
        _cleanup_free_ char *more =
                mended ? xasprintf("; %zu damaged objects were mended from the copy elsewhere", mended) : xstrdup("");
        const json_t *check;
        int64_t rows = 0;

        json_array_foreach(running->checks, i, check)
                rows += json_get_int(check, "rows", 0);
        return xasprintf("backup %s restored to %s: ready after %.1f s, %lld rows read, %zu checks passed%s",
                         running->backup, running->point, (double)json_get_int(running->report, "rto_ms", 0) / 1000,
                         (long long)rows, json_array_size(running->checks), more);
}

int drill_run(const Drill *drill, const EngineProgress *progress, json_t **ret, Error **err)
{
        Running running = { .drill = drill, .progress = progress, .report = json_object(), .checks = json_array() };
        _cleanup_error_ Error *reason = NULL;
        _cleanup_free_ char *message = NULL;
        int r, r2;

        running.volume = throwaway_volume(drill->project, drill->service, DRILL_SUFFIX);
        running.restore = (ServiceRestore){ .layout = drill->layout,
                                            .engine = drill->engine,
                                            .project = drill->project,
                                            .service = drill->service,
                                            .into = running.volume,
                                            .verify = true };
        json_object_set_new(running.report, "checks", running.checks);
        json_set_string(running.report, "service", drill->service);
        json_object_set_new(running.report, "began_ns", json_integer(clock_realtime_ns()));
        r = carry_out_and_mend(&running, &reason);
        message = r < 0 ? xstrdup(reason->message) : describe(&running);
        json_set_string(running.report, "outcome", r < 0 ? "failed" : "succeeded");
        json_set_string(running.report, "message", message);
        json_object_set_new(running.report, "finished_ns", json_integer(clock_realtime_ns()));
        /* One that was called off says nothing about the backup. */
        r2 = r == -ERROR_CANCELLED ? 0 : save(&running, r < 0 ? NULL : err);
        *ret = json_incref(running.report);
        running_done(&running);
        if (r < 0)
                return error_prefix(err, error_move(err, &reason, r), "drill of \"%s\"", drill->service);
        return r2;
}

/* ---- what a killed keeper left ---- */

static bool is_throwaway(const VolumeInfo *volume)
{
        _cleanup_free_ char *mark = volume->path ? path_join(volume->path, RESTORE_MARK) : NULL;

        return !volume->in_trash && mark &&
               (endswith(volume->name, DRILL_SUFFIX) || endswith(volume->name, PART_SUFFIX)) && fs_exists(mark);
}

int drill_clear_left(const Layout *layout, Engine *engine, const char *project, Error **err)
{
        VolumeInfo **list = NULL;
        size_t length = 0;
        int r = engine->operations->volume_list(engine, project, &list, &length, err);

        for (size_t i = 0; i < length; i++) {
                const ServiceRestore restore = {
                        .layout = layout, .engine = engine, .project = project, .into = list[i]->name
                };

                if (r >= 0 && is_throwaway(list[i]))
                        r = restore_service_discard(&restore, err);
                volume_info_free(list[i]);
        }
        free(list);
        return MIN(r, 0);
}
