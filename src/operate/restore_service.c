#include "operate/restore_service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/data_folder.h"
#include "operate/restore_container.h"
#include "operate/restore_mark.h"
#include "operate/restore_places.h"
#include "operate/target.h"
#include "state/document.h"
#include "state/worker.h"

/* ---- the copy ---- */

typedef struct Told {
        const EngineProgress *progress;
} Told;

static void on_event(void *context, const json_t *event)
{
        const EngineProgress *progress = ((Told *)context)->progress;
        const char *status = json_get_string(event, "status", NULL), *warning = json_get_string(event, "warning", NULL);

        if (status && progress->status)
                progress->status(progress->context, status);
        if (warning && progress->warning)
                progress->warning(progress->context, warning);
        if (json_object_get(event, "done") && progress->bytes)
                progress->bytes(progress->context, json_get_string(event, "what", ""),
                                (uint64_t)json_get_int(event, "done", 0), (uint64_t)json_get_int(event, "total", 0));
}

int restore_run_job(const ServiceRestore *restore, const char *job, json_t *params, const EngineProgress *progress,
                    json_t **ret, Error **err)
{
        _cleanup_json_ json_t *owned = params;
        Told told = { progress };
        WorkerRun run = { .job = job,
                          .params = owned,
                          .input_fd = -1,
                          .cancel_fd = progress->cancel_fd,
                          .context = &told,
                          .event = on_event };

        return worker_run(restore->layout, &run, ret, err);
}

static int remove_mark(const char *root, Error **err)
{
        _cleanup_free_ char *mark = path_join(root, RESTORE_MARK);

        return fs_remove_tree(AT_FDCWD, mark, err);
}

static int share_blocks(const ServiceRestore *restore, const RestorePlaces *places, const char *data, const char *mark,
                        const EngineProgress *progress, json_t **ret, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        int r = restore->engine->operations->container_inspect(restore->engine, places->container, &info, err);

        if (r < 0)
                return r;
        if (info->state != CONTAINER_RUNNING || info->pid <= 0)
                return error_set(err, ERROR_UNSUPPORTED, "service \"%s\" is not running", restore->service);
        return restore_run_job(restore, "reflink",
                               json_pack("{s:o, s:s, s:s, s:s}", "target", database_target_to_json(info), "inside",
                                         places->inside, "directory", data, "lock", mark),
                               progress, ret, err);
}

static int lay_out(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                   json_t **ret, Error **err)
{
        _cleanup_free_ char *data = *places->rest ? path_join(places->staged, places->rest) : xstrdup(places->staged);
        _cleanup_free_ char *mark = path_join(places->staged, RESTORE_MARK);
        json_t *params;

        if (restore->reflink)
                return share_blocks(restore, places, data, mark, progress, ret, err);
        params = json_pack("{s:s, s:s, s:s, s:I}", "repository", restore->repository, "directory", data, "inside",
                           places->inside, "timeline", (json_int_t)restore->timeline);
        json_set_string(params, "to", restore->to);
        json_set_string(params, "backup", restore->backup);
        json_set_string(params, "lock", mark);
        if (restore->elsewhere)
                json_object_set_new(params, "elsewhere", json_deep_copy(restore->elsewhere));
        return restore_run_job(restore, "restore", params, progress, ret, err);
}

static void throw_away(const ServiceRestore *restore, const RestorePlaces *places)
{
        if (places->volume)
                restore->engine->operations->volume_remove(restore->engine, places->volume, true, NULL);
        else
                fs_remove_tree(AT_FDCWD, places->staged, NULL);
}

int restore_service_prepare(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                            json_t **ret, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int r = lay_out(restore, places, progress, &result, err);

        if (r >= 0)
                r = restore_recover(restore, places, progress, result, NULL, err);
        /* A copy that is exchanged keeps the mark until then: what is in the volume's place afterwards is whole. */
        if (r >= 0 && restore->into)
                r = remove_mark(places->staged, err);
        if (r < 0) {
                throw_away(restore, places);
                return error_prefix(err, r, restore->reflink ? "data of \"%s\"" : "restore \"%s\"", restore->service);
        }
        json_set_string(result, "copy", places->volume ? places->volume : places->staged);
        json_set_string(result, "target", places->target);
        json_object_set_new(result, "is_volume", json_boolean(places->volume != NULL));
        *ret = TAKE_PTR(result);
        return 0;
}

/* *ret_ns: how long it took. */
static int verify(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                  json_t *result, int64_t *ret_ns, Error **err)
{
        int64_t began_ns = clock_monotonic_ns();
        _cleanup_free_ char *outcome = NULL;
        int r = restore->verify ? restore_verify_files(restore, places, progress, &outcome, err) : 0;

        json_set_string(result, "verified", outcome);
        *ret_ns = clock_monotonic_ns() - began_ns;
        return error_prefix(err, r, "pg_verifybackup");
}

int restore_service_open(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                         json_t **ret, char **ret_container, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int64_t began_ns = clock_monotonic_ns(), verified_ns = 0;
        int r = lay_out(restore, places, progress, &result, err);

        if (r >= 0)
                r = verify(restore, places, progress, result, &verified_ns, err);
        if (r >= 0)
                r = restore_recover(restore, places, progress, result, ret_container, err);
        if (r < 0) {
                throw_away(restore, places);
                return error_prefix(err, r, "restore a copy of \"%s\"", restore->service);
        }
        json_object_set_new(result, "ready_ms",
                            json_integer((clock_monotonic_ns() - began_ns - verified_ns) / NSEC_PER_MSEC));
        *ret = TAKE_PTR(result);
        return 0;
}

int restore_service_discard(const ServiceRestore *restore, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        int r = restore_container_clear(restore, err);

        if (r < 0 ||
            restore->engine->operations->volume_inspect(restore->engine, restore->into, false, &volume, NULL) < 0)
                return MIN(r, 0);
        r = restore_await_writer(volume->path, err);
        return r < 0 ? r : restore->engine->operations->volume_remove(restore->engine, restore->into, true, err);
}

/* ---- the exchange ---- */

static int find_copy(const ServiceRestore *restore, const char *copy, char **ret, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        int r;

        if (*copy == '/') {
                *ret = xstrdup(copy);
                return 0;
        }
        r = restore->engine->operations->volume_inspect(restore->engine, copy, false, &volume, err);
        if (r >= 0)
                *ret = xstrdup(volume->path);
        return r;
}

/* One step of the file system: a crash leaves the old data or the new. */
static int exchange(const char *present, const char *staged, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(present), *other = path_dirname(staged);
        int r;

        if (renameat2(AT_FDCWD, present, AT_FDCWD, staged, RENAME_EXCHANGE) < 0)
                return error_set_errno(err, errno, "exchange \"%s\" and its copy", present);
        r = fs_sync_directory(AT_FDCWD, parent, err);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, other, err);
}

int restore_service_exchange(const ServiceRestore *restore, const char *copy, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_restore_places_ RestorePlaces places = { 0 };
        _cleanup_free_ char *staged = NULL;
        const SpecMount *mount;
        int r = restore_find_container(restore, &info, err);

        if (r >= 0 && (info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED))
                r = error_set(err, ERROR_CONFLICT, "container %s runs", info->name);
        if (r >= 0)
                r = restore_find_present(restore, info, &places, &mount, err);
        if (r >= 0)
                r = find_copy(restore, copy, &staged, err);
        if (r >= 0 && restore_is_unfinished(staged)) /* else it has been exchanged already */
                r = exchange(places.present, staged, err);
        if (r >= 0)
                r = remove_mark(places.present, err);
        return error_prefix(err, r, "restore \"%s\"", restore->service);
}
