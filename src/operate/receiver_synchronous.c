/* The receiver as a synchronous standby: commits wait until it has synced them. synchronous_standby_names is ours only while
 * it streams and has all; what a user has there stays, and then nothing is promised. */
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/cluster_settings.h"
#include "operate/receiver_private.h"
#include "operate/synchronous_let_go.h"
#include "state/document.h"

#define APPLICATION "berth receiver"
#define SETTING     "synchronous_standby_names"
#define RETRY_NS    (10 * NSEC_PER_SEC)
#define EFFECT_NS   (5 * NSEC_PER_SEC)
#define LOOK_NS     (10 * NSEC_PER_MSEC)

static const char *const states[] = {
        [SYNCHRONOUS_OFF] = "off",         [SYNCHRONOUS_WAITING] = "waiting", [SYNCHRONOUS_ON] = "on",
        [SYNCHRONOUS_REFUSED] = "refused", [SYNCHRONOUS_PAUSED] = "paused",
};

const char *synchronous_state_name(SynchronousState state)
{
        return states[state];
}

void synchronous_init(Synchronous *synchronous, const ReceiverOptions *options)
{
        *synchronous = (Synchronous){ .options = options,
                                      .state = options->synchronous ? SYNCHRONOUS_WAITING : SYNCHRONOUS_OFF };
}

static void take_state(Synchronous *synchronous, SynchronousState state, char *message)
{
        synchronous->state = state;
        free_and_replace(&synchronous->message, message);
}

/* ---- SQL ---- */

/* The server's processes read their settings a moment after they were told to. 1: it is so now. */
static int await_effect(PGconn *sql, const char *name, Error **err)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + EFFECT_NS;

        for (;;) {
                _cleanup_free_ char *now = NULL;
                int r = postgres_query_text(sql, "SHOW " SETTING, &now, err);

                if (r < 0)
                        return r;
                if (streq_ptr(now, name))
                        return 1;
                if (clock_monotonic_ns() > until_ns)
                        return 0;
                nanosleep(&pause, NULL);
        }
}

/* Why it may not be; NULL: it may. */
static int find_obstacle(PGconn *sql, const char *name, char **ret, Error **err)
{
        _cleanup_free_ char *present = NULL, *commit = NULL;
        int r = postgres_query_text(sql, "SHOW " SETTING, &present, err);

        if (r == 0)
                r = postgres_query_text(sql, "SHOW synchronous_commit", &commit, err);
        if (r < 0)
                return r;
        if (!isempty(present) && !streq(present, name))
                *ret = xasprintf(SETTING
                                 " is \"%s\", which is not ours and stays: commits do not wait for the receiver. "
                                 "ALTER SYSTEM RESET " SETTING
                                 " (or the setting where it is made) lets it take that place",
                                 present);
        else if (streq_ptr(commit, "off") || streq_ptr(commit, "local"))
                *ret = xasprintf("synchronous_commit is \"%s\": commits wait for nobody", commit);
        return 0;
}

static int set_it(Synchronous *synchronous, PGconn *sql, const char *repository_path, Error **err)
{
        const char *name = synchronous->options->slot;
        int r;

        synchronous->let_go = false;
        r = cluster_setting_set(sql, repository_path, SETTING, name, err);
        if (r == 0)
                r = await_effect(sql, name, err);
        if (r > 0) {
                take_state(synchronous, SYNCHRONOUS_ON, NULL);
                return 0;
        }
        if (r == 0) {
                cluster_setting_take_back(sql, repository_path, SETTING, NULL, NULL);
                take_state(synchronous, SYNCHRONOUS_REFUSED,
                           xstrdup("ALTER SYSTEM does not change " SETTING ": it is set on the server's command line"));
        }
        return r;
}

static int switch_on(Synchronous *synchronous, const char *repository_path, Error **err)
{
        const ReceiverOptions *options = synchronous->options;
        _cleanup_connection_ PGconn *sql = NULL;
        char *obstacle = NULL;
        int r = postgres_connect(&options->target, CONNECT_CONTROL, APPLICATION, &sql, err);

        if (r == 0)
                r = find_obstacle(sql, options->slot, &obstacle, err);
        if (r < 0)
                return r;
        if (obstacle) {
                take_state(synchronous, SYNCHRONOUS_REFUSED, obstacle);
                return 0;
        }
        return set_it(synchronous, sql, repository_path, err);
}

/* May it be on? Where nothing can be read of that, it may. */
static bool may_be_on(const char *repository_path)
{
        _cleanup_free_ char *path = repository_path ? path_join(repository_path, CLUSTER_SETTINGS_FILE) : NULL;
        _cleanup_json_ json_t *document = NULL;

        if (!path || document_load(path, CLUSTER_SETTINGS_FORMAT, &document, NULL) < 0)
                return true;
        return json_get_bool(json_object_get(json_object_get(document, "settings"), SETTING), "on", false);
}

static int let_go(Synchronous *synchronous, const char *repository_path, Error **err)
{
        int r = synchronous_let_go(&synchronous->options->target, synchronous->options->slot, repository_path, err);

        if (r == 0)
                synchronous->let_go = true;
        return r;
}

/* ---- when ---- */

bool synchronous_is_wanted(const Synchronous *synchronous)
{
        return synchronous->options->synchronous && !synchronous->paused;
}

void synchronous_look_anew(Synchronous *synchronous)
{
        if (synchronous->state == SYNCHRONOUS_ON)
                take_state(synchronous, SYNCHRONOUS_WAITING, NULL);
        synchronous->retry_ns = 0;
        synchronous->let_go = false;
}

bool synchronous_streams(Synchronous *synchronous, const char *repository_path)
{
        SynchronousState before = synchronous->state;
        _cleanup_error_ Error *error = NULL;
        int64_t now_ns = clock_monotonic_ns();

        synchronous->down_ns = 0;
        if (!synchronous_is_wanted(synchronous) || synchronous->state == SYNCHRONOUS_ON ||
            now_ns < synchronous->retry_ns)
                return false;
        synchronous->retry_ns = now_ns + RETRY_NS;
        if (switch_on(synchronous, repository_path, &error) < 0)
                take_state(synchronous, SYNCHRONOUS_WAITING, xstrdup(error->message));
        return before != synchronous->state;
}

int synchronous_end(Synchronous *synchronous, const char *repository_path, Error **err)
{
        int r = 0;

        if (synchronous->state == SYNCHRONOUS_ON || (!synchronous->let_go && may_be_on(repository_path)))
                r = let_go(synchronous, repository_path, err);
        if (r < 0 &&
            synchronous->state == SYNCHRONOUS_ON) /* how far that came nobody knows: it is not to be relied upon */
                take_state(synchronous, SYNCHRONOUS_WAITING, err && *err ? xstrdup((*err)->message) : NULL);
        if (r == 0)
                take_state(synchronous,
                           !synchronous->options->synchronous ? SYNCHRONOUS_OFF
                           : synchronous->paused              ? SYNCHRONOUS_PAUSED
                                                              : SYNCHRONOUS_WAITING,
                           NULL);
        return r;
}

int64_t synchronous_is_down(Synchronous *synchronous, const char *repository_path)
{
        int64_t limit_ns = synchronous->options->async_after_ns, now_ns = clock_monotonic_ns(), left_ns;
        _cleanup_error_ Error *error = NULL;

        if (!synchronous->down_ns)
                synchronous->down_ns = now_ns;
        if (limit_ns < 0 || !synchronous_is_wanted(synchronous) || synchronous->let_go)
                return INT64_MAX;
        left_ns = synchronous->down_ns + limit_ns - now_ns;
        if (left_ns > 0)
                return left_ns;
        if (synchronous_end(synchronous, repository_path, &error) == 0)
                synchronous->retry_ns = 0;
        return INT64_MAX;
}
