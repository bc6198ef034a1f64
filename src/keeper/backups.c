#include "keeper/backups.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "keeper/alerts.h"
#include "keeper/backup_tasks.h"
#include "keeper/budget.h"
#include "keeper/commit_watch.h"
#include "keeper/offsite.h"
#include "keeper/readiness.h"
#include "keeper/receiver_watch.h"
#include "keeper/release.h"
#include "keeper/slot_watch.h"
#include "keeper/watch.h"
#include "operate/backup_settings.h"
#include "state/document.h"

#define LOOK_NS           (100 * NSEC_PER_MSEC) /* until the server answers */
#define STREAMING_LOOK_NS (300 * NSEC_PER_MSEC) /* until the receiver receives */
#define SETTLED_LOOK_NS   (30 * NSEC_PER_SEC)   /* for a gap in what it received */
#define RETRY_NS          (5 * NSEC_PER_SEC)    /* a receiver that ended soon after its start, a backup that failed */
#define LOG_ALERT         "log"                 /* what alerts call it */
#define LIVED_NS          (5 * NSEC_PER_SEC)    /* a receiver that lived so long is started again at once */

struct Backups {
        Keeper *keeper;
        Strmap guards; /* service → Guard */
        int cancel_fd; /* readable once work shall give up */
        unsigned busy; /* pieces of work on the pool */
};

/* One running database under protection. */
typedef struct Guard {
        Backups *backups;
        char *service, *id; /* id: of the container */
        unsigned run;       /* the unit's, when this began */
        LoopTimer *timer;
        int receiver_fd; /* a pidfd; -1: none */
        LoopIo *receiver_io;
        pid_t receiver_pid;
        int64_t receiver_ns; /* when it was taken; of the loop */
        json_t *asked;       /* what it was told to be */
        CommitWatch commits;
        bool hangs; /* the receiver tells nothing any more */
        bool starting, backing_up;
        SlotWatch slot;
        ReceiverWatch watch;
        int64_t gap_ns;   /* the loss of log that was told; 0: none */
        bool gap_is_open; /* no base backup behind it yet */
        bool turned_out;  /* its receiver was told to end, since another one is wanted */
} Guard;

static void guard_free(void *pointer)
{
        Guard *guard = pointer;

        loop_timer_remove(guard->timer);
        commit_watch_done(&guard->commits);
        loop_io_remove(guard->receiver_io);
        json_decref(guard->asked);
        fs_close(guard->receiver_fd);
        free(guard->service);
        free(guard->id);
        free(guard);
}

Backups *backups_create(Keeper *keeper)
{
        Backups *backups = xnew(Backups);

        backups->keeper = keeper;
        backups->guards.free_value = guard_free;
        backups->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return backups;
}

void backups_free(Backups *backups)
{
        if (!backups)
                return;
        strmap_done(&backups->guards);
        fs_close(backups->cancel_fd);
        free(backups);
}

bool backups_are_busy(const Keeper *keeper)
{
        return keeper->backups && keeper->backups->busy > 0;
}

int backups_cancel_fd(const Keeper *keeper)
{
        return keeper->backups ? keeper->backups->cancel_fd : -1;
}

/* ---- what is wanted ---- */

bool backups_are_wanted(const Keeper *keeper, const char *service)
{
        return backup_is_wanted(keeper->state.model, service) && !release_holds(keeper, service);
}

static Unit *unit_of(const Guard *guard)
{
        Unit *unit = watch_find(guard->backups->keeper, guard->id);

        return unit && unit->run == guard->run && unit->state == CONTAINER_RUNNING ? unit : NULL;
}

static bool wants_guard(const Keeper *keeper, const Unit *unit)
{
        return unit->state == CONTAINER_RUNNING && unit->postmaster_path && !unit->oneoff && unit->number <= 1 &&
               backups_are_wanted(keeper, unit->service);
}

/* ---- the receiver ---- */

static void look(void *context);

static void look_later(Guard *guard, int64_t delay_ns)
{
        Loop *loop = guard->backups->keeper->parts.loop;

        guard->timer = loop_timer_remove(guard->timer);
        guard->timer = loop_add_timer(loop, loop_now_ns(loop) + delay_ns, look, guard);
}

/* ---- commits that wait ---- */

static Guard *find_guard(Backups *backups, const char *service, const char *id);

static void let_go_done(void *context, int result, Error *error)
{
        ReceiverStart *start = context;
        Backups *backups = start->keeper->backups;
        Guard *guard = find_guard(backups, start->service, start->id);

        backups->busy--;
        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "commits of %s wait for a receiver that is away", start->service);
        if (guard) {
                commit_watch_freed(&guard->commits, result);
                if (guard->receiver_fd >= 0)
                        look_later(guard, STREAMING_LOOK_NS); /* it may have come back meanwhile */
        }
        receiver_start_free(start);
        keeper_check_idle(backups->keeper);
}

static void let_go(void *context)
{
        Guard *guard = context;
        Keeper *keeper = guard->backups->keeper;
        Unit *unit = unit_of(guard);
        ReceiverStart *start;

        if (unit && !readiness_reached(unit->postmaster_path)) { /* it starts: nobody waits yet */
                commit_watch_freed(&guard->commits, -1);
                return;
        }
        start = receiver_start_create(keeper, guard->service, guard->id);
        start->hangs = guard->hangs;
        guard->backups->busy++;
        thread_pool_post(keeper->parts.pool, synchronous_off_work, let_go_done, start);
}

/* Nobody holds commits up for a receiver that does nothing, and what does not move for a minute is begun anew. */
static void heed(Guard *guard, bool streams)
{
        ReceiverPulse pulse = commit_watch_see(&guard->commits, streams);

        if (pulse != RECEIVER_LIVES && !guard->hangs)
                log_warning("the receiver of %s (process %d) does nothing any more", guard->service,
                            (int)guard->receiver_pid);
        guard->hangs = pulse != RECEIVER_LIVES;
        if (pulse == RECEIVER_IS_STUCK && !guard->turned_out) {
                guard->turned_out = true;
                kill(guard->receiver_pid, SIGKILL);
        }
}

/* ---- a receiver's life ---- */

static void on_receiver_end(void *context, int fd, uint32_t events)
{
        Guard *guard = context;

        guard->receiver_io = loop_io_remove(guard->receiver_io);
        guard->receiver_fd = fs_close(guard->receiver_fd);
        if (unit_of(guard)) {
                Loop *loop = guard->backups->keeper->parts.loop;
                bool lived = loop_now_ns(loop) - guard->receiver_ns > LIVED_NS || guard->turned_out;

                log_warning("the receiver of %s has ended: it is started again", guard->service);
                guard->turned_out = guard->hangs = false;
                commit_watch_away(&guard->commits);
                look_later(guard, lived ? LOOK_NS : RETRY_NS);
        }
}

static void take_receiver(Guard *guard, ReceiverStart *start)
{
        Keeper *keeper = guard->backups->keeper;

        guard->receiver_fd = TAKE_FD(start->pidfd);
        guard->receiver_pid = start->pid;
        guard->receiver_ns = loop_now_ns(keeper->parts.loop);
        json_decref(guard->asked);
        guard->asked = json_incref(start->asked);
        if (guard->receiver_fd >= 0 && loop_add_io(keeper->parts.loop, guard->receiver_fd, EPOLLIN, on_receiver_end,
                                                   guard, &guard->receiver_io, NULL) < 0)
                log_warning("the receiver of %s cannot be watched", guard->service);
        look_later(guard, guard->receiver_fd >= 0 ? STREAMING_LOOK_NS : RETRY_NS);
}

static Guard *find_guard(Backups *backups, const char *service, const char *id)
{
        Guard *guard = strmap_get(&backups->guards, service);

        return guard && streq(guard->id, id) ? guard : NULL;
}

static void receiver_started(void *context, int result, Error *error)
{
        ReceiverStart *start = context;
        Backups *backups = start->keeper->backups;
        Guard *guard = find_guard(backups, start->service, start->id);

        backups->busy--;
        if (guard) {
                guard->starting = false;
                if (result < 0) {
                        log_failure(LOG_LEVEL_WARNING, error, "start the receiver of %s", guard->service);
                        look_later(guard, RETRY_NS);
                } else {
                        take_receiver(guard, start);
                }
        } else if (result >= 0 && start->pidfd >= 0) {
                kill(start->pid, SIGTERM); /* not wanted any more */
        }
        receiver_start_free(start);
        keeper_check_idle(backups->keeper);
}

static void start_receiver(Guard *guard)
{
        Keeper *keeper = guard->backups->keeper;

        guard->starting = true;
        guard->backups->busy++;
        thread_pool_post(keeper->parts.pool, receiver_start_work, receiver_started,
                         receiver_start_create(keeper, guard->service, guard->id));
}

/* ---- base backups ---- */

typedef struct BackupCall {
        BackupTask *task;
        BackupDone done;
        void *context;
} BackupCall;

static int backup_call_work(void *context, Error **err)
{
        return backup_task_work(((BackupCall *)context)->task, err);
}

static void backup_ended(void *context, int result, Error *error)
{
        BackupCall *call = context;
        BackupTask *task = call->task;
        Backups *backups = task->keeper->backups;
        Guard *guard = find_guard(backups, task->service, task->id);

        backups->busy--;
        if (guard) {
                guard->backing_up = false;
                if (!guard->starting)
                        look_later(guard, guard->receiver_fd < 0 ? LOOK_NS
                                          : result < 0 || guard->gap_is_open
                                                  ? RETRY_NS
                                                  : commit_watch_pause_ns(&guard->commits, SETTLED_LOOK_NS));
        }
        if (result < 0)
                log_failure(LOG_LEVEL_WARNING, error, "backup of %s", task->service);
        else
                log_info("backup %s of %s is complete", json_get_string(task->result, "id", ""), task->service);
        if (result >= 0)
                offsite_backup_taken(backups->keeper, task->service), budget_look_now(backups->keeper);
        if (call->done)
                call->done(call->context, task->service, task->result, result < 0 ? error : NULL);
        backup_task_free(task);
        free(call);
        keeper_check_idle(backups->keeper);
}

static void begin_backup(Guard *guard, bool first, BackupDone done, void *context)
{
        Keeper *keeper = guard->backups->keeper;
        BackupCall *call = xnew(BackupCall);

        *call = (BackupCall){ backup_task_create(keeper, guard->service, guard->id, guard->backups->cancel_fd, first),
                              done, context };
        guard->backing_up = true;
        guard->backups->busy++;
        log_info("backup of %s begins", guard->service);
        thread_pool_post(keeper->parts.pool, backup_call_work, backup_ended, call);
}

int backups_begin(Keeper *keeper, const char *service, BackupDone done, void *context, Error **err)
{
        Guard *guard = keeper->backups ? strmap_get(&keeper->backups->guards, service) : NULL;

        if (!guard || !unit_of(guard))
                return error_set(err, ERROR_NOT_FOUND, "service \"%s\": no database runs that is backed up", service);
        if (guard->backing_up)
                return error_set(err, ERROR_CONFLICT, "service \"%s\": a backup is at work", service);
        begin_backup(guard, false, done, context);
        return 0;
}

/* ---- the slot, and log that is lost ---- */

static void slot_seen(Keeper *keeper, const char *service, const char *id, const json_t *cluster)
{
        Guard *guard = find_guard(keeper->backups, service, id);

        keeper->backups->busy--;
        if (guard)
                slot_watch_tell(&guard->slot, keeper, service, cluster);
        keeper_check_idle(keeper);
}

static void look_at_slot(Guard *guard, bool receives)
{
        if (slot_watch_look(&guard->slot, guard->backups->keeper, guard->service, guard->id, receives, slot_seen))
                guard->backups->busy++;
}

/* A new base backup is taken since a part of the log is gone: once for each loss. */
static void tell_gap(Guard *guard)
{
        static const char text[] =
                "a part of the log is lost: no point behind it can be restored until the new base backup that begins "
                "now is complete";
        int64_t gap_ns = receiver_gap_ns(guard->backups->keeper, guard->service);

        if (!gap_ns || gap_ns == guard->gap_ns)
                return;
        guard->gap_ns = gap_ns;
        guard->gap_is_open = true;
        log_warning("%s: %s", guard->service, text);
        alerts_tell(guard->backups->keeper, guard->service, LOG_ALERT, false, text);
}

static void tell_gap_closed(Guard *guard)
{
        if (!guard->gap_is_open)
                return;
        guard->gap_is_open = false;
        alerts_tell(guard->backups->keeper, guard->service, LOG_ALERT, true,
                    "a base backup was taken behind the lost part");
}

/* ---- one database ---- */

static void look(void *context)
{
        Guard *guard = context;
        Unit *unit = unit_of(guard);
        ReceiverLook seen;

        guard->timer = NULL;
        if (!unit || guard->starting)
                return;
        if (guard->receiver_fd < 0) {
                look_at_slot(guard, false);
                if (!readiness_reached(unit->postmaster_path)) {
                        look_later(guard, LOOK_NS);
                        return;
                }
                receiver_watch_see(&guard->watch, guard->backups->keeper, guard->service, false);
                start_receiver(guard);
                return;
        }
        seen = receiver_look(guard->backups->keeper, guard->service, guard->receiver_pid);
        heed(guard, seen != RECEIVER_WAITS);
        receiver_watch_see(&guard->watch, guard->backups->keeper, guard->service, seen != RECEIVER_WAITS);
        if (guard->backing_up) { /* its end looks again */
                look_later(guard, commit_watch_pause_ns(&guard->commits, SETTLED_LOOK_NS));
                return;
        }
        switch (seen) {
        case RECEIVER_WAITS:
                look_at_slot(guard, false);
                look_later(guard, STREAMING_LOOK_NS);
                break;
        case RECEIVER_NEEDS_BACKUP:
                tell_gap(guard);
                begin_backup(guard, true, NULL, NULL);
                look_later(guard, RETRY_NS);
                break;
        case RECEIVER_IS_WELL:
                look_at_slot(guard, true);
                tell_gap_closed(guard);
                look_later(guard, guard->slot.state == SLOT_IS_WELL
                                          ? commit_watch_pause_ns(&guard->commits, SETTLED_LOOK_NS)
                                          : RETRY_NS);
                break;
        }
}

/* The project says otherwise than when its receiver was started. */
static void turn_out(Guard *guard)
{
        _cleanup_json_ json_t *wanted = receiver_wanted(guard->backups->keeper, guard->service);

        if (guard->receiver_fd < 0 || guard->turned_out || !guard->asked || json_equal(wanted, guard->asked))
                return;
        guard->turned_out = true;
        kill(guard->receiver_pid, SIGTERM);
}

static void add_guard(Backups *backups, const Unit *unit)
{
        Guard *guard = xnew(Guard);

        *guard = (Guard){ .backups = backups,
                          .service = xstrdup(unit->service),
                          .id = xstrdup(unit->id),
                          .run = unit->run,
                          .receiver_fd = -1 };
        strmap_set(&backups->guards, unit->service, guard);
        commit_watch_init(&guard->commits, backups->keeper, guard->service, let_go, guard);
        look_later(guard, LOOK_NS);
}

static void drop_unwanted(Keeper *keeper)
{
        Strmap *guards = &keeper->backups->guards;

        for (size_t i = guards->length; i-- > 0;) {
                Guard *guard = guards->entries[i].value;
                Unit *unit = unit_of(guard);

                if (unit && wants_guard(keeper, unit)) {
                        turn_out(guard);
                        commit_watch_update(&guard->commits);
                        continue;
                }
                /* One whose server has ended ends by itself; one that is not wanted any more is told. */
                if (unit && guard->receiver_fd >= 0)
                        kill(guard->receiver_pid, SIGTERM);
                if (unit && guard->commits.away_ns)
                        let_go(guard);
                strmap_remove(guards, guard->service);
        }
}

void backups_update(Keeper *keeper)
{
        if (!keeper->backups)
                return;
        if (keeper->quitting) {
                eventfd_write(keeper->backups->cancel_fd, 1);
                return;
        }
        drop_unwanted(keeper);
        STRMAP_FOREACH(entry, &keeper->units) {
                const Unit *unit = entry->value;
                if (wants_guard(keeper, unit) && !strmap_has(&keeper->backups->guards, unit->service))
                        add_guard(keeper->backups, unit);
        }
}

void backups_hand_over(Keeper *keeper)
{
        if (!keeper->backups)
                return;
        STRMAP_FOREACH(entry, &keeper->backups->guards) {
                const Guard *guard = entry->value;
                if (guard->receiver_fd >= 0 && json_is_true(json_object_get(guard->asked, "synchronous")))
                        kill(guard->receiver_pid, SIGUSR1);
        }
}
