#include "cli/keep.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/dump.h"
#include "cli/work.h"
#include "operate/receiver_control.h"
#include "operate/sql.h"
#include "postgres/wal_name.h"
#include "state/document.h"

#define RECEIVE_LIMIT_NS (60 * NSEC_PER_SEC)
#define RECEIVE_PAUSE_MS 50

/* ---- the receiver and its backups ---- */

/* How far the log is in the repository; false where nobody receives it. */
static bool find_received(const Invocation *invocation, const Scope *scope, const char *service, Lsn *ret)
{
        _cleanup_json_ json_t *state = receiver_state_load(invocation->layout, scope->name, service);

        return receiver_state_pid(state) && streq(json_get_string(state, "phase", ""), "streaming") &&
               lsn_parse(json_get_string(state, "flushed", ""), ret);
}

/* The newest backup of the cluster that runs; NULL. */
static char *find_backup(const Invocation *invocation, const Scope *scope, const char *service)
{
        _cleanup_json_ json_t *result = NULL;
        const char *found = NULL;
        json_t *row;
        size_t i;

        if (work_ask(invocation, "backups", json_pack("{s:s, s:s}", "project", scope->name, "service", service),
                     &result, NULL) < 0)
                return NULL;
        json_array_foreach(json_object_get(result, "backups"), i, row)
                if (json_get_bool(row, "present", false) && !json_get_bool(row, "damaged", false))
                        found = json_get_string(row, "id", NULL);
        return xstrdup(found);
}

bool keep_by_restore_point(const Invocation *invocation, const Scope *scope, const ContainerInfo *info)
{
        _cleanup_free_ char *backup = NULL;
        Lsn received;

        if (!find_received(invocation, scope, info->service, &received))
                return false;
        backup = find_backup(invocation, scope, info->service);
        return backup != NULL;
}

static char *restore_point_name(void)
{
        time_t now = time(NULL);
        struct tm parts;
        char text[64] = "before";

        if (gmtime_r(&now, &parts))
                strftime(text, sizeof(text), "before-%Y%m%dT%H%M%SZ", &parts);
        return xstrdup(text);
}

/* The place where the log has been written up to with it. */
static int make_restore_point(const Scope *scope, const ContainerInfo *info, const char *name, Lsn *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        _cleanup_free_ char *text = NULL;
        int r;

        strbuf_adds(&sql, "SELECT pg_create_restore_point(");
        sql_add_literal(&sql, name);
        strbuf_adds(&sql, ");\n");
        r = sql_run(scope->engine, info, NULL, strbuf_text(&sql), &text, err);
        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = '\0';
        return lsn_parse(text, ret)
                       ? 0
                       : error_set(err, ERROR_INVALID, "the server answered \"%s\" for a place in its log", text);
}

static int await_received(const Invocation *invocation, const Scope *scope, const char *service, Lsn wanted,
                          Error **err)
{
        int64_t deadline = clock_monotonic_ns() + RECEIVE_LIMIT_NS;
        Lsn received = 0;

        while (!find_received(invocation, scope, service, &received) || received < wanted) {
                if (clock_monotonic_ns() >= deadline)
                        return error_set(err, ERROR_TIMEOUT, "the log of the last moments has not been received");
                poll(NULL, 0, RECEIVE_PAUSE_MS);
        }
        return 0;
}

static int keep_point(const Invocation *invocation, const Scope *scope, const ContainerInfo *info, Error **err)
{
        _cleanup_free_ char *name = restore_point_name(), *backup = NULL;
        Lsn place = 0;
        int r = make_restore_point(scope, info, name, &place, err);

        if (r == 0)
                r = await_received(invocation, scope, info->service, place, err);
        if (r < 0)
                return error_prefix(err, r, "restore point of service \"%s\"", info->service);
        backup = find_backup(invocation, scope, info->service);
        fprintf(stderr, "restore point %s is in the backups: \"berth restore %s --backup %s --to %s\" brings it back\n",
                name, info->service, backup ? backup : "ID", name);
        return 0;
}

/* ---- a dump ---- */

static int keep_dump(const Invocation *invocation, const Scope *scope, const ContainerInfo *info, Error **err)
{
        const char *folder = scope->project && scope->project->working_dir ? scope->project->working_dir : ".";
        DumpOptions options = { .engine = scope->engine, .container = info, .format = DUMP_PLAIN, .all = true };
        _cleanup_dump_result_ DumpResult result = { 0 };
        int r = dump_show(invocation, &options, folder, &result, err);

        if (r == 0)
                fprintf(stderr, "wrote %s\n", result.path);
        return r;
}

int keep_before_loss(const Invocation *invocation, const Scope *scope, const ContainerInfo *info, Error **err)
{
        int r = keep_by_restore_point(invocation, scope, info) ? keep_point(invocation, scope, info, err)
                                                               : keep_dump(invocation, scope, info, err);

        return r < 0 ? error_hint(err, r, "Nothing has been deleted. --no-backup goes on without one.") : 0;
}
