#include "keeper/offsite.h"

#include <sys/eventfd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/alerts.h"
#include "keeper/backups.h"
#include "keeper/watch.h"
#include "operate/backup_settings.h"
#include "state/document.h"
#include "state/worker.h"

#define STATE_FORMAT 1
#define FIRST_NS     (2 * NSEC_PER_SEC)  /* after a start or a backup */
#define RETRY_NS     (60 * NSEC_PER_SEC) /* the first one, where the interval is not shorter */
#define RETRY_MAX_NS (15 * 60 * NSEC_PER_SEC)
#define LOOK_NS      (10 * 60 * NSEC_PER_SEC) /* the loop's timers do not see that the clock is set */
#define TOLD_AFTER   4
#define GRACE_MS     1000 /* it may hang in the network, and may be killed anywhere */
#define WHAT         "off-site copy"

/* One service's copy. */
typedef struct Place {
        char *service;
        json_t *params;        /* of the job; NULL: to be made */
        const json_t *made_of; /* the model that params are made of, for comparison only */
        OffsiteSettings settings;
        int64_t next_ns; /* realtime */
        bool running;    /* the database */
        bool last_due;   /* it was stopped: its log is copied once more */
        bool gone;       /* the project does not ask for it any more */
} Place;

struct Offsite {
        Keeper *keeper;
        char *path;
        json_t *state; /* {"services": {…}} */
        Strmap places;
        LoopTimer *timer;
        char *at_work; /* the service that is being copied; NULL */
        int cancel_fd;
};

static void place_free(void *pointer)
{
        Place *place = pointer;

        offsite_settings_done(&place->settings);
        json_decref(place->params);
        free(place->service);
        free(place);
}

Offsite *offsite_create(Keeper *keeper)
{
        Offsite *offsite = xnew(Offsite);
        _cleanup_error_ Error *error = NULL;

        *offsite = (Offsite){ .keeper = keeper,
                              .path = layout_data(keeper->parts.layout, "projects/%s/offsite.json", keeper->project),
                              .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        offsite->places.free_value = place_free;
        if (document_load(offsite->path, STATE_FORMAT, &offsite->state, &error) < 0 && error->kind != ERROR_NOT_FOUND)
                log_failure(LOG_LEVEL_WARNING, error, "state of the copies elsewhere");
        if (!json_is_object(json_object_get(offsite->state, "services"))) {
                json_decref(offsite->state);
                offsite->state = json_pack("{s:{}}", "services");
        }
        return offsite;
}

void offsite_free(Offsite *offsite)
{
        if (!offsite)
                return;
        loop_timer_remove(offsite->timer);
        strmap_done(&offsite->places);
        json_decref(offsite->state);
        fs_close(offsite->cancel_fd);
        free(offsite->at_work);
        free(offsite->path);
        free(offsite);
}

static int64_t now_ns(const Offsite *offsite)
{
        return loop_realtime_ns(offsite->keeper->parts.loop);
}

/* ---- what is remembered ---- */

static json_t *state_of(Offsite *offsite, const char *service)
{
        json_t *services = json_object_get(offsite->state, "services"), *state = json_object_get(services, service);

        if (!state) {
                state = json_object();
                json_object_set_new(services, service, state);
        }
        return state;
}

static void save(Offsite *offsite)
{
        _cleanup_error_ Error *error = NULL;

        if (document_save(offsite->path, STATE_FORMAT, offsite->state, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "keep the state of the copies elsewhere");
}

static void set_int(json_t *state, const char *key, int64_t value)
{
        json_object_set_new(state, key, json_integer(value));
}

/* What stays out of the copy is said when it changes. */
static void note_bundle(const Place *place, json_t *state, const json_t *result)
{
        const json_t *left_out = json_object_get(result, "left_out");
        const char *bundle = json_get_string(result, "bundle", NULL);
        json_t *item;
        size_t i;

        if (!bundle)
                return;
        if (!json_equal(left_out, json_object_get(state, "left_out")))
                json_array_foreach(left_out, i, item)
                        log_warning(WHAT " of %s lacks %s", place->service, json_string_value(item));
        json_object_set(state, "left_out", (json_t *)left_out);
        json_set_string(state, "bundle", bundle);
}

static void note_success(Offsite *offsite, Place *place, json_t *result)
{
        static const char *const members[] = { "copied_ns", "copied_lsn", "timeline", "key" };
        json_t *state = state_of(offsite, place->service);
        bool told = json_get_bool(state, "told", false);

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (json_object_get(result, members[i]))
                        json_object_set(state, members[i], json_object_get(result, members[i]));
        if (!json_object_get(result, "key"))
                json_object_del(state, "key");
        note_bundle(place, state, result);
        json_set_string(state, "phase", json_get_int(result, "copied_ns", 0) ? "copied" : "waiting");
        json_set_string(state, "message", "");
        json_object_del(state, "cause");
        set_int(state, "finished_ns", now_ns(offsite));
        if (json_get_int(state, "failures", 0))
                log_info(WHAT " of %s works again", place->service);
        set_int(state, "failures", 0);
        json_object_set_new(state, "told", json_false());
        if (told)
                alerts_tell(offsite->keeper, place->service, WHAT, true, "it works again");
}

static void note_failure(Offsite *offsite, Place *place, const Error *error)
{
        json_t *state = state_of(offsite, place->service);
        int64_t failures = json_get_int(state, "failures", 0) + 1;
        _cleanup_free_ char *message =
                error->hint ? xasprintf("%s. %s", error->message, error->hint) : xstrdup(error->message);

        json_set_string(state, "phase", "failed");
        if (!streq(json_get_string(state, "message", ""), message))
                log_warning(WHAT " of %s: %s", place->service, message);
        json_set_string(state, "message", message);
        set_int(state, "failures", failures);
        if (failures < TOLD_AFTER || json_get_bool(state, "told", false))
                return;
        json_object_set_new(state, "told", json_true());
        alerts_tell(offsite->keeper, place->service, WHAT, false, message);
}

/* ---- when ---- */

static int64_t pause_of(Offsite *offsite, const Place *place)
{
        int64_t failures = json_get_int(state_of(offsite, place->service), "failures", 0);
        int64_t pause_ns = place->settings.interval_ns ? MIN(place->settings.interval_ns, RETRY_NS) : RETRY_NS;

        for (int64_t i = 1; i < failures && pause_ns < RETRY_MAX_NS; i++)
                pause_ns *= 2;
        return MIN(pause_ns, RETRY_MAX_NS);
}

static void plan_next(Offsite *offsite, Place *place, bool failed)
{
        const OffsiteSettings *settings = &place->settings;
        int64_t now = now_ns(offsite);

        if (failed)
                place->next_ns = now + pause_of(offsite, place);
        else if (settings->interval_ns)
                place->next_ns = now + settings->interval_ns;
        else
                place->next_ns = cron_next(&settings->cron, settings->timezone, now / NSEC_PER_SEC) * NSEC_PER_SEC;
        set_int(state_of(offsite, place->service), "next_ns", place->next_ns);
}

/* ---- the work ---- */

typedef struct CopyCall {
        Offsite *offsite;
        const Layout *layout;
        char *service;
        json_t *params, *result;
        int cancel_fd;
} CopyCall;

static void on_event(void *context, const json_t *event)
{
        const CopyCall *call = context;
        const char *warning = json_get_string(event, "warning", NULL);

        if (warning)
                log_warning(WHAT " of %s: %s", call->service, warning);
}

static int copy_work(void *context, Error **err)
{
        CopyCall *call = context;
        WorkerRun run = { .job = "offsite",
                          .params = call->params,
                          .input_fd = -1,
                          .cancel_fd = call->cancel_fd,
                          .grace_ms = GRACE_MS,
                          .context = call,
                          .event = on_event };

        return worker_run(call->layout, &run, &call->result, err);
}

static void look(Offsite *offsite);

static void copy_done(void *context, int result, Error *error)
{
        CopyCall *call = context;
        Offsite *offsite = call->offsite;
        Place *place = strmap_get(&offsite->places, call->service);
        /* One that is at work by hand is no failure. */
        bool failed = result < 0 && result != -ERROR_CANCELLED && result != -ERROR_CONFLICT;

        free_and_replace(&offsite->at_work, NULL);
        if (place && failed)
                note_failure(offsite, place, error);
        else if (place && result >= 0)
                note_success(offsite, place, call->result);
        if (place) {
                plan_next(offsite, place, failed);
                save(offsite);
        }
        json_decref(call->params);
        json_decref(call->result);
        free(call->service);
        free(call);
        look(offsite);
        keeper_check_idle(offsite->keeper);
}

static void begin(Offsite *offsite, Place *place)
{
        CopyCall *call = xnew(CopyCall);
        json_t *state = state_of(offsite, place->service);

        *call = (CopyCall){ offsite,
                            offsite->keeper->parts.layout,
                            xstrdup(place->service),
                            TAKE_PTR(place->params), /* a thread has it now */
                            NULL,
                            offsite->cancel_fd };
        place->last_due = false;
        free_and_replace(&offsite->at_work, xstrdup(place->service));
        set_int(state, "started_ns", now_ns(offsite));
        json_set_string(state, "url", json_get_string(place->settings.copy, "url", ""));
        thread_pool_post(offsite->keeper->parts.pool, copy_work, copy_done, call);
}

/* The next one is made before it is needed: by then the model may be gone. */
static Place *most_due(Offsite *offsite)
{
        Place *best = NULL;

        STRMAP_FOREACH(entry, &offsite->places) {
                Place *place = entry->value;
                if ((!place->gone || place->last_due) && (!best || place->next_ns < best->next_ns))
                        best = place;
        }
        return best;
}

static json_t *make_params(const Offsite *offsite, const Place *place)
{
        const ProjectState *project = &offsite->keeper->state;
        json_t *params = json_pack("{s:s, s:s, s:O, s:O, s:{s:s, s:o, s:o}}", "project", offsite->keeper->project,
                                   "service", place->service, "copy", place->settings.copy, "keep",
                                   place->settings.keep, "bundle", "working_dir", project->working_dir, "files",
                                   json_from_strv(project->files), "model", json_deep_copy(project->model));

        json_set_string(params, "key", place->settings.key);
        return params;
}

static void on_timer(void *context)
{
        Offsite *offsite = context;

        offsite->timer = NULL;
        look(offsite);
}

/* Begins what is due, or waits for what is next. */
static void look(Offsite *offsite)
{
        Loop *loop = offsite->keeper->parts.loop;
        Place *place = offsite->at_work || offsite->keeper->quitting ? NULL : most_due(offsite);
        int64_t delay_ns;

        offsite->timer = loop_timer_remove(offsite->timer);
        if (!place)
                return;
        if (place->next_ns <= now_ns(offsite)) {
                if (!place->params && offsite->keeper->state.model)
                        place->params = make_params(offsite, place);
                if (place->params)
                        begin(offsite, place);
                else
                        place->gone = !(place->last_due = false);
                return;
        }
        delay_ns = MIN(place->next_ns - now_ns(offsite), LOOK_NS);
        offsite->timer = loop_add_timer(loop, loop_now_ns(loop) + delay_ns, on_timer, offsite);
}

/* ---- what is wanted ---- */

static bool database_runs(const Keeper *keeper, const char *service, bool *ret_known)
{
        bool runs = false;

        *ret_known = false;
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (!unit->postmaster_path || unit->oneoff || !streq_ptr(unit->service, service))
                        continue;
                *ret_known = true;
                runs |= unit->state == CONTAINER_RUNNING;
        }
        return runs;
}

static Place *get_place(Offsite *offsite, const char *service)
{
        Place *place = strmap_get(&offsite->places, service);

        if (place)
                return place;
        place = xnew(Place);
        place->service = xstrdup(service);
        /* What failed before this keeper began is not tried at once: others may have been started for that reason. */
        place->next_ns = now_ns(offsite) + FIRST_NS;
        strmap_set(&offsite->places, service, place);
        return place;
}

/* What cannot be used is said where people look, as a failure. */
static void read_settings(Offsite *offsite, const char *service)
{
        Keeper *keeper = offsite->keeper;
        OffsiteSettings settings = { 0 };
        _cleanup_error_ Error *error = NULL;
        bool said = false;
        Place *place;
        int r = offsite_settings_read(keeper->state.model, keeper->state.working_dir, service, &settings, &said,
                                      &error);

        if (r >= 0 && !said)
                return;
        place = get_place(offsite, service);
        if (r < 0) {
                place->gone = true;
                if (streq(json_get_string(state_of(offsite, service), "cause", ""), error->message))
                        return; /* said already */
                json_set_string(state_of(offsite, service), "cause", error->message);
                set_int(state_of(offsite, service), "failures", TOLD_AFTER - 1); /* it will not get better by itself */
                note_failure(offsite, place, error);
                save(offsite);
                return;
        }
        place->gone = false;
        offsite_settings_done(&place->settings);
        place->settings = settings;
        if (place->params && place->made_of == keeper->state.model)
                return;
        json_decref(place->params);
        place->params = make_params(offsite, place); /* kept for the end of the log, when the model may be gone */
        place->made_of = keeper->state.model;
}

static void read_project(Offsite *offsite)
{
        Keeper *keeper = offsite->keeper;

        STRMAP_FOREACH(entry, &offsite->places) {
                Place *place = entry->value;
                place->gone = true;
        }
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->postmaster_path && !unit->oneoff && unit->number <= 1 &&
                    backups_are_wanted(keeper, unit->service))
                        read_settings(offsite, unit->service);
        }
}

/* The state of what is not asked for any more would be taken for how it stands. */
static void forget_unwanted(Offsite *offsite)
{
        _cleanup_strv_ char **names = NULL;
        const char *name;
        json_t *state;

        json_object_foreach(json_object_get(offsite->state, "services"), name, state) {
                const json_t *words = backup_setting_of(offsite->keeper->state.model, name, "offsite");
                if (!json_is_object(words))
                        strv_add(&names, name);
        }
        STRV_FOREACH(item, names)
                json_object_del(json_object_get(offsite->state, "services"), *item);
        if (names)
                save(offsite);
}

void offsite_update(Keeper *keeper)
{
        Offsite *offsite = keeper->offsite;

        if (!offsite)
                return;
        if (keeper->quitting) {
                eventfd_write(offsite->cancel_fd, 1);
                return;
        }
        if (keeper->state.model && keeper->state.working_dir && keeper->ready) {
                read_project(offsite);
                forget_unwanted(offsite);
        }
        STRMAP_FOREACH(entry, &offsite->places) {
                Place *place = entry->value;
                bool known, runs = database_runs(keeper, place->service, &known);

                if (place->running && !runs && (!json_get_int(state_of(offsite, place->service), "failures", 0))) {
                        place->last_due = true;
                        place->next_ns = now_ns(offsite) + FIRST_NS;
                }
                place->running = runs;
        }
        look(offsite);
}

void offsite_backup_taken(Keeper *keeper, const char *service)
{
        Place *place = keeper->offsite ? strmap_get(&keeper->offsite->places, service) : NULL;

        if (!place || !place->settings.interval_ns || json_get_int(state_of(keeper->offsite, service), "failures", 0))
                return;
        place->next_ns = now_ns(keeper->offsite);
        look(keeper->offsite);
}

json_t *offsite_location(const Keeper *keeper, const char *service)
{
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
        json_t *location;
        bool said = false;

        if (!keeper->state.model || offsite_settings_read(keeper->state.model, keeper->state.working_dir, service, &settings, &said,
                                                          NULL) < 0 || !said)
                return NULL;
        location = json_pack("{s:O}", "copy", settings.copy);
        json_set_string(location, "key", settings.key);
        return location;
}

bool offsite_is_wanted(const Keeper *keeper)
{
        if (!keeper->offsite)
                return false;
        STRMAP_FOREACH(entry, &keeper->offsite->places)
                if (((const Place *)entry->value)->last_due)
                        return true;
        return keeper->offsite->at_work;
}
