/* upgrade: a container of the new major's image beside the old server. */
#include <poll.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/interrupts.h"
#include "cli/upgrade.h"
#include "deploy/spec.h"
#include "keeper/start.h"
#include "operate/data_folder.h"
#include "operate/upgrade_steps.h"
#include "state/document.h"

#define END_POLL_MS 50
#define END_POLLS   2400

void upgrade_server_done(UpgradeServer *server)
{
        channel_client_free(server->client);
        free(server->id);
        free(server->name);
        free(server->folder);
        free(server->volume_folder);
        *server = (UpgradeServer){ 0 };
}

/* It does nothing itself: programs are executed in it. */
static void make_idle(json_t *service)
{
        json_object_set_new(service, "entrypoint", json_pack("[s, s, s]", "sh", "-c", "while :; do sleep 1000; done"));
        json_object_set_new(service, "command", json_array());
}

int upgrade_server_create(UpgradeTask *task, bool idle, UpgradeServer *server, Error **err)
{
        _cleanup_json_ json_t *params = NULL, *result = NULL;
        json_t *model, *service;
        int r = scope_model_params(task->scope, &params, err);

        if (r < 0)
                return r;
        model = upgrade_model(json_object_get(params, "model"), &task->record, task->old->name, task->volume_key);
        service = json_object_get(json_object_get(model, "services"), task->record.service);
        json_object_set_new(service, "annotations", json_pack("{s:s}", ANNOTATION_BOUND, "true"));
        if (idle)
                make_idle(service);
        json_object_set_new(params, "model", model);
        json_object_set_new(params, "service", json_string(task->record.service));
        json_object_set_new(params, "no_deps", json_true());
        json_object_set_new(params, "rm", json_true());
        r = client_request(task->invocation, task->scope->name, "run", json_incref(params), "Preparing", &result, err);
        if (r < 0)
                return r;
        server->id = xstrdup(json_get_string(result, "id", ""));
        server->name = xstrdup(json_get_string(result, "name", ""));
        return 0;
}

int upgrade_server_start(UpgradeTask *task, UpgradeServer *server, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:s}", "id", server->id);
        int r = keeper_connect(task->invocation->layout, task->scope->name, KEEPER_START, &server->client, err);

        return r < 0 ? r : channel_client_call(server->client, "start_oneoff", params, NULL, NULL, NULL, err);
}

int upgrade_server_look(UpgradeTask *task, UpgradeServer *server, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        const EngineOperations *operations = task->scope->engine->operations;
        const SpecMount *mount = NULL;
        const char *path;
        bool is_new;
        int r;

        r = operations->container_inspect(task->scope->engine, server->id, &info, err);
        if (r >= 0)
                r = operations->volume_inspect(task->scope->engine, task->record.kept, false, &volume, err);
        if (r < 0)
                return r;
        path = info->spec ? data_folder_of_spec(info->spec) : NULL;
        server->folder = path ? data_folder_on_host(task->scope->engine, info->spec, path, &mount, &is_new) : NULL;
        if (!server->folder || !mount || !streq_ptr(mount->source, task->record.kept))
                return error_hint(err,
                                  error_set(err, ERROR_INVALID, "%s would keep its data in %s, outside of the volume",
                                            task->record.new_image, path ? path : "an unknown folder"),
                                  "Images from 18 on want the volume at /var/lib/postgresql: write image and volume of "
                                  "the new major into the compose file, then run this again.");
        server->volume_folder = xstrdup(volume->path);
        free_and_replace(&task->record.new_target, xstrdup(mount->target));
        free_and_replace(&task->record.new_folder, xstrdup(server->folder + strlen(volume->path) +
                                                           (server->folder[strlen(volume->path)] == '/')));
        return 0;
}

int upgrade_task_step(UpgradeTask *task, const char *container, const char *name, char *const *arguments, char **ret,
                      Error **err)
{
        int r = upgrade_step(task->scope->engine, container, name, arguments, ret, err);

        if (interrupts_take() > 0)
                return -ERROR_CANCELLED;
        return error_prefix(err, r, "upgrade service \"%s\": %s", task->record.service, name);
}

int upgrade_server_end(UpgradeTask *task, UpgradeServer *server, Error **err)
{
        _cleanup_free_ char *pid_file = path_join(server->folder, "postmaster.pid");
        Engine *engine = task->scope->engine;
        int r = upgrade_ask(task, "kill", server->name, json_pack("{s:s}", "signal", "SIGINT"), err);

        for (int i = 0; r >= 0 && i < END_POLLS; i++) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;

                if (engine->operations->container_inspect(engine, server->id, &info, NULL) < 0 ||
                    info->state != CONTAINER_RUNNING)
                        break;
                poll(NULL, 0, END_POLL_MS);
        }
        if (r >= 0 && fs_exists(pid_file))
                r = error_set(err, ERROR_FAILED, "the new server did not end in good order");
        return r;
}

void upgrade_server_await_removal(UpgradeTask *task, UpgradeServer *server)
{
        Engine *engine = task->scope->engine;

        if (!server->client)
                return; /* it was never started: whoever discards the volume removes it */
        channel_client_free(TAKE_PTR(server->client));
        for (int i = 0; i < END_POLLS; i++) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;

                if (engine->operations->container_inspect(engine, server->id, &info, NULL) < 0)
                        return;
                poll(NULL, 0, END_POLL_MS);
        }
}
