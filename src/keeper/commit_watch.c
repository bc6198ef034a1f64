#include "keeper/commit_watch.h"

#include <jansson.h>

#include "keeper/backup_tasks.h"
#include "operate/receiver_control.h"
#include "state/document.h"

#define ADOPT_NS    (5 * NSEC_PER_SEC) /* until the receiver of an earlier keeper is found */
#define RETRY_NS    (5 * NSEC_PER_SEC)
#define UNWANTED_NS (5 * NSEC_PER_SEC) /* nobody asks for synchronous commits (any more) */
#define PAUSE_NS    (5 * NSEC_PER_SEC)
#define HANGS_NS    (15 * NSEC_PER_SEC) /* one that streams tells so each second */
#define STUCK_NS    (60 * NSEC_PER_SEC)

static int64_t now_ns(const CommitWatch *watch)
{
        return loop_now_ns(watch->keeper->parts.loop);
}

/* -1: they wait. */
static int64_t patience_ns(const CommitWatch *watch)
{
        _cleanup_json_ json_t *wanted = receiver_wanted(watch->keeper, watch->service);

        return json_get_bool(wanted, "synchronous", false) ? json_get_int(wanted, "async_after_ns", -1) : UNWANTED_NS;
}

static void on_due(void *context)
{
        CommitWatch *watch = context;

        watch->timer = NULL;
        watch->at_work = true;
        watch->due(watch->context);
}

void commit_watch_update(CommitWatch *watch)
{
        int64_t after_ns = patience_ns(watch);

        watch->timer = loop_timer_remove(watch->timer);
        if (!watch->away_ns || watch->let_go || watch->at_work || after_ns < 0)
                return;
        watch->timer = loop_add_timer(watch->keeper->parts.loop, MAX(watch->away_ns + after_ns, watch->not_before_ns),
                                      on_due, watch);
}

void commit_watch_init(CommitWatch *watch, Keeper *keeper, const char *service, LoopCall due, void *context)
{
        *watch = (CommitWatch){ .keeper = keeper, .service = service, .due = due, .context = context };
        watch->not_before_ns = now_ns(watch) + ADOPT_NS;
        commit_watch_away(watch);
}

void commit_watch_done(CommitWatch *watch)
{
        watch->timer = loop_timer_remove(watch->timer);
}

static void away_since(CommitWatch *watch, int64_t since_ns)
{
        if (!watch->away_ns)
                watch->away_ns = MAX(since_ns, INT64_C(1));
        commit_watch_update(watch);
}

void commit_watch_away(CommitWatch *watch)
{
        away_since(watch, now_ns(watch));
}

static void be_back(CommitWatch *watch)
{
        watch->away_ns = watch->not_before_ns = 0;
        if (watch->let_go)
                receiver_resume(watch->keeper->parts.layout, watch->keeper->project, watch->service);
        watch->let_go = false;
        commit_watch_update(watch);
}

ReceiverPulse commit_watch_see(CommitWatch *watch, bool streams)
{
        int64_t told_ns = receiver_told_ns(watch->keeper->parts.layout, watch->keeper->project, watch->service),
                quiet_ns;

        if (told_ns != watch->told_ns || !watch->changed_ns)
                watch->changed_ns = now_ns(watch);
        watch->told_ns = told_ns;
        quiet_ns = now_ns(watch) - watch->changed_ns;
        if (streams && quiet_ns < HANGS_NS)
                be_back(watch);
        else
                away_since(watch, streams ? watch->changed_ns : now_ns(watch));
        return !streams || quiet_ns < HANGS_NS ? RECEIVER_LIVES
               : quiet_ns < STUCK_NS           ? RECEIVER_HANGS
                                               : RECEIVER_IS_STUCK;
}

void commit_watch_freed(CommitWatch *watch, int result)
{
        watch->at_work = false;
        watch->let_go = result == 0;
        if (result < 0)
                watch->not_before_ns = now_ns(watch) + RETRY_NS;
        if (result > 0)
                watch->away_ns = 0;
        commit_watch_update(watch);
}

int64_t commit_watch_pause_ns(const CommitWatch *watch, int64_t at_most_ns)
{
        _cleanup_json_ json_t *wanted = receiver_wanted(watch->keeper, watch->service);

        return json_get_bool(wanted, "synchronous", false) ? MIN(PAUSE_NS, at_most_ns) : at_most_ns;
}
