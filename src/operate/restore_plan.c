/* From a wish to a backup and a stretch of the log. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "operate/restore.h"
#include "operate/restore_times.h"
#include "repository/caught_up.h"

/* The kernel stamps files by its last tick. */
#define STAMP_NS (100 * NSEC_PER_MSEC)
/* A receiver that is at work writes a moment every second or two. */
#define AT_WORK_NS (10 * NSEC_PER_SEC)
#define WAIT_NS    (6 * NSEC_PER_SEC)
#define LOOK_NS    (200 * NSEC_PER_MSEC)

int restore_target_parse(const char *text, RestoreTarget *ret, Error **err)
{
        RestoreTarget target = { 0 };

        if (isempty(text))
                return error_hint(err, error_set(err, ERROR_USAGE, "a point to restore to is missing"),
                                  "Give a time, an LSN, the name of a restore point, \"latest\" or \"immediate\".");
        if (streq(text, "latest")) {
                target.kind = RESTORE_LATEST;
        } else if (streq(text, "immediate")) {
                target.kind = RESTORE_IMMEDIATE;
        } else if (lsn_parse(text, &target.lsn)) {
                target.kind = RESTORE_LSN;
        } else if (clock_parse_moment(text, clock_realtime_ns(), &target.time_ns)) {
                target.kind = RESTORE_TIME;
        } else {
                target.kind = RESTORE_NAME;
                target.name = text;
        }
        *ret = target;
        return 0;
}

void restore_plan_done(RestorePlan *plan)
{
        backup_record_free(plan->backup);
        plan->backup = NULL;
        wal_range_done(&plan->range);
}

typedef enum Reach { REACHED, TOO_EARLY, TOO_LATE } Reach;

static int64_t until_of(Repository *repository, const BackupRecord *backup, const WalRange *range)
{
        int64_t until_ns = MAX(range->known_ns, backup->finished_ns);

        if (range->segments.length && range->end > range->known_lsn)
                until_ns = MAX(until_ns,
                               restore_before_ns(restore_last_commit_ns(repository, range, backup->segment_bytes)));
        return until_ns;
}

/* A backup's own log makes it consistent, so its end is in reach even where the archive has nothing. */
static Reach reach_of(Repository *repository, const BackupRecord *backup, const WalRange *range,
                      const RestoreTarget *target)
{
        Lsn end = MAX(range->end, backup->stop_lsn);

        switch (target->kind) {
        case RESTORE_LSN:
                return target->lsn < backup->stop_lsn ? TOO_EARLY : target->lsn > end ? TOO_LATE : REACHED;
        case RESTORE_TIME:
                if (target->time_ns < backup->finished_ns)
                        return TOO_EARLY;
                return target->time_ns <= range->known_ns ||
                                       restore_has_commit_behind(repository, range, backup->segment_bytes,
                                                                 target->time_ns)
                               ? REACHED
                               : TOO_LATE;
        case RESTORE_LATEST:
        case RESTORE_IMMEDIATE:
        case RESTORE_NAME:
                return REACHED;
        }
        return REACHED;
}

typedef struct Choice {
        Repository *repository;
        const RestoreTarget *target;
        WalList log;
        uint32_t log_segment_bytes;
        char *earliest; /* the first point that can be had */
        char *latest;
} Choice;

/* A backup holds the log from its start to its end, where the server begins a new segment: the archive may begin there. */
static int find_range(Choice *choice, const BackupRecord *backup, WalRange *ret, Error **err)
{
        int r = 0;

        if (choice->log_segment_bytes != backup->segment_bytes) {
                wal_list_done(&choice->log);
                choice->log = (WalList){ 0 };
                r = wal_list_load(choice->repository, backup->segment_bytes, &choice->log, err);
                choice->log_segment_bytes = backup->segment_bytes;
        }
        for (int behind = 0; r == 0 && behind < 2 && !ret->segments.length; behind++) {
                wal_range_done(ret);
                r = wal_range_find(choice->repository, &choice->log, backup->timeline,
                                   backup->stop_lsn + (Lsn)behind * backup->segment_bytes, backup->segment_bytes,
                                   choice->target->timeline, ret, err);
        }
        return r;
}

static void note_range(Choice *choice, const BackupRecord *backup, const WalRange *range)
{
        char start[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];
        bool in_lsn = choice->target->kind == RESTORE_LSN;

        free_and_replace(&choice->earliest, in_lsn ? xstrdup(lsn_format(backup->stop_lsn, start))
                                                   : clock_format_local(backup->finished_ns));
        if (!choice->latest) /* the newest backup is asked first */
                choice->latest = in_lsn ? xstrdup(lsn_format(MAX(range->end, backup->stop_lsn), end))
                                        : clock_format_local(until_of(choice->repository, backup, range));
}

/* A server that was asked for that time would look in vain for a commit behind it. Where that is not certain it is asked. */
static bool is_behind_all(Repository *repository, const RestorePlan *plan)
{
        return plan->may_end && plan->target.time_ns > plan->range.end_ns + STAMP_NS &&
               !restore_has_commit_behind(repository, &plan->range, plan->backup->segment_bytes, plan->target.time_ns);
}

/* Where the log goes on behind the first byte that is missing. */
static Lsn resumption(const Choice *choice, const BackupRecord *backup, const WalRange *range)
{
        Lsn end = MAX(range->end, backup->stop_lsn);

        VECTOR_FOREACH(segment, &choice->log.segments)
                if (segment->timeline == range->timelines.items[range->timelines.length - 1] && segment->start > end)
                        return segment->start;
        return 0;
}

/* Takes the backup where it serves. */
static int try_backup(Choice *choice, BackupRecord **backup, RestorePlan *ret, Error **err)
{
        _cleanup_wal_range_ WalRange range = { 0 };
        int r = find_range(choice, *backup, &range, err);

        if (r < 0)
                return r;
        note_range(choice, *backup, &range);
        if (reach_of(choice->repository, *backup, &range, choice->target) != REACHED)
                return 0;
        *ret = (RestorePlan){ .backup = TAKE_PTR(*backup), .range = range, .target = *choice->target };
        ret->until_ns = until_of(choice->repository, ret->backup, &ret->range);
        ret->target.timeline = ret->range.timelines.items[ret->range.timelines.length - 1];
        ret->may_end = ret->target.kind == RESTORE_TIME && ret->target.time_ns <= ret->range.known_ns;
        ret->resumes = resumption(choice, ret->backup, &ret->range);
        if (is_behind_all(choice->repository, ret))
                ret->target.kind = RESTORE_LATEST;
        range = (WalRange){ 0 };
        return 1;
}

static int nothing_found(const Choice *choice, const char *backup_id, Error **err)
{
        int r;

        if (!choice->earliest)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "there is no backup to restore"),
                                  "\"berth backup\" takes one.");
        r = backup_id ? error_set(err, ERROR_NOT_FOUND, "backup %s does not lead to that point", backup_id)
                      : error_set(err, ERROR_NOT_FOUND, "there is no way to that point");
        return error_hint(err, r, "Points from %s to %s can be restored%s.", choice->earliest, choice->latest,
                          backup_id ? " from it" : "");
}

static int choose(Choice *choice, const char *backup_id, RestorePlan *ret, Error **err)
{
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = backup_list_load(choice->repository, &list, err);
        bool named = false;

        for (size_t i = list.records.length; r == 0 && i-- > 0;) {
                if (backup_id && !streq(list.records.items[i]->id, backup_id))
                        continue;
                named = true;
                r = try_backup(choice, &list.records.items[i], ret, err);
        }
        if (r != 0)
                return MIN(r, 0);
        if (backup_id && !named)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "there is no backup %s", backup_id),
                                  "\"berth backup ls\" lists them.");
        return nothing_found(choice, backup_id, err);
}

static int choose_now(Repository *repository, const char *backup_id, const RestoreTarget *target, RestorePlan *ret,
                      Error **err)
{
        Choice choice = { .repository = repository, .target = target };
        int r = choose(&choice, backup_id, ret, err);

        wal_list_done(&choice.log);
        free(choice.earliest);
        free(choice.latest);
        return r;
}

/* The point has passed, and a receiver is about to say that it has all until then. */
static bool is_worth_waiting(Repository *repository, const RestoreTarget *target)
{
        int64_t now_ns = clock_realtime_ns();
        CaughtUp moment;

        return repository->path && target->kind == RESTORE_TIME && target->time_ns <= now_ns &&
               target->time_ns > now_ns - AT_WORK_NS &&
               (!caught_up_read(repository, &moment) || moment.at_ns > now_ns - AT_WORK_NS);
}

int restore_plan_make(Repository *repository, const char *backup_id, const RestoreTarget *target, RestorePlan *ret,
                      Error **err)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + WAIT_NS;

        for (;;) {
                _cleanup_error_ Error *reason = NULL;
                int r = choose_now(repository, backup_id, target, ret, &reason);

                if (r != -ERROR_NOT_FOUND || clock_monotonic_ns() > until_ns || !is_worth_waiting(repository, target))
                        return r < 0 ? error_move(err, &reason, r) : r;
                nanosleep(&pause, NULL);
        }
}

int restore_plan_check_gap(const RestorePlan *plan, const RestoreTarget *asked, Error **err)
{
        _cleanup_free_ char *until = NULL;
        char from[LSN_TEXT_SIZE], to[LSN_TEXT_SIZE];
        int r;

        if (!plan->resumes || asked->kind != RESTORE_LATEST)
                return 0;
        until = clock_format_exact(plan->until_ns);
        r = error_set(err, ERROR_NOT_FOUND, "the log behind backup %s has a gap from %s to %s", plan->backup->id,
                      lsn_format(MAX(plan->range.end, plan->backup->stop_lsn), from), lsn_format(plan->resumes, to));
        return error_hint(
                err, r, "All before the gap can be restored: --to '%s'. A new backup, \"berth backup\", leads past it.",
                until);
}

/* The newest backup before this one. */
static char *earlier_backup(Repository *repository, const RestorePlan *plan)
{
        _cleanup_backup_list_ BackupList list = { 0 };

        if (backup_list_load(repository, &list, NULL) < 0)
                return NULL;
        for (size_t i = list.records.length; i-- > 1;)
                if (streq(list.records.items[i]->id, plan->backup->id))
                        return xstrdup(list.records.items[i - 1]->id);
        return NULL;
}

/* The moment to which the log before the first segment that cannot be read leads; 0: all can. */
static int64_t readable_until_ns(Repository *repository, const RestorePlan *plan)
{
        const uint32_t segment_bytes = plan->backup->segment_bytes;
        _cleanup_free_ char *content = xmalloc(segment_bytes);
        WalTimes times = { 0 };

        VECTOR_FOREACH(segment, &plan->range.segments) {
                if (wal_read_segment(repository, segment->name, segment_bytes, content, NULL) < 0)
                        return MAX(restore_before_ns(times.latest_ns), plan->backup->finished_ns);
                restore_add_times(&times, &plan->range, segment, segment_bytes, content);
        }
        return 0;
}

int restore_plan_offer(Repository *repository, const RestorePlan *plan, int r, Error **err)
{
        _cleanup_free_ char *earlier = NULL, *until = NULL;
        int64_t until_ns;

        if (r != -ERROR_CORRUPT && r != -ERROR_NOT_FOUND)
                return r;
        until_ns = readable_until_ns(repository, plan);
        if (until_ns && until_ns <= plan->backup->finished_ns)
                return error_hint(
                        err, r,
                        "The backup itself can be restored: --backup %s --to immediate. \"berth backup verify\" names "
                        "all that is damaged.",
                        plan->backup->id);
        if (until_ns) {
                until = clock_format_exact(until_ns);
                return error_hint(
                        err, r,
                        "Points until then can be restored: --to '%s'. \"berth backup verify\" names all that is damaged.",
                        until);
        }
        earlier = earlier_backup(repository, plan);
        if (!earlier)
                return error_hint(err, r, "No backup is older. \"berth backup verify\" names all that is damaged.");
        return error_hint(
                err, r,
                "The backup before it may lead to the same point: --backup %s. \"berth backup verify\" names all "
                "that is damaged.",
                earlier);
}
