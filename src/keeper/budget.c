#include "keeper/budget.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "keeper/alerts.h"
#include "keeper/backups.h"
#include "keeper/watch.h"
#include "operate/backup_settings.h"
#include "operate/budget.h"
#include "state/document.h"

#define STATE_FORMAT 1
#define EVERY_NS     (10 * 60 * NSEC_PER_SEC)
#define FIRST_NS     (5 * NSEC_PER_SEC)
#define WHAT         "backup budget"

struct Budget {
        Keeper *keeper;
        char *path;
        json_t *state; /* {"services": {…}} */
        LoopTimer *timer;
        json_t *asked; /* what the project said of each service when it was looked at last; NULL: never */
        bool looking, again;
};

/* One look, on a thread: {"services": {NAME: {"budget"?}}} becomes what is remembered. */
typedef struct Look {
        Keeper *keeper;
        json_t *wishes, *found;
} Look;

Budget *budget_create(Keeper *keeper)
{
        Budget *budget = xnew(Budget);

        *budget = (Budget){ .keeper = keeper,
                            .path = layout_data(keeper->parts.layout, "projects/%s/budget.json", keeper->project) };
        document_load(budget->path, STATE_FORMAT, &budget->state, NULL); /* absent or damaged: it is looked at anew */
        return budget;
}

void budget_free(Budget *budget)
{
        if (!budget)
                return;
        loop_timer_remove(budget->timer);
        json_decref(budget->state);
        json_decref(budget->asked);
        free(budget->path);
        free(budget);
}

static const json_t *state_of(const Budget *budget, const char *service)
{
        return json_object_get(json_object_get(budget->state, "services"), service);
}

bool budget_is_over(const Keeper *keeper, const char *service)
{
        return keeper->budget && json_get_bool(state_of(keeper->budget, service), "over", false);
}

/* ---- looking ---- */

static json_t *look_at(const Keeper *keeper, const char *service, const json_t *word)
{
        _cleanup_free_ char *folder = layout_data(keeper->parts.layout, "backups/%s/%s", keeper->project, service),
                            *rule = NULL;
        BudgetFacts facts;
        uint64_t budget;

        if (!budget_look(folder, &facts) || !facts.data_bytes)
                return NULL;
        budget = budget_compute(&facts, json_string_value(word), &rule);
        return json_pack("{s:I, s:I, s:I, s:s, s:b}", "used_bytes", (json_int_t)facts.used_bytes, "budget_bytes",
                         (json_int_t)budget, "data_bytes", (json_int_t)facts.data_bytes, "rule", rule, "over",
                         (int)(facts.used_bytes > budget));
}

static int look_work(void *context, Error **err)
{
        Look *look = context;
        const char *service;
        json_t *word;

        json_object_foreach(look->wishes, service, word) {
                json_t *one = look_at(look->keeper, service, word);
                if (one)
                        json_object_set_new(look->found, service, one);
        }
        return 0;
}

static char *describe(const json_t *state)
{
        _cleanup_free_ char *used = format_size((uint64_t)json_get_int(state, "used_bytes", 0));
        _cleanup_free_ char *budget = format_size((uint64_t)json_get_int(state, "budget_bytes", 0));

        return xasprintf("backups take %s, the budget is %s (%s)", used, budget, json_get_string(state, "rule", ""));
}

static void tell_changes(Budget *budget, json_t *found)
{
        const char *service;
        json_t *now;

        json_object_foreach(found, service, now) {
                bool was = json_get_bool(state_of(budget, service), "over", false),
                     is = json_get_bool(now, "over", false);
                _cleanup_free_ char *text = describe(now);

                json_object_set_new(now, "at_ns", json_integer(loop_realtime_ns(budget->keeper->parts.loop)));
                if (was == is)
                        continue;
                if (is)
                        log_warning("%s: %s; they go on", service, text);
                else
                        log_info("%s: %s", service, text);
                alerts_tell(budget->keeper, service, WHAT, !is, text);
        }
}

static void arm(Budget *budget, int64_t delay_ns);

static void look_done(void *context, int result, Error *error)
{
        Look *look = context;
        Budget *budget = look->keeper->budget;
        _cleanup_error_ Error *failure = NULL;

        budget->looking = false;
        tell_changes(budget, look->found);
        json_decref(budget->state);
        budget->state = json_pack("{s:O}", "services", look->found);
        if (document_save(budget->path, STATE_FORMAT, budget->state, &failure) < 0)
                log_failure(LOG_LEVEL_WARNING, failure, "keep how much room backups take");
        json_decref(look->wishes);
        json_decref(look->found);
        free(look);
        arm(budget, budget->again ? 0 : EVERY_NS);
        budget->again = false;
        keeper_check_idle(budget->keeper);
}

static json_t *wishes_of(const Keeper *keeper)
{
        json_t *wishes = json_object();

        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                const json_t *word;

                if (!unit->postmaster_path || unit->oneoff || unit->number > 1 ||
                    !backups_are_wanted(keeper, unit->service))
                        continue;
                word = backup_setting_of(keeper->state.model, unit->service, "budget");
                json_object_set_new(wishes, unit->service, word ? json_deep_copy(word) : json_null());
        }
        return wishes;
}

static void on_timer(void *context)
{
        Budget *budget = context;
        Look *look;
        json_t *wishes;

        budget->timer = NULL;
        if (budget->keeper->quitting || budget->looking)
                return;
        wishes = wishes_of(budget->keeper);
        if (!json_object_size(wishes)) {
                json_decref(wishes);
                return;
        }
        look = xnew(Look);
        *look = (Look){ budget->keeper, wishes, json_object() };
        budget->looking = true;
        thread_pool_post(budget->keeper->parts.pool, look_work, look_done, look);
}

static void arm(Budget *budget, int64_t delay_ns)
{
        Loop *loop = budget->keeper->parts.loop;

        budget->timer = loop_timer_remove(budget->timer);
        budget->timer = loop_add_timer(loop, loop_now_ns(loop) + delay_ns, on_timer, budget);
}

void budget_update(Keeper *keeper)
{
        Budget *budget = keeper->budget;
        _cleanup_json_ json_t *wishes = NULL;

        if (!budget || keeper->quitting || !keeper->state.model)
                return;
        wishes = wishes_of(keeper);
        if (!json_object_size(wishes) || json_equal(wishes, budget->asked))
                return;
        if (budget->asked)
                budget_look_now(keeper);
        else
                arm(budget, FIRST_NS);
        json_decref(budget->asked);
        budget->asked = TAKE_PTR(wishes);
}

void budget_look_now(Keeper *keeper)
{
        if (!keeper->budget)
                return;
        if (keeper->budget->looking)
                keeper->budget->again = true;
        else
                arm(keeper->budget, 0);
}
