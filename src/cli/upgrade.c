/* upgrade: a database to a newer major, the way back, and letting the old data go. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/upgrade.h"
#include "cli/verbs.h"
#include "engine/local/volume.h"
#include "operate/upgrade_steps.h"
#include "state/document.h"

void upgrade_task_done(UpgradeTask *task)
{
        upgrade_record_done(&task->record);
        container_info_free(task->old);
        free(task->old_folder);
        free(task->volume_key);
}

void upgrade_say(const UpgradeTask *task, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        fprintf(stderr, " %s: ", task->record.service);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
}

int upgrade_ask(const UpgradeTask *task, const char *method, const char *name, json_t *params, Error **err)
{
        json_t *all = params ? params : json_object();

        json_object_set_new(all, "services", json_pack("[s]", name));
        return client_request_quietly(task->invocation, task->scope->name, method, all, NULL, err);
}

/* ---- what earlier calls left ---- */

int upgrade_discard_beside(UpgradeTask *task, const char *kept, bool purge, Error **err)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        Engine *engine = task->scope->engine;

        if (engine->operations->volume_inspect(engine, kept, false, &volume, NULL) < 0)
                return 0;
        STRV_FOREACH(name, volume->used_by) {
                int r = upgrade_ask(task, "rm", *name, json_pack("{s:b}", "stop", 1), err);

                if (r < 0)
                        return r;
        }
        return volume_remove(task->invocation->layout, kept, purge, err);
}

/* 1: the switch was under way, and record is that one's. */
static int take_up(UpgradeTask *task, const char *service, Error **err)
{
        const Layout *layout = task->invocation->layout;
        _cleanup_upgrade_record_ UpgradeRecord found = { 0 };
        _cleanup_error_ Error *reason = NULL;
        int r = upgrade_record_find(layout, task->scope->name, service, &found, &reason);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &reason, r);
        if (found.phase == UPGRADE_SWITCHED || found.phase == UPGRADE_RETURNING) {
                r = error_set(err, ERROR_CONFLICT,
                              "service \"%s\" went from PostgreSQL %d to %d, and the data of %d are kept", service,
                              found.from, found.to, found.phase == UPGRADE_SWITCHED ? found.from : found.to);
                return error_hint(err, r, "`berth upgrade %s --forget` lets them go, --rollback returns to them.",
                                  service);
        }
        if (found.phase == UPGRADE_SWITCHING && upgrade_major_in_place(layout, &found) == found.to) {
                task->record = found;
                found = (UpgradeRecord){ 0 };
                return 1;
        }
        r = upgrade_discard_beside(task, found.kept, found.phase != UPGRADE_RETURNED, err);
        return r < 0 ? r : upgrade_record_remove(layout, &found, err);
}

/* ---- the three things it does ---- */

static int say_done(const UpgradeTask *task)
{
        const UpgradeRecord *record = &task->record;

        printf("Service %s runs PostgreSQL %d. The data of %d are kept in volume %s:\n"
               "  berth upgrade %s --rollback   returns to them\n"
               "  berth upgrade %s --forget     lets them go\n",
               record->service, record->to, record->from, record->kept, record->service, record->service);
        return 0;
}

static int begin(UpgradeTask *task, Error **err)
{
        UpgradeRecord *record = &task->record;
        int r = upgrade_record_save(task->invocation->layout, record, err);

        if (r >= 0)
                r = upgrade_copy(task, upgrade_switch, err);
        /* What failed before the switch leaves nothing but the old server. */
        if (r < 0 && record->phase == UPGRADE_COPYING) {
                upgrade_discard_beside(task, record->kept, true, NULL);
                upgrade_record_remove(task->invocation->layout, record, NULL);
        }
        return r < 0 ? r : say_done(task);
}

static int start(UpgradeTask *task, const char *service, Error **err)
{
        UpgradeRecord *record = &task->record;
        int r = take_up(task, service, err);

        if (r > 0) {
                r = upgrade_switch(task, err);
                return r < 0 ? r : say_done(task);
        }
        if (r < 0)
                return r;
        record->project = xstrdup(task->scope->name);
        record->service = xstrdup(service);
        record->to = (int)invocation_number(task->invocation, "to", 0);
        if (!record->to)
                record->to = upgrade_image_major(project_find_service(task->scope->project, service)->image ?: "");
        if (!record->to)
                return error_set(err, ERROR_USAGE, "to which major? give --to");
        r = upgrade_prepare(task, service, err);
        return r < 0 ? r : r > 0 ? 0 : begin(task, err);
}

static int find_record(UpgradeTask *task, const char *service, Error **err)
{
        return upgrade_record_find(task->invocation->layout, task->scope->name, service, &task->record, err);
}

static int roll_back(UpgradeTask *task, const char *service, Error **err)
{
        const UpgradeRecord *record = &task->record;
        _cleanup_free_ char *what = NULL;
        int r = find_record(task, service, err);

        if (r < 0)
                return r;
        if (record->phase == UPGRADE_COPYING || record->phase == UPGRADE_RETURNED)
                return error_set(err, ERROR_CONFLICT, "service \"%s\" runs PostgreSQL %d already", service,
                                 record->from);
        what = xasprintf(
                "return service \"%s\" to PostgreSQL %d (what was written since the upgrade stays in volume %s)",
                service, record->from, record->kept);
        r = confirm(what, NULL, invocation_flag(task->invocation, "yes"), "--yes", err);
        if (r >= 0)
                r = upgrade_return(task, err);
        if (r >= 0)
                printf("Service %s runs PostgreSQL %d again. The data of %d are kept in volume %s.\n", record->service,
                       record->from, record->to, record->kept);
        return r;
}

static int forget(UpgradeTask *task, const char *service, Error **err)
{
        const UpgradeRecord *record = &task->record;
        _cleanup_free_ char *what = NULL;
        int r = find_record(task, service, err);

        if (r < 0)
                return r;
        if (record->phase == UPGRADE_SWITCHING || record->phase == UPGRADE_RETURNING)
                return error_hint(
                        err, error_set(err, ERROR_CONFLICT, "the upgrade of service \"%s\" is not finished", service),
                        "`berth upgrade %s --to %d` goes on, --rollback returns.", service, record->to);
        what = xasprintf("let the data of PostgreSQL %d in volume %s go (kept in the trash for seven days)",
                         record->phase == UPGRADE_SWITCHED ? record->from : record->to, record->kept);
        r = confirm(what, NULL, invocation_flag(task->invocation, "yes"), "--yes", err);
        if (r >= 0)
                r = upgrade_discard_beside(task, record->kept, false, err);
        if (r >= 0)
                r = upgrade_record_remove(task->invocation->layout, record, err);
        if (r >= 0)
                printf("%s\n", record->kept);
        return r;
}

static int run_upgrade(Invocation *invocation, Error **err)
{
        char *names[] = { invocation->arguments[0], NULL };
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_upgrade_task_ UpgradeTask task = { .invocation = invocation, .scope = &scope };
        bool back = invocation_flag(invocation, "rollback"), lets_go = invocation_flag(invocation, "forget");
        const char *method;
        int r;

        if (back + lets_go + invocation_given(invocation, "to") > 1)
                return error_set(err, ERROR_USAGE, "--to, --rollback and --forget are three different things");
        r = scope_open(invocation, names, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        if (!scope.services || !project_find_service(scope.project, scope.services[0]))
                return error_set(err, ERROR_NOT_FOUND, "the compose file has no service \"%s\"", names[0]);
        task.jobs = (int)MAX(invocation_number(invocation, "jobs", sysconf(_SC_NPROCESSORS_ONLN)), 1);
        task.lock_timeout_s =
                (int)MIN(MAX(invocation_number(invocation, "lock-timeout", UPGRADE_HOLD_LIMIT_S), 1), 86400);
        names[0] = project_find_service(scope.project, scope.services[0])->name;
        method = invocation_text(invocation, "method", "auto");
        task.method = streq(method, "dump")   ? UPGRADE_BY_DUMP
                      : streq(method, "auto") ? UPGRADE_BY_EITHER
                                              : UPGRADE_BY_PROGRAMS;
        return back      ? roll_back(&task, names[0], err)
               : lets_go ? forget(&task, names[0], err)
                         : start(&task, names[0], err);
}

static const Option options[] = {
        { "to", 0, OPTION_NUMBER, "MAJOR",
          "The major version to go to (default: the one that the compose file names)" },
        { "rollback", 0, OPTION_FLAG, NULL, "Return to the data and the image from before the upgrade" },
        { "forget", 0, OPTION_FLAG, NULL, "Let the data that were kept go" },
        { "method", 0, OPTION_CHOICE, "METHOD",
          "How: pg_upgrade, where the image has the programs of both majors, or dump and restore",
          "auto|dump|pg_upgrade" },
        { "jobs", 'j', OPTION_NUMBER, "N", "How many tables are copied at once (default: one a processor)" },
        { "lock-timeout", 0, OPTION_NUMBER, "SECONDS",
          "How long to wait for open transactions, which hold everything up (default: 60)" },
        { "dry-run", 0, OPTION_FLAG, NULL, "Check, and say what would be done" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

const Command command_upgrade = {
        .name = "upgrade",
        .summary = "Bring a database to a newer major version of PostgreSQL",
        .arguments = "SERVICE",
        .details =
                "The new server is started beside the old one, in a volume of its own, and filled by the newer dump "
                "and restore, or by pg_upgrade from a copy of the old one's files; meanwhile readers of the old one go "
                "on and writers wait. Roles, settings, rows of every table, extensions, collations and indexes are "
                "compared; only then do the volumes change places, at one instant, and the compose file gets the new "
                "image. Where anything fails or is killed before that, the old server goes on as if nothing had "
                "been.\n\nThe old data are kept until --forget; --rollback returns to them.",
        .examples = "berth upgrade db --to 17\nberth upgrade db --rollback\nberth upgrade db --forget",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_upgrade,
        .complete = COMPLETE_SERVICES,
};
