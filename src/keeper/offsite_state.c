#include "keeper/offsite_private.h"

#include <sys/eventfd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/alerts.h"
#include "state/document.h"

#define STATE_FORMAT 1

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
        const char *name;
        json_t *state;

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
        json_object_foreach(json_object_get(offsite->state, "services"), name, state)
                json_object_del(state, "running"); /* of a keeper that was killed */
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

int64_t offsite_now_ns(const Offsite *offsite)
{
        return loop_realtime_ns(offsite->keeper->parts.loop);
}

/* ---- what is remembered ---- */

json_t *offsite_state(Offsite *offsite, const char *service)
{
        json_t *services = json_object_get(offsite->state, "services"), *state = json_object_get(services, service);

        if (!state) {
                state = json_object();
                json_object_set_new(services, service, state);
        }
        return state;
}

void offsite_save(Offsite *offsite)
{
        _cleanup_error_ Error *error = NULL;

        if (document_save(offsite->path, STATE_FORMAT, offsite->state, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "keep the state of the copies elsewhere");
}

void offsite_state_set(json_t *state, const char *key, int64_t value)
{
        json_object_set_new(state, key, json_integer(value));
}

int64_t offsite_failures(Offsite *offsite, const char *service)
{
        return json_get_int(offsite_state(offsite, service), "failures", 0);
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
                        log_warning(OFFSITE_WHAT " of %s lacks %s", place->service, json_string_value(item));
        json_object_set(state, "left_out", (json_t *)left_out);
        json_set_string(state, "bundle", bundle);
}

static void take_place(json_t *state, const json_t *told)
{
        static const char *const members[] = { "copied_ns", "copied_lsn", "timeline" };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (json_object_get(told, members[i]))
                        json_object_set(state, members[i], json_object_get(told, members[i]));
}

void offsite_note_copied(Offsite *offsite, const char *service, const json_t *event)
{
        take_place(offsite_state(offsite, service), event);
        offsite_save(offsite);
}

void offsite_note_success(Offsite *offsite, Place *place, json_t *result)
{
        json_t *state = offsite_state(offsite, place->service);
        bool told = json_get_bool(state, "told", false);

        take_place(state, result);
        json_set_string(state, "key", json_get_string(result, "key", NULL));
        if (!json_object_get(result, "key"))
                json_object_del(state, "key");
        note_bundle(place, state, result);
        json_set_string(state, "phase", json_get_int(result, "copied_ns", 0) ? "copied" : "waiting");
        json_set_string(state, "message", "");
        json_object_del(state, "cause");
        offsite_state_set(state, "finished_ns", offsite_now_ns(offsite));
        if (json_get_int(state, "failures", 0))
                log_info(OFFSITE_WHAT " of %s works again", place->service);
        offsite_state_set(state, "failures", 0);
        json_object_set_new(state, "told", json_false());
        if (told)
                alerts_tell(offsite->keeper, place->service, OFFSITE_WHAT, true, "it works again");
}

void offsite_note_failure(Offsite *offsite, Place *place, const Error *error)
{
        json_t *state = offsite_state(offsite, place->service);
        int64_t failures = json_get_int(state, "failures", 0) + 1;
        _cleanup_free_ char *message =
                error->hint ? xasprintf("%s. %s", error->message, error->hint) : xstrdup(error->message);

        json_set_string(state, "phase", "failed");
        if (!streq(json_get_string(state, "message", ""), message))
                log_warning(OFFSITE_WHAT " of %s: %s", place->service, message);
        json_set_string(state, "message", message);
        offsite_state_set(state, "failures", failures);
        if (failures < OFFSITE_TOLD_AFTER || json_get_bool(state, "told", false))
                return;
        json_object_set_new(state, "told", json_true());
        alerts_tell(offsite->keeper, place->service, OFFSITE_WHAT, false, message);
}

void offsite_forget_unwanted(Offsite *offsite)
{
        _cleanup_strv_ char **names = NULL;
        const char *name;
        json_t *state;

        json_object_foreach(json_object_get(offsite->state, "services"), name, state) {
                const json_t *words = backup_setting_of(offsite->keeper->state.model, name, "offsite");
                if (!offsite_names_place(words))
                        strv_add(&names, name);
        }
        STRV_FOREACH(item, names)
                json_object_del(json_object_get(offsite->state, "services"), *item);
        if (names)
                offsite_save(offsite);
}
