/* upgrade: one cluster in the place of the other, and back. Each step looks at what is there first, so that an interrupted
 * switch is finished by doing it again. */
#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/report.h"
#include "cli/upgrade.h"
#include "compose/edit.h"
#include "engine/local/volume.h"
#include "operate/secret_source.h"
#include "state/document.h"

static int save(UpgradeTask *task, UpgradePhase phase, Error **err)
{
        task->record.phase = phase;
        return upgrade_record_save(task->invocation->layout, &task->record, err);
}

/* Not by its stop signal: at a fast shutdown one client's locks go before another one is told to end, and that one could
 * still write. A server that is killed writes nothing more; its checkpoint is made, so its recovery has nothing to do. */
static int kill_old(UpgradeTask *task, Error **err)
{
        int r = upgrade_ask(task, "kill", task->record.service, json_pack("{s:s}", "signal", "SIGKILL"), err);

        return r < 0 ? r : upgrade_ask(task, "stop", task->record.service, NULL, err);
}

static int exchange(UpgradeTask *task, int wanted, Error **err)
{
        const Layout *layout = task->invocation->layout;

        if (upgrade_major_in_place(layout, &task->record) == wanted)
                return 0;
        return volume_exchange(layout, task->record.volume, task->record.kept, err);
}

/* The compose file says image afterwards, and the scope is what it says. */
static int bring_file_in_line(UpgradeTask *task, const char *image, Error **err)
{
        char *names[] = { task->record.service, NULL };
        const Service *service = project_find_service(task->scope->project, task->record.service);
        int r;

        if (service && streq_ptr(service->image, image))
                return 0;
        r = edit_replace_image(task->scope->project, task->record.service, image, err);
        if (r < 0)
                return r;
        scope_done(task->scope);
        return scope_open(task->invocation, names, SCOPE_NEEDS_MODEL, task->scope, err);
}

static const char *volume_key(const UpgradeTask *task)
{
        const Project *project = task->scope->project;

        for (size_t i = 0; i < project->n_volumes; i++)
                if (streq_ptr(project->volumes[i].name, task->record.volume))
                        return project->volumes[i].key;
        return "";
}

static int bring_up(UpgradeTask *task, bool as_before, Error **err)
{
        _cleanup_json_ json_t *params = NULL;
        int r = secret_sources_fetch(task->scope->project, err);

        if (r >= 0)
                r = scope_model_params(task->scope, &params, err);
        if (r < 0)
                return r;
        if (as_before)
                upgrade_model_back(json_object_get(params, "model"), &task->record, volume_key(task));
        json_object_set_new(params, "services", json_pack("[s]", task->record.service));
        json_object_set_new(params, "no_deps", json_true());
        json_object_set_new(params, "wait", json_true());
        return client_request(task->invocation, task->scope->name, "up", TAKE_PTR(params), "Starting", NULL, err);
}

/* The next `up` would find data of one major and a file for another, and say so; better to hear it now. */
static void warn_of_file(const UpgradeTask *task)
{
        const UpgradeRecord *record = &task->record;
        _cleanup_free_ char *text =
                xasprintf("the compose file is for PostgreSQL %d still: before the next `up` write `image: %s` and the "
                          "volume at %s into it, or upgrade again",
                          record->to, record->old_image, record->old_target);

        report_warning(text);
}

static int go(UpgradeTask *task, bool back, Error **err)
{
        const UpgradeRecord *record = &task->record;
        bool as_before = back && upgrade_moves_mount(record);
        int r;

        r = save(task, back ? UPGRADE_RETURNING : UPGRADE_SWITCHING, err);
        if (r >= 0)
                r = back ? upgrade_ask(task, "stop", record->service, NULL, err) : kill_old(task, err);
        if (r >= 0)
                r = exchange(task, back ? record->from : record->to, err);
        if (r >= 0 && !as_before)
                r = bring_file_in_line(task, back ? record->old_image : record->new_image, err);
        if (r >= 0)
                r = bring_up(task, as_before, err);
        if (r >= 0 && as_before)
                warn_of_file(task);
        return r < 0 ? r : save(task, back ? UPGRADE_RETURNED : UPGRADE_SWITCHED, err);
}

int upgrade_return(UpgradeTask *task, Error **err)
{
        return error_prefix(err, go(task, true, err), "return service \"%s\" to PostgreSQL %d", task->record.service,
                            task->record.from);
}

int upgrade_switch(UpgradeTask *task, Error **err)
{
        _cleanup_error_ Error *reason = NULL, *again = NULL;
        int r = go(task, false, &reason);

        if (r >= 0)
                return 0;
        if (r != -ERROR_CANCELLED && upgrade_return(task, &again) >= 0) {
                error_prefix(&reason, r, "PostgreSQL %d did not come up, everything is as before", task->record.to);
                return error_move(err, &reason, r);
        }
        error_hint(&reason, r, "`berth upgrade %s --to %d` goes on, `berth upgrade %s --rollback` returns.",
                   task->record.service, task->record.to, task->record.service);
        return error_move(err, &reason, r);
}
