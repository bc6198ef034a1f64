/* upgrade: the new cluster is made beside the old one. */
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/tree.h"
#include "cli/interrupts.h"
#include "cli/report.h"
#include "cli/upgrade.h"
#include "operate/upgrade_steps.h"

static int check_major(UpgradeTask *task, const UpgradeServer *server, Error **err)
{
        int major = upgrade_major_of_folder(server->folder);

        return major == task->record.to ? 0
                                        : error_set(err, ERROR_INVALID, "%s is PostgreSQL %d, not %d",
                                                    task->record.new_image, major, task->record.to);
}

static int check_obstacles(UpgradeTask *task, Error **err)
{
        _cleanup_free_ char *obstacles = NULL, *remarks = NULL;
        _cleanup_strv_ char **lines = NULL;
        int r = upgrade_task_step(task, task->old->id, "obstacles", NULL, &obstacles, err);

        if (r >= 0 && !isempty(obstacles))
                return error_hint(err,
                                  error_set(err, ERROR_UNSUPPORTED, "service \"%s\" cannot be upgraded like this: %s",
                                            task->record.service, obstacles),
                                  "Remove the obstacle, then run this again. Nothing was changed.");
        if (r >= 0)
                r = upgrade_task_step(task, task->old->id, "remarks", NULL, &remarks, err);
        if (r < 0)
                return r;
        lines = strv_split(remarks, '\n');
        STRV_FOREACH(line, lines)
                if (**line)
                        report_warning(*line);
        return 0;
}

static int copy_databases(UpgradeTask *task, const UpgradeServer *server, Error **err)
{
        _cleanup_free_ char *text = NULL, *jobs = xasprintf("%d", task->jobs);
        _cleanup_strv_ char **names = NULL;
        int r = upgrade_task_step(task, task->old->id, "databases", NULL, &text, err);

        if (r < 0)
                return r;
        names = strv_split(text, '\n');
        STRV_FOREACH(name, names) {
                char *arguments[] = { jobs, *name, NULL };

                upgrade_say(task, "copying database %s", *name);
                r = upgrade_task_step(task, server->id, "copy", arguments, NULL, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool waits(void *context, const char *session)
{
        if (session)
                upgrade_say(context, "waiting for %s", session);
        return interrupts_take() == 0;
}

static int hold_back(UpgradeTask *task, const char *what, UpgradeHold *ret, Error **err)
{
        ret->limit_s = task->lock_timeout_s;
        ret->waits = waits;
        ret->context = task;
        return upgrade_hold_begin(task->scope->engine, task->old->id, what, ret, err);
}

/* By dump and restore. */
static int fill(UpgradeTask *task, const UpgradeServer *server, UpgradeHold *objects, Error **err)
{
        int r = upgrade_task_step(task, server->id, "roles", NULL, NULL, err);

        if (r >= 0)
                r = copy_databases(task, server, err);
        return r < 0 ? r : hold_back(task, "objects", objects, err);
}

/* What pg_upgrade leaves to be done in the new server. */
static int finish_upgraded(UpgradeTask *task, const UpgradeServer *server, bool reindex, Error **err)
{
        int r = upgrade_task_step(task, server->id, "extensions", NULL, NULL, err);

        if (r < 0 || !reindex)
                return r;
        upgrade_say(task, "making indexes anew");
        return upgrade_task_step(task, server->id, "reindex", NULL, NULL, err);
}

static int check(UpgradeTask *task, const UpgradeServer *server, Error **err)
{
        _cleanup_free_ char *compared = NULL, *left_out = NULL, *jobs = xasprintf("%d", task->jobs);
        char *arguments[] = { jobs, NULL };
        int r;

        upgrade_say(task, "comparing");
        r = upgrade_task_step(task, server->id, "compare", NULL, &compared, err);
        if (r >= 0) {
                upgrade_say(task, "the same on both sides: %s", compared);
                r = upgrade_task_step(task, server->id, "settings", NULL, &left_out, err);
        }
        if (r >= 0 && !isempty(left_out)) {
                _cleanup_strv_ char **lines = strv_split(left_out, '\n');

                STRV_FOREACH(line, lines) {
                        _cleanup_free_ char *text =
                                xasprintf("setting %s, unknown to PostgreSQL %d", *line, task->record.to);
                        report_warning(text);
                }
        }
        if (r >= 0) {
                upgrade_say(task, "analyzing");
                r = upgrade_task_step(task, server->id, "analyze", arguments, NULL, err);
        }
        return r;
}

static int make_durable(UpgradeTask *task, UpgradeServer *server, Error **err)
{
        int r;

        upgrade_say(task, "writing it to disk");
        /* Most of it while the server still runs; then the little that its end adds. */
        r = tree_sync(server->volume_folder, err);
        if (r >= 0)
                r = upgrade_server_end(task, server, err);
        if (r >= 0)
                r = upgrade_carry_files(task->old_folder, server->folder, err);
        if (r >= 0)
                r = tree_sync(server->volume_folder, err);
        if (r >= 0)
                upgrade_server_await_removal(task, server);
        return r;
}

/* The new server, with nothing in it or with what pg_upgrade made. */
static int start_server(UpgradeTask *task, UpgradeServer *server, Error **err)
{
        int r = upgrade_server_create(task, false, server, err);

        if (r >= 0)
                r = upgrade_server_look(task, server, err);
        if (r >= 0)
                r = upgrade_server_start(task, server, err);
        if (r >= 0)
                r = upgrade_task_step(task, server->id, "wait", NULL, NULL, err);
        return r < 0 ? r : check_major(task, server, err);
}

static int hold_writers(UpgradeTask *task, UpgradeHold *tables, Error **err)
{
        upgrade_say(task, "from here on writers wait");
        return hold_back(task, "tables", tables, err);
}

/* 1: done, and the new cluster lies in its volume; 0: this is not the way. */
static int upgrade_by_programs(UpgradeTask *task, UpgradeHold *tables, UpgradeHold *objects, bool *ret_reindex,
                               Error **err)
{
        _cleanup_upgrade_programs_ UpgradePrograms programs = { 0 };
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (task->method == UPGRADE_BY_DUMP)
                return 0;
        r = upgrade_programs_open(task, &programs, &reason);
        if (r >= 0)
                r = hold_writers(task, tables, &reason);
        if (r >= 0)
                r = hold_back(task, "objects", objects, &reason);
        if (r >= 0)
                r = upgrade_programs_run(task, &programs, &reason);
        upgrade_server_await_removal(task, &programs.workshop);
        *ret_reindex = programs.reindex;
        if (r >= 0)
                return 1;
        upgrade_hold_done(objects);
        upgrade_hold_done(tables);
        if (task->method == UPGRADE_BY_PROGRAMS || r == -ERROR_CANCELLED || r == -ERROR_TIMEOUT)
                return error_move(err, &reason, r);
        upgrade_say(task, "by dump and restore: %s", reason->message);
        return upgrade_discard_beside(task, task->record.kept, true, err);
}

int upgrade_copy(UpgradeTask *task, int (*finish)(UpgradeTask *task, Error **err), Error **err)
{
        _cleanup_(upgrade_server_done) UpgradeServer server = { 0 };
        _cleanup_upgrade_hold_ UpgradeHold tables = UPGRADE_HOLD_INIT, objects = UPGRADE_HOLD_INIT;
        bool upgraded = false, reindex = false;
        int r;

        r = check_obstacles(task, err);
        if (r >= 0)
                r = upgrade_by_programs(task, &tables, &objects, &reindex, err);
        upgraded = r > 0;
        if (r >= 0)
                r = start_server(task, &server, err);
        if (r >= 0 && !upgraded)
                r = hold_writers(task, &tables, err);
        if (r >= 0)
                r = upgraded ? finish_upgraded(task, &server, reindex, err) : fill(task, &server, &objects, err);
        if (r >= 0)
                r = check(task, &server, err);
        if (r >= 0)
                r = make_durable(task, &server, err);
        if (r >= 0)
                r = upgrade_task_step(task, task->old->id, "end", NULL, NULL, err);
        if (r >= 0)
                r = finish(task, err);
        if (r < 0)
                upgrade_server_await_removal(task, &server);
        return r;
}
