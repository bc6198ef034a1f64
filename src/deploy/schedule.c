#include "deploy/schedule.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "state/document.h"

#define MINUTE_NS (60 * NSEC_PER_SEC)
#define DAY_NS    (24 * 60 * MINUTE_NS)

static const int64_t retry_after_ns[] = { 1 * MINUTE_NS, 5 * MINUTE_NS, 15 * MINUTE_NS };

static const char *const outcome_names[] = {
        [SCHEDULE_NEVER] = "never", [SCHEDULE_SUCCEEDED] = "succeeded", [SCHEDULE_FAILED] = "failed"
};

void schedule_init(Schedule *schedule, const char *project)
{
        *schedule = (Schedule){ .project = xstrdup(project) };
}

static void job_free(ScheduledJob *job)
{
        free(job->kind);
        free(job->service);
        free(job->expression);
        free(job->timezone_name);
        timezone_free(job->timezone);
        free(job->message);
        free(job);
}

void schedule_done(Schedule *schedule)
{
        VECTOR_FOREACH(job, &schedule->jobs)
                job_free(*job);
        vector_done(&schedule->jobs);
        free(schedule->project);
        schedule->project = NULL;
}

ScheduledJob *schedule_find(const Schedule *schedule, const char *kind, const char *service)
{
        VECTOR_FOREACH(job, &schedule->jobs)
                if (streq((*job)->kind, kind) && streq((*job)->service, service))
                        return *job;
        return NULL;
}

static ScheduledJob *add_job(Schedule *schedule, const char *kind, const char *service)
{
        ScheduledJob *job = xnew(ScheduledJob);

        job->kind = xstrdup(kind);
        job->service = xstrdup(service);
        vector_add(&schedule->jobs, job);
        return job;
}

/* The same for the same job and due time, so that a keeper that starts anew waits for the same moment. */
static int64_t jitter_of(const Schedule *schedule, const ScheduledJob *job, int64_t due_s)
{
        _cleanup_free_ char *text =
                xasprintf("%s %s %s %lld", schedule->project, job->service, job->kind, (long long)due_s);
        _cleanup_free_ char *hash = sha256_hex(text, strlen(text));

        hash[8] = '\0';
        return (int64_t)((double)strtoul(hash, NULL, 16) / 4294967296.0 * (double)job->jitter_ns);
}

static void find_next(const Schedule *schedule, ScheduledJob *job)
{
        int64_t due_s;

        job->next_ns = INT64_MAX;
        if (!job->timezone) /* only remembered */
                return;
        due_s = cron_next(&job->cron, job->timezone, job->covered_ns / NSEC_PER_SEC);
        if (due_s != INT64_MAX)
                job->next_ns = due_s * NSEC_PER_SEC + jitter_of(schedule, job, due_s);
        if (job->retry_ns && job->retry_ns < job->next_ns)
                job->next_ns = job->retry_ns;
}

int schedule_put(Schedule *schedule, const char *kind, const char *service, const char *expression,
                 const char *timezone_name, int64_t jitter_ns, int64_t now_ns, Error **err)
{
        _cleanup_timezone_ Timezone *timezone = NULL;
        ScheduledJob *job = schedule_find(schedule, kind, service);
        Cron cron;
        int r;

        if (job && job->timezone && streq(job->expression, expression) &&
            streq_ptr(job->timezone_name, timezone_name) && job->jitter_ns == jitter_ns)
                return 0;
        r = cron_parse(expression, &cron, err);
        if (r == 0)
                r = timezone_load(timezone_name, &timezone, err);
        if (r < 0)
                return error_prefix(err, r, "the schedule of %s of service \"%s\"", kind, service);
        if (!job)
                job = add_job(schedule, kind, service);
        /* What is due by new words begins now. */
        if (!job->covered_ns ||
            (job->expression && (!streq(job->expression, expression) || !streq_ptr(job->timezone_name, timezone_name))))
                job->covered_ns = now_ns;
        free_and_replace(&job->expression, xstrdup(expression));
        free_and_replace(&job->timezone_name, xstrdup(timezone_name));
        timezone_free(job->timezone);
        job->timezone = TAKE_PTR(timezone);
        job->cron = cron;
        job->jitter_ns = jitter_ns;
        schedule_look(schedule, now_ns);
        return 0;
}

void schedule_drop(Schedule *schedule, const char *kind, const char *service)
{
        for (size_t i = 0; i < schedule->jobs.length; i++) {
                ScheduledJob *job = schedule->jobs.items[i];
                if (!streq(job->kind, kind) || !streq(job->service, service))
                        continue;
                job_free(job);
                schedule->jobs.items[i] = schedule->jobs.items[--schedule->jobs.length];
                return;
        }
}

int64_t schedule_next_ns(const Schedule *schedule)
{
        int64_t next_ns = INT64_MAX;

        VECTOR_FOREACH(job, &schedule->jobs)
                if (!(*job)->running && !(*job)->paused)
                        next_ns = MIN(next_ns, (*job)->next_ns);
        return next_ns;
}

ScheduledJob *schedule_due(const Schedule *schedule, int64_t now_ns)
{
        VECTOR_FOREACH(job, &schedule->jobs)
                if (!(*job)->running && !(*job)->paused && (*job)->next_ns <= now_ns)
                        return *job;
        return NULL;
}

void schedule_look(Schedule *schedule, int64_t now_ns)
{
        VECTOR_FOREACH(entry, &schedule->jobs) {
                ScheduledJob *job = *entry;
                if (job->covered_ns > now_ns + DAY_NS)
                        job->covered_ns = now_ns;
                if (job->retry_ns > now_ns + DAY_NS)
                        job->retry_ns = now_ns;
                find_next(schedule, job);
        }
}

void schedule_began(ScheduledJob *job, int64_t now_ns)
{
        job->running = true;
        job->started_ns = now_ns;
        job->retry_ns = 0;
        /* One run for all that was missed. */
        job->covered_ns = MAX(job->covered_ns, now_ns);
}

bool schedule_ended(const Schedule *schedule, ScheduledJob *job, bool good, const char *message, int64_t now_ns)
{
        bool tell = false;

        job->running = false;
        job->finished_ns = now_ns;
        job->outcome = good ? SCHEDULE_SUCCEEDED : SCHEDULE_FAILED;
        free_and_replace(&job->message, xstrdup(message));
        if (good) {
                tell = job->told;
                job->told = false;
                job->failures = 0;
        } else if (!job->no_retry && job->failures < ARRAY_SIZE(retry_after_ns)) {
                job->retry_ns = now_ns + retry_after_ns[job->failures++];
        } else {
                tell = !job->told;
                job->told = true;
                job->failures = 0;
        }
        find_next(schedule, job);
        /* Due again before it would be tried again: that run is the next try. */
        if (!good && job->retry_ns && job->next_ns < job->retry_ns)
                job->retry_ns = 0;
        return tell;
}

/* ---- on disk ---- */

static json_t *job_to_json(const ScheduledJob *job)
{
        json_t *json =
                json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:i,s:I,s:b}", "kind", job->kind, "service", job->service,
                          "expression", job->expression, "jitter_ns", (json_int_t)job->jitter_ns, "covered_ns",
                          (json_int_t)job->covered_ns, "started_ns", (json_int_t)job->started_ns, "finished_ns",
                          (json_int_t)job->finished_ns, "outcome", outcome_names[job->outcome], "failures",
                          (int)job->failures, "retry_ns", (json_int_t)job->retry_ns, "told", job->told);

        if (job->timezone_name)
                json_object_set_new(json, "timezone", json_string(job->timezone_name));
        if (job->message)
                json_object_set_new(json, "message", json_string(job->message));
        if (job->next_ns != INT64_MAX)
                json_object_set_new(json, "next_ns", json_integer(job->next_ns));
        json_object_set_new(json, "running", json_boolean(job->running));
        return json;
}

json_t *schedule_to_json(const Schedule *schedule)
{
        json_t *jobs = json_array();

        VECTOR_FOREACH(job, &schedule->jobs)
                if ((*job)->timezone)
                        json_array_append_new(jobs, job_to_json(*job));
        return json_pack("{s:i,s:o}", "format", SCHEDULE_FORMAT, "jobs", jobs);
}

static void load_job(ScheduledJob *job, const json_t *json)
{
        const char *outcome = json_get_string(json, "outcome", "never"),
                   *message = json_get_string(json, "message", NULL);

        job->expression = xstrdup(json_get_string(json, "expression", NULL));
        job->timezone_name = xstrdup(json_get_string(json, "timezone", NULL));
        job->covered_ns = json_get_int(json, "covered_ns", 0);
        job->started_ns = json_get_int(json, "started_ns", 0);
        job->finished_ns = json_get_int(json, "finished_ns", 0);
        job->failures = (unsigned)json_get_int(json, "failures", 0);
        job->retry_ns = json_get_int(json, "retry_ns", 0);
        job->told = json_get_bool(json, "told", false);
        for (size_t i = 0; i < ARRAY_SIZE(outcome_names); i++)
                if (streq(outcome, outcome_names[i]))
                        job->outcome = (ScheduleOutcome)i;
        free_and_replace(&job->message, xstrdup(message));
        job->next_ns = INT64_MAX;
        /* It was under way when the keeper ended: what became of it nobody knows, so it is done again. */
        if (json_get_bool(json, "running", false) && !job->retry_ns)
                job->retry_ns = job->started_ns;
}

void schedule_load(Schedule *schedule, const json_t *json)
{
        const json_t *item;
        size_t i;

        json_array_foreach(json_object_get(json, "jobs"), i, item) {
                const char *kind = json_get_string(item, "kind", NULL),
                           *service = json_get_string(item, "service", NULL);
                if (kind && service && !schedule_find(schedule, kind, service))
                        load_job(add_job(schedule, kind, service), item);
        }
}
