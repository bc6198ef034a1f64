/* What a project does by the clock, as a pure machine: jobs with a cron line each, when they are next due, and what their
 * results mean. Times are realtime nanoseconds, given by the caller, so that tests let years pass; nothing is started here.
 *
 * - What came due while nobody looked (the machine was off) is done once, at once.
 * - What fails is tried again after 1, 5 and 15 minutes, or when it is due again where that is before: a try like the others.
 *   After four it has failed, which is told once until it succeeds again: 21 minutes after the first, at most.
 * - A clock that was set back makes nothing happen twice; one that was set back by more than a day is believed. */
#ifndef BERTH_DEPLOY_SCHEDULE_H
#define BERTH_DEPLOY_SCHEDULE_H

#include <jansson.h>

#include "base/cron.h"
#include "base/vector.h"

#define SCHEDULE_FORMAT 1

typedef enum ScheduleOutcome { SCHEDULE_NEVER, SCHEDULE_SUCCEEDED, SCHEDULE_FAILED } ScheduleOutcome;

typedef struct ScheduledJob {
        char *kind, *service;             /* "backup" of "db" */
        char *expression, *timezone_name; /* as written; the zone NULL: this machine's */
        int64_t jitter_ns; /* begun up to so much later, by a lot that is always the same for this job and day */
        Cron cron;
        Timezone *timezone;
        /* kept on disk */
        int64_t covered_ns;              /* nothing due up to here is wanted any more */
        int64_t started_ns, finished_ns; /* of the last run; 0: none */
        ScheduleOutcome outcome;
        char *message;     /* of the last run; NULL */
        unsigned failures; /* in a row, since it was last due */
        int64_t retry_ns;  /* 0: none */
        bool told;         /* that it fails */
        /* not kept */
        bool running;
        bool no_retry; /* what fails is told at once, and tried when it is due again */
        bool paused;   /* its service does not run: what is due waits until it does */
        int64_t next_ns;
} ScheduledJob;

typedef struct Schedule {
        char *project;
        VECTOR(ScheduledJob *) jobs;
} Schedule;

void schedule_init(Schedule *schedule, const char *project);
void schedule_done(Schedule *schedule);

/* Adds a job, or changes what a known one (by kind and service) is due; its past stays. Now is when a new one begins. The
 * same words again cost nothing.
 * ERROR_INVALID names what is wrong with expression or zone. */
int schedule_put(Schedule *schedule, const char *kind, const char *service, const char *expression,
                 const char *timezone_name, int64_t jitter_ns, int64_t now_ns, Error **err);
/* Forgets a job; absent is fine. */
void schedule_drop(Schedule *schedule, const char *kind, const char *service);
ScheduledJob *schedule_find(const Schedule *schedule, const char *kind, const char *service); /* NULL */

/* When something is next due (it may be past), INT64_MAX: never. Running and paused jobs are not counted. */
int64_t schedule_next_ns(const Schedule *schedule);
/* A job that is due and does not run; NULL where there is none. */
ScheduledJob *schedule_due(const Schedule *schedule, int64_t now_ns);
/* The clock may have been set: looks at every job anew. */
void schedule_look(Schedule *schedule, int64_t now_ns);

void schedule_began(ScheduledJob *job, int64_t now_ns);
/* message may be NULL. True: this is to be told to somebody (it failed for good, or works again after that was told). */
bool schedule_ended(const Schedule *schedule, ScheduledJob *job, bool good, const char *message, int64_t now_ns);

/* The file of a project's schedule, and what `berth schedule` lists. A new reference. */
json_t *schedule_to_json(const Schedule *schedule);
/* What a file says of past runs, before schedule_put says what is wanted: jobs that are not put stay unknown. */
void schedule_load(Schedule *schedule, const json_t *json);

#endif
