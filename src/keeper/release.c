/* release: what was changed in a cluster is taken back, and its slot dropped. A receiver would put all of it there again, so a
 * released service is not backed up until the next "up" (<data>/projects/<project>/released.json). */
#include "keeper/release.h"

#include <fcntl.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/backups.h"
#include "keeper/watch.h"
#include "operate/cluster_record.h"
#include "operate/receiver_control.h"
#include "operate/target.h"
#include "state/document.h"
#include "state/worker.h"

#define RELEASED_FORMAT 1
#define START_NS        (60 * NSEC_PER_SEC)

/* ---- who was released ---- */

static char *released_path(const Keeper *keeper)
{
        return layout_data(keeper->parts.layout, "projects/%s/released.json", keeper->project);
}

static char **load_released(const Keeper *keeper)
{
        _cleanup_free_ char *path = released_path(keeper);
        _cleanup_json_ json_t *document = NULL;

        return document_load(path, RELEASED_FORMAT, &document, NULL) < 0 ? NULL : json_get_strv(document, "services");
}

bool release_holds(const Keeper *keeper, const char *service)
{
        _cleanup_strv_ char **services = load_released(keeper);

        return strv_contains(services, service) || strv_contains(keeper->released, service);
}

static int save_released(const Keeper *keeper, char *const *services, Error **err)
{
        _cleanup_free_ char *path = released_path(keeper);
        _cleanup_json_ json_t *document = json_pack("{s:o}", "services", json_from_strv(services));

        return strv_length(services) ? document_save(path, RELEASED_FORMAT, document, err)
                                     : fs_remove_tree(AT_FDCWD, path, err);
}

/* A disk that is full is no reason to hold anybody: then it is so as long as this keeper lives. */
static void add_released(Keeper *keeper, Request *request, char *const *services)
{
        _cleanup_strv_ char **all = load_released(keeper);
        _cleanup_error_ Error *error = NULL;

        STRV_FOREACH(service, services)
                if (!strv_contains(all, *service))
                        strv_add(&all, *service);
        if (save_released(keeper, all, &error) >= 0)
                return;
        STRV_FOREACH(service, services)
                if (!strv_contains(keeper->released, *service))
                        strv_add(&keeper->released, *service);
        request_warning(request, "the release cannot be written down, and lasts until the project's next keeper: %s",
                        error->message);
}

void release_lift(Keeper *keeper, char *const *services)
{
        _cleanup_strv_ char **all = load_released(keeper), **rest = NULL;
        _cleanup_strv_ char **unwritten = TAKE_PTR(keeper->released);
        _cleanup_error_ Error *error = NULL;

        STRV_FOREACH(service, unwritten)
                if (services && !strv_contains(services, *service))
                        strv_add(&keeper->released, *service);
        if (!all)
                return;
        STRV_FOREACH(service, all)
                if (services && !strv_contains(services, *service))
                        strv_add(&rest, *service);
        if (save_released(keeper, rest, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "end of a release");
}

/* ---- the work ---- */

typedef struct Release {
        Keeper *keeper;
        Request *request;       /* borrowed */
        char **services, **ids; /* of running databases, one beside the other */
        json_t *results;        /* {service, "changes", "repository"} */
        ReleaseDone done;
        void *context;
} Release;

/* A server that was started just now answers in a moment. */
static int run_job(const Release *release, const json_t *params, json_t **ret, Error **err)
{
        const struct timespec pause = { .tv_nsec = 100 * NSEC_PER_MSEC };
        int64_t until_ns = clock_monotonic_ns() + START_NS;

        for (;;) {
                WorkerRun run = {
                        .job = "release", .params = params, .input_fd = -1, .cancel_fd = release->request->cancel_fd
                };
                _cleanup_error_ Error *reason = NULL;
                int r = worker_run(release->keeper->parts.layout, &run, ret, &reason);

                if (r != -ERROR_UNAVAILABLE || clock_monotonic_ns() > until_ns)
                        return r < 0 ? error_move(err, &reason, r) : r;
                nanosleep(&pause, NULL);
        }
}

/* What the receiver took back by itself when it was ended: not where it had to be killed, and the job did it. */
static void add_receivers_part(json_t *result, const json_t *state)
{
        const json_t *first = json_array_get(json_object_get(result, "changes"), 0);

        if (streq(json_get_string(state, "synchronous", ""), "on") &&
            !streq(json_get_string(first, "name", ""), "synchronous_standby_names"))
                json_array_insert_new(json_object_get(result, "changes"), 0,
                                      json_pack("{s:s, s:s, s:s, s:s}", "what", "setting", "name",
                                                "synchronous_standby_names", "done", "taken back", "value",
                                                json_get_string(state, "slot", "")));
}

static int release_one(Release *release, const char *service, const char *id, Error **err)
{
        const KeeperParts *parts = &release->keeper->parts;
        _cleanup_json_ json_t *params = NULL,
                              *state = receiver_state_load(parts->layout, release->keeper->project, service);
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *stubborn = NULL;
        json_t *result = NULL;
        bool lived = receiver_state_pid(state) > 0;
        int r = parts->engine->operations->container_inspect(parts->engine, id, &info, err);

        if (r < 0)
                return r;
        /* One that does not end keeps its slot, which the job tells; commits go on all the same. */
        if (receiver_stop(parts->layout, release->keeper->project, service, &stubborn) < 0)
                log_failure(LOG_LEVEL_WARNING, stubborn, "release");
        params = json_pack("{s:s, s:s, s:o}", "project", release->keeper->project, "service", service, "target",
                           database_target_to_json(info));
        r = run_job(release, params, &result, err);
        if (r < 0)
                return r;
        if (lived)
                add_receivers_part(result, state);
        json_set_string(result, "service", service);
        json_array_append_new(release->results, result);
        return 0;
}

static int release_work(void *context, Error **err)
{
        Release *release = context;

        for (size_t i = 0; i < strv_length(release->services); i++) {
                int r = release_one(release, release->services[i], release->ids[i], err);

                if (r < 0)
                        return error_prefix(err, r, "service \"%s\"", release->services[i]);
        }
        return 0;
}

static void release_ended(void *context, int result, Error *error)
{
        Release *release = context;

        release->done(release->context, release->results, result < 0 ? error : NULL);
        json_decref(release->results);
        strv_free(release->services);
        strv_free(release->ids);
        free(release);
}

static bool is_named(char *const *services, const Unit *unit)
{
        return strv_length(services) == 0 || strv_contains(services, unit->service);
}

static Release *release_create(Keeper *keeper, Request *request, ReleaseDone done, void *context)
{
        Release *release = xnew(Release);

        *release = (Release){ keeper, request, NULL, NULL, json_array(), done, context };
        return release;
}

static bool is_running_database(const Unit *unit)
{
        return unit->state == CONTAINER_RUNNING && unit->postmaster_path && !unit->oneoff && unit->number <= 1;
}

static void begin(Release *release)
{
        thread_pool_post(release->keeper->parts.pool, release_work, release_ended, release);
}

/* ---- the request ---- */

static void request_done(void *context, const json_t *results, const Error *error)
{
        Request *request = context;

        if (error)
                request_fail(request, error);
        else
                request_finish(request, json_pack("{s:O}", "services", results));
}

void method_release(Request *request)
{
        Keeper *keeper = request->keeper;
        _cleanup_strv_ char **services = json_get_strv(request->params, "services");
        Release *release = release_create(keeper, request, request_done, request);
        _cleanup_error_ Error *error = NULL;
        int r = 0;

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (is_named(services, unit) && is_running_database(unit)) {
                        strv_add(&release->services, unit->service);
                        strv_add(&release->ids, unit->id);
                }
        }
        STRV_FOREACH(service, services)
                if (!strv_contains(release->services, *service))
                        r = error_set(&error, ERROR_NOT_FOUND, "service \"%s\": no database runs", *service);
        if (r == 0 && !release->services)
                r = error_set(&error, ERROR_NOT_FOUND, "no database of project \"%s\" runs", keeper->project);
        if (r < 0) {
                error_hint(&error, r, "\"berth start\" starts it: its settings can only be taken back while it runs.");
                strv_free(release->services);
                strv_free(release->ids);
                json_decref(release->results);
                free(release);
                request_fail(request, error);
                return;
        }
        add_released(keeper, request, release->services);
        backups_update(keeper); /* they are guarded no longer */
        begin(release);
}

/* ---- backups that were switched off ---- */

/* Something of ours may be in the cluster: one of the service's repositories says so. */
static bool is_remembered(const Keeper *keeper, const char *service)
{
        _cleanup_free_ char *folder = layout_data(keeper->parts.layout, "backups/%s/%s", keeper->project, service);
        _cleanup_strv_ char **lines = NULL;
        bool found = false;

        fs_list_directory(AT_FDCWD, folder, &lines, NULL);
        STRV_FOREACH(line, lines) {
                _cleanup_free_ char *path = path_join(folder, *line);
                _cleanup_json_ json_t *remembered = cluster_settings_load(path);

                found |= cluster_settings_hold(remembered);
        }
        return found;
}

bool release_unwanted(Keeper *keeper, Request *request, ReleaseDone done, void *context)
{
        Release *release = NULL;

        if (!keeper->backups)
                return false;
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (!is_running_database(unit) || backups_are_wanted(keeper, unit->service) ||
                    release_holds(keeper, unit->service) ||
                    !json_object_get(json_object_get(keeper->state.model, "services"), unit->service) ||
                    !is_remembered(keeper, unit->service))
                        continue;
                if (!release)
                        release = release_create(keeper, request, done, context);
                strv_add(&release->services, unit->service);
                strv_add(&release->ids, unit->id);
        }
        if (!release)
                return false;
        backups_update(keeper);
        begin(release);
        return true;
}

char *release_text(const json_t *change)
{
        const char *what = json_get_string(change, "what", ""), *name = json_get_string(change, "name", "");
        const char *value = json_get_string(change, "value", NULL), *before = json_get_string(change, "before", NULL);

        if (streq(what, "slot"))
                return xasprintf("replication slot %s is dropped", name);
        if (!streq(json_get_string(change, "done", ""), "taken back"))
                return xasprintf("%s stays %s%s%s: somebody has changed it since", name,
                                 value ? "\"" : "without a setting", value ? value : "", value ? "\"" : "");
        return before ? xasprintf("%s is \"%s\" again", name, before) : xasprintf("%s is reset", name);
}
