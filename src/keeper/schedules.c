#include "keeper/schedules.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "deploy/schedule.h"
#include "keeper/alerts.h"
#include "keeper/backup_tasks.h"
#include "keeper/backups.h"
#include "keeper/drills.h"
#include "keeper/watch.h"
#include "state/document.h"

#define BACKUP                   "backup"
#define DRILL                    "drill"
#define DEFAULT_DRILL_EXPRESSION "0 4 * * sun"
#define DEFAULT_EXPRESSION       "0 2 * * *"
#define DEFAULT_JITTER_NS        (10 * 60 * NSEC_PER_SEC)
/* The loop's timers do not see that the clock is set. */
#define LOOK_NS (10 * 60 * NSEC_PER_SEC)
#define BUSY_NS (60 * NSEC_PER_SEC)

struct Schedules {
        Keeper *keeper;
        char *path;
        Schedule schedule;
        LoopTimer *timer;
};

Schedules *schedules_create(Keeper *keeper)
{
        Schedules *schedules = xnew(Schedules);
        _cleanup_error_ Error *error = NULL;
        _cleanup_json_ json_t *json = NULL;
        _cleanup_free_ char *kept = NULL;
        int r;

        schedules->keeper = keeper;
        schedules->path = layout_data(keeper->parts.layout, "projects/%s/schedule.json", keeper->project);
        schedule_init(&schedules->schedule, keeper->project);
        r = document_load(schedules->path, SCHEDULE_FORMAT, &json, &error);
        if (r == -ERROR_CORRUPT && document_keep_aside(schedules->path, &kept, NULL) == 0)
                log_warning("the schedule is damaged and was kept aside as %s", kept);
        else if (r < 0 && r != -ERROR_NOT_FOUND)
                log_failure(LOG_LEVEL_WARNING, error, "read the schedule");
        if (json)
                schedule_load(&schedules->schedule, json);
        return schedules;
}

void schedules_free(Schedules *schedules)
{
        if (!schedules)
                return;
        loop_timer_remove(schedules->timer);
        schedule_done(&schedules->schedule);
        free(schedules->path);
        free(schedules);
}

static void save(const Schedules *schedules)
{
        _cleanup_json_ json_t *json = schedule_to_json(&schedules->schedule);
        _cleanup_error_ Error *error = NULL;

        if (document_save(schedules->path, SCHEDULE_FORMAT, json, &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "keep the schedule");
}

/* ---- running ---- */

static void arm(Schedules *schedules, int64_t longest_ns);

static void ended(Schedules *schedules, const char *kind, const char *service, bool good, const char *message)
{
        int64_t now_ns = loop_realtime_ns(schedules->keeper->parts.loop);
        ScheduledJob *job = schedule_find(&schedules->schedule, kind, service);

        if (!job)
                return;
        if (schedule_ended(&schedules->schedule, job, good, message, now_ns))
                alerts_tell(schedules->keeper, job->service, job->kind, job->outcome == SCHEDULE_SUCCEEDED,
                            job->message);
        save(schedules);
        arm(schedules, LOOK_NS);
}

static void backup_done(void *context, const char *service, const json_t *result, const Error *error)
{
        ended(context, BACKUP, service, result != NULL, result ? json_get_string(result, "id", NULL) : error->message);
}

static void drill_done(void *context, const char *service, const json_t *report, const Error *error)
{
        if (error &&
            error->kind == ERROR_CANCELLED) /* the keeper ends: the next one finds it running, and begins again */
                return;
        ended(context, DRILL, service, !error, error ? error->message : json_get_string(report, "message", NULL));
}

/* Whether it runs now, one way or the other. */
static bool begin(Schedules *schedules, ScheduledJob *job)
{
        int64_t now_ns = loop_realtime_ns(schedules->keeper->parts.loop);
        _cleanup_error_ Error *error = NULL;
        int r = streq(job->kind, DRILL)
                        ? drills_begin(schedules->keeper, job->service, drill_done, schedules, &error)
                        : backups_begin(schedules->keeper, job->service, backup_done, schedules, &error);

        if (r < 0)
                return false; /* another backup is at work, or the server is just coming or going */
        schedule_began(job, now_ns);
        save(schedules);
        return true;
}

static void on_timer(void *context)
{
        Schedules *schedules = context;
        int64_t now_ns = loop_realtime_ns(schedules->keeper->parts.loop);
        ScheduledJob *job;
        bool busy = false;

        schedules->timer = NULL;
        schedule_look(&schedules->schedule, now_ns);
        while (!busy && (job = schedule_due(&schedules->schedule, now_ns)))
                busy = !begin(schedules, job);
        arm(schedules, busy ? BUSY_NS : LOOK_NS);
}

static void arm(Schedules *schedules, int64_t longest_ns)
{
        Loop *loop = schedules->keeper->parts.loop;
        int64_t next_ns = schedule_next_ns(&schedules->schedule), delay_ns = longest_ns;

        schedules->timer = loop_timer_remove(schedules->timer);
        if (next_ns == INT64_MAX)
                return;
        if (longest_ns != BUSY_NS)
                delay_ns = MIN(MAX(next_ns - loop_realtime_ns(loop), INT64_C(0)), longest_ns);
        schedules->timer = loop_add_timer(loop, loop_now_ns(loop) + delay_ns, on_timer, schedules);
}

/* ---- what is wanted ---- */

static bool service_runs(const Keeper *keeper, const char *service)
{
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (!unit->oneoff && unit->state == CONTAINER_RUNNING && streq_ptr(unit->service, service))
                        return true;
        }
        return false;
}

static void put(Schedules *schedules, const char *service)
{
        Keeper *keeper = schedules->keeper;
        const char *expression = json_string_value(backup_setting(keeper, service, "schedule"));
        const char *zone = json_string_value(backup_setting(keeper, service, "timezone"));
        const char *jitter = json_string_value(backup_setting(keeper, service, "jitter"));
        int64_t jitter_ns = DEFAULT_JITTER_NS;
        _cleanup_error_ Error *error = NULL;

        if (!expression)
                expression = keeper->parts.backup_schedule ? keeper->parts.backup_schedule : DEFAULT_EXPRESSION;
        if (jitter)
                parse_duration(jitter, &jitter_ns);
        if (streq(expression, "off"))
                schedule_drop(&schedules->schedule, BACKUP, service);
        else if (schedule_put(&schedules->schedule, BACKUP, service, expression, zone, jitter_ns,
                              loop_realtime_ns(keeper->parts.loop), &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "schedule");
}

/* By x-berth.backup.drill, where that is said. What fails once fails again: nothing is retried, it is told at once. */
static void put_drill(Schedules *schedules, const char *service)
{
        Keeper *keeper = schedules->keeper;
        const json_t *settings = backup_setting(keeper, service, "drill");
        const char *expression = json_get_string(settings, "schedule", DEFAULT_DRILL_EXPRESSION);
        const char *zone = json_string_value(backup_setting(keeper, service, "timezone"));
        const char *jitter = json_string_value(backup_setting(keeper, service, "jitter"));
        int64_t jitter_ns = DEFAULT_JITTER_NS;
        _cleanup_error_ Error *error = NULL;

        if (jitter)
                parse_duration(jitter, &jitter_ns);
        if (!json_is_object(settings) || streq(expression, "off"))
                schedule_drop(&schedules->schedule, DRILL, service);
        else if (schedule_put(&schedules->schedule, DRILL, service, expression, zone, jitter_ns,
                              loop_realtime_ns(keeper->parts.loop), &error) < 0)
                log_failure(LOG_LEVEL_WARNING, error, "schedule");
        else
                schedule_find(&schedules->schedule, DRILL, service)->no_retry = true;
}

/* Jobs of services that are not backed up any more go. A job that runs is left until it has ended. */
static void drop_unwanted(Schedules *schedules)
{
        for (size_t i = schedules->schedule.jobs.length; i-- > 0;) {
                const ScheduledJob *job = schedules->schedule.jobs.items[i];
                _cleanup_free_ char *service = xstrdup(job->service), *kind = xstrdup(job->kind);
                if (!job->running && !backups_are_wanted(schedules->keeper, service))
                        schedule_drop(&schedules->schedule, kind, service);
        }
}

void schedules_update(Keeper *keeper)
{
        Schedules *schedules = keeper->schedules;
        _cleanup_json_ json_t *before = NULL, *after = NULL;

        if (!schedules || keeper->quitting || !keeper->state.model)
                return;
        before = schedule_to_json(&schedules->schedule);
        drop_unwanted(schedules);
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (unit->postmaster_path && !unit->oneoff && backups_are_wanted(keeper, unit->service)) {
                        put(schedules, unit->service);
                        put_drill(schedules, unit->service);
                }
        }
        VECTOR_FOREACH(job, &schedules->schedule.jobs)
                (*job)->paused = !service_runs(keeper, (*job)->service);
        /* Here too, since what follows puts the timer off: where something happens every few minutes it never comes. */
        schedule_look(&schedules->schedule, loop_realtime_ns(keeper->parts.loop));
        after = schedule_to_json(&schedules->schedule);
        if (!json_equal(before, after))
                save(schedules);
        arm(schedules, LOOK_NS);
}
