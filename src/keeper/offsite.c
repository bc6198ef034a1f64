#include "keeper/offsite_private.h"

#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/backups.h"
#include "keeper/watch.h"
#include "state/document.h"
#include "state/worker.h"

#define FIRST_NS     (2 * NSEC_PER_SEC)  /* after a start or a backup */
#define RETRY_NS     (60 * NSEC_PER_SEC) /* the first one, where the interval is not shorter */
#define RETRY_MAX_NS (15 * 60 * NSEC_PER_SEC)
#define LOOK_NS      (10 * 60 * NSEC_PER_SEC) /* the loop's timers do not see that the clock is set */
#define GRACE_MS     1000                     /* it may hang in the network, and may be killed anywhere */

/* ---- when ---- */

static int64_t pause_of(Offsite *offsite, const Place *place)
{
        int64_t failures = offsite_failures(offsite, place->service);
        int64_t pause_ns = place->settings.interval_ns ? MIN(place->settings.interval_ns, RETRY_NS) : RETRY_NS;

        for (int64_t i = 1; i < failures && pause_ns < RETRY_MAX_NS; i++)
                pause_ns *= 2;
        return MIN(pause_ns, RETRY_MAX_NS);
}

static void set_next(Offsite *offsite, Place *place, int64_t delay_ns)
{
        place->set_ns = offsite_now_ns(offsite);
        place->next_ns = place->set_ns + delay_ns;
}

static void plan_next(Offsite *offsite, Place *place, bool failed)
{
        const OffsiteSettings *settings = &place->settings;
        int64_t now = offsite_now_ns(offsite);

        place->set_ns = now;
        if (failed)
                place->next_ns = now + pause_of(offsite, place);
        else if (settings->interval_ns)
                place->next_ns = now + settings->interval_ns;
        else
                place->next_ns = cron_next(&settings->cron, settings->timezone, now / NSEC_PER_SEC) * NSEC_PER_SEC;
        offsite_state_set(offsite_state(offsite, place->service), "next_ns", place->next_ns);
}

/* ---- the work ---- */

typedef struct CopyCall {
        Offsite *offsite;
        const Layout *layout;
        char *service;
        json_t *params, *result;
        int cancel_fd;
} CopyCall;

typedef struct Copied {
        Offsite *offsite;
        char *service;
        json_t *event;
} Copied;

static void note_copied(void *context)
{
        Copied *copied = context;
        Offsite *offsite = copied->offsite;

        if (streq_ptr(offsite->at_work, copied->service))
                offsite_note_copied(offsite, copied->service, copied->event);
        json_decref(copied->event);
        free(copied->service);
        free(copied);
}

static void on_event(void *context, const json_t *event)
{
        const CopyCall *call = context;
        Copied *copied;
        const char *warning = json_get_string(event, "warning", NULL);

        if (warning)
                log_warning(OFFSITE_WHAT " of %s: %s", call->service, warning);
        if (!json_object_get(event, "copied_ns"))
                return;
        copied = xnew(Copied);
        *copied = (Copied){ call->offsite, xstrdup(call->service), json_deep_copy(event) };
        loop_defer(call->offsite->keeper->parts.loop, note_copied, copied);
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
        if (place)
                json_object_del(offsite_state(offsite, place->service), "running");
        if (place && failed)
                offsite_note_failure(offsite, place, error);
        else if (place && result >= 0)
                offsite_note_success(offsite, place, call->result);
        if (place) {
                plan_next(offsite, place, failed);
                offsite_save(offsite);
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
        json_t *state = offsite_state(offsite, place->service);

        *call = (CopyCall){ offsite,
                            offsite->keeper->parts.layout,
                            xstrdup(place->service),
                            TAKE_PTR(place->params), /* a thread has it now */
                            NULL,
                            offsite->cancel_fd };
        place->last_due = false;
        free_and_replace(&offsite->at_work, xstrdup(place->service));
        offsite_state_set(state, "started_ns", offsite_now_ns(offsite));
        json_set_string(state, "url", json_get_string(place->settings.copy, "url", ""));
        json_object_set_new(state, "running", json_true());
        offsite_save(offsite);
        thread_pool_post(offsite->keeper->parts.pool, copy_work, copy_done, call);
}

/* A next time that a clock of the future has told may be years away. */
static void mind_clock(Offsite *offsite)
{
        STRMAP_FOREACH(entry, &offsite->places) {
                Place *place = entry->value;
                if (place->set_ns > offsite_now_ns(offsite))
                        plan_next(offsite, place, offsite_failures(offsite, place->service) > 0);
        }
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
        json_object_set_new(params, "max_rate", json_integer(place->settings.max_rate));
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
        Place *place;
        int64_t delay_ns;

        mind_clock(offsite);
        place = offsite->at_work || offsite->keeper->quitting ? NULL : most_due(offsite);
        offsite->timer = loop_timer_remove(offsite->timer);
        if (!place)
                return;
        if (place->next_ns <= offsite_now_ns(offsite)) {
                if (!place->params && offsite->keeper->state.model)
                        place->params = make_params(offsite, place);
                if (place->params)
                        begin(offsite, place);
                else
                        place->gone = !(place->last_due = false);
                return;
        }
        delay_ns = MIN(place->next_ns - offsite_now_ns(offsite), LOOK_NS);
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
        set_next(offsite, place, FIRST_NS);
        strmap_set(&offsite->places, service, place);
        return place;
}

/* For `berth schedule`. */
static void note_schedule(Offsite *offsite, const Place *place)
{
        const json_t *words = backup_setting_of(offsite->keeper->state.model, place->service, "offsite");
        const json_t *zone = backup_setting_of(offsite->keeper->state.model, place->service, "timezone");
        json_t *state = offsite_state(offsite, place->service);

        json_set_string(state, "schedule", json_get_string(words, "schedule", OFFSITE_INTERVAL));
        if (place->settings.interval_ns)
                json_object_del(state, "timezone");
        else
                json_set_string(state, "timezone", json_string_value(zone));
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
                if (streq(json_get_string(offsite_state(offsite, service), "cause", ""), error->message))
                        return; /* said already */
                json_set_string(offsite_state(offsite, service), "cause", error->message);
                offsite_state_set(offsite_state(offsite, service), "failures",
                                  OFFSITE_TOLD_AFTER - 1); /* it will not get better by itself */
                offsite_note_failure(offsite, place, error);
                offsite_save(offsite);
                return;
        }
        place->gone = false;
        offsite_settings_done(&place->settings);
        place->settings = settings;
        note_schedule(offsite, place);
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
                offsite_forget_unwanted(offsite);
        }
        STRMAP_FOREACH(entry, &offsite->places) {
                Place *place = entry->value;
                bool known, runs = database_runs(keeper, place->service, &known);

                if (place->running && !runs && (!offsite_failures(offsite, place->service))) {
                        place->last_due = true;
                        set_next(offsite, place, FIRST_NS);
                }
                place->running = runs;
        }
        look(offsite);
}

void offsite_backup_taken(Keeper *keeper, const char *service)
{
        Place *place = keeper->offsite ? strmap_get(&keeper->offsite->places, service) : NULL;

        if (!place || !place->settings.interval_ns || offsite_failures(keeper->offsite, service))
                return;
        set_next(keeper->offsite, place, 0);
        look(keeper->offsite);
}

json_t *offsite_location(const Keeper *keeper, const char *service)
{
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
        json_t *location;
        bool said = false;

        if (!keeper->state.model ||
            offsite_settings_read(keeper->state.model, keeper->state.working_dir, service, &settings, &said, NULL) <
                    0 ||
            !said)
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
