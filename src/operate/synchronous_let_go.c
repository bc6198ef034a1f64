#include "operate/synchronous_let_go.h"

#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/cluster_settings.h"
#include "postgres/auto_conf_file.h"

#define APPLICATION "berth receiver"
#define SETTING     "synchronous_standby_names"
#define EFFECT_NS   (5 * NSEC_PER_SEC)
#define LOOK_NS     (10 * NSEC_PER_MSEC)

/* With what was there before, where that is remembered; else by the name. */
static int take_back(PGconn *sql, const char *slot, const char *repository_path, Error **err)
{
        _cleanup_free_ char *present = NULL;
        int r;

        if (repository_path && fs_is_directory(repository_path))
                cluster_setting_take_back(sql, repository_path, SETTING, NULL, NULL);
        r = cluster_setting_written(sql, SETTING, &present, err);
        return r == 0 && streq_ptr(present, slot) ? cluster_setting_reset(sql, SETTING, err) : r;
}

/* The server's processes read their settings a moment after they were told to. */
static int await_effect(PGconn *sql, const char *slot, Error **err)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + EFFECT_NS;
        bool told = false;

        for (;;) {
                _cleanup_free_ char *now = NULL;
                int r = postgres_query_text(sql, "SHOW " SETTING, &now, err);

                if (r < 0 || !streq_ptr(now, slot))
                        return r;
                if (clock_monotonic_ns() > until_ns)
                        return error_set(err, ERROR_TIMEOUT, SETTING " is still in effect");
                /* Who took it out of the file may have ended before he could tell the server. */
                if (!told && postgres_execute(sql, "SELECT pg_reload_conf()", PGRES_TUPLES_OK, NULL, err) < 0)
                        return -ERROR_FAILED;
                told = true;
                nanosleep(&pause, NULL);
        }
}

static int change_file(const PostgresTarget *target, Error **err)
{
        _cleanup_close_ int folder = target->pid > 0 ? auto_conf_open_running(target->pid, target->data_dir) : -1;
        int r = folder < 0 ? error_set(err, ERROR_NOT_FOUND, "its folder cannot be seen")
                           : auto_conf_clear_synchronous(folder, err);

        return r < 0 ? r : auto_conf_reload(folder, target->pid, err);
}

int synchronous_let_go(const PostgresTarget *target, const char *slot, const char *repository_path, Error **err)
{
        _cleanup_connection_ PGconn *sql = NULL;
        _cleanup_error_ Error *refused = NULL;
        int r = postgres_connect(target, CONNECT_CONTROL, APPLICATION, &sql, &refused);

        if (r < 0)
                return change_file(target, NULL) == 0 ? 0 : error_move(err, &refused, r);
        r = take_back(sql, slot, repository_path, err);
        return r < 0 ? r : await_effect(sql, slot, err);
}
