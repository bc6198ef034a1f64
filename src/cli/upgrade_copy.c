/* upgrade: the new cluster is made beside the old one. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/tree.h"
#include "cli/client.h"
#include "cli/interrupts.h"
#include "cli/report.h"
#include "cli/upgrade.h"
#include "deploy/spec.h"
#include "keeper/start.h"
#include "operate/data_folder.h"
#include "operate/upgrade_steps.h"
#include "state/document.h"

#define END_POLL_MS 50
#define END_POLLS   2400

/* The server beside, a one-off that ends with this process. */
typedef struct NewServer {
        char *id, *name;
        char *folder;           /* of its data, on this machine */
        char *volume_folder;
        ChannelClient *client;  /* as long as it is open the server may run */
} NewServer;

static void new_server_done(NewServer *server)
{
        channel_client_free(server->client);
        free(server->id);
        free(server->name);
        free(server->folder);
        free(server->volume_folder);
}

static int create(UpgradeTask *task, NewServer *server, Error **err)
{
        _cleanup_json_ json_t *params = NULL, *result = NULL;
        json_t *model;
        int r = scope_model_params(task->scope, &params, err);

        if (r < 0)
                return r;
        model = upgrade_model(json_object_get(params, "model"), &task->record, task->old->name, task->volume_key);
        json_object_set_new(json_object_get(json_object_get(model, "services"), task->record.service), "annotations",
                            json_pack("{s:s}", ANNOTATION_BOUND, "true"));
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

static int start(UpgradeTask *task, NewServer *server, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:s}", "id", server->id);
        int r = keeper_connect(task->invocation->layout, task->scope->name, KEEPER_START, &server->client, err);

        return r < 0 ? r : channel_client_call(server->client, "start_oneoff", params, NULL, NULL, NULL, err);
}

/* Where its data are, and that the major is the one that was asked for. */
static int look(UpgradeTask *task, NewServer *server, Error **err)
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
        free_and_replace(&task->record.new_folder,
                         xstrdup(server->folder + strlen(volume->path) + (server->folder[strlen(volume->path)] == '/')));
        return 0;
}

static int check_major(UpgradeTask *task, const NewServer *server, Error **err)
{
        int major = upgrade_major_of_folder(server->folder);

        return major == task->record.to ? 0
                                        : error_set(err, ERROR_INVALID, "%s is PostgreSQL %d, not %d",
                                                    task->record.new_image, major, task->record.to);
}

static int step(UpgradeTask *task, const char *container, const char *name, char *const *arguments, char **ret, Error **err)
{
        int r = upgrade_step(task->scope->engine, container, name, arguments, ret, err);

        if (interrupts_take() > 0)
                return -ERROR_CANCELLED;
        return error_prefix(err, r, "upgrade service \"%s\": %s", task->record.service, name);
}

static int check_obstacles(UpgradeTask *task, Error **err)
{
        _cleanup_free_ char *obstacles = NULL, *remarks = NULL;
        _cleanup_strv_ char **lines = NULL;
        int r = step(task, task->old->id, "obstacles", NULL, &obstacles, err);

        if (r >= 0 && !isempty(obstacles))
                return error_hint(err,
                                  error_set(err, ERROR_UNSUPPORTED, "service \"%s\" cannot be upgraded like this: %s",
                                            task->record.service, obstacles),
                                  "Remove the obstacle, then run this again. Nothing was changed.");
        if (r >= 0)
                r = step(task, task->old->id, "remarks", NULL, &remarks, err);
        if (r < 0)
                return r;
        lines = strv_split(remarks, '\n');
        STRV_FOREACH(line, lines)
                if (**line)
                        report_warning(*line);
        return 0;
}

static int copy_databases(UpgradeTask *task, const NewServer *server, Error **err)
{
        _cleanup_free_ char *text = NULL, *jobs = xasprintf("%d", task->jobs);
        _cleanup_strv_ char **names = NULL;
        int r = step(task, task->old->id, "databases", NULL, &text, err);

        if (r < 0)
                return r;
        names = strv_split(text, '\n');
        STRV_FOREACH(name, names) {
                char *arguments[] = { jobs, *name, NULL };

                upgrade_say(task, "copying database %s", *name);
                r = step(task, server->id, "copy", arguments, NULL, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int fill(UpgradeTask *task, const NewServer *server, UpgradeHold *objects, Error **err)
{
        _cleanup_free_ char *compared = NULL, *left_out = NULL, *jobs = xasprintf("%d", task->jobs);
        char *arguments[] = { jobs, NULL };
        int r;

        r = step(task, server->id, "roles", NULL, NULL, err);
        if (r >= 0)
                r = copy_databases(task, server, err);
        if (r >= 0)
                r = upgrade_hold_begin(task->scope->engine, task->old->id, "objects", objects, err);
        if (r >= 0) {
                upgrade_say(task, "comparing");
                r = step(task, server->id, "compare", NULL, &compared, err);
        }
        if (r >= 0) {
                upgrade_say(task, "the same on both sides: %s", compared);
                r = step(task, server->id, "settings", NULL, &left_out, err);
        }
        if (r >= 0 && !isempty(left_out)) {
                _cleanup_strv_ char **lines = strv_split(left_out, '\n');

                STRV_FOREACH(line, lines) {
                        _cleanup_free_ char *text = xasprintf("setting %s, unknown to PostgreSQL %d", *line, task->record.to);
                        report_warning(text);
                }
        }
        if (r >= 0) {
                upgrade_say(task, "analyzing");
                r = step(task, server->id, "analyze", arguments, NULL, err);
        }
        return r;
}

/* In good order: its last checkpoint stands for all that was written without syncing. */
static int end(UpgradeTask *task, NewServer *server, Error **err)
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

/* It is removed by the keeper once nobody looks at it any more. */
static void await_removal(UpgradeTask *task, NewServer *server)
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

static int make_durable(UpgradeTask *task, NewServer *server, Error **err)
{
        int r;

        upgrade_say(task, "writing it to disk");
        /* Most of it while the server still runs; then the little that its end adds. */
        r = tree_sync(server->volume_folder, err);
        if (r >= 0)
                r = end(task, server, err);
        if (r >= 0)
                r = upgrade_carry_files(task->old_folder, server->folder, err);
        if (r >= 0)
                r = tree_sync(server->volume_folder, err);
        if (r >= 0)
                await_removal(task, server);
        return r;
}

int upgrade_copy(UpgradeTask *task, int (*finish)(UpgradeTask *task, Error **err), Error **err)
{
        _cleanup_(new_server_done) NewServer server = { 0 };
        _cleanup_upgrade_hold_ UpgradeHold tables = UPGRADE_HOLD_INIT, objects = UPGRADE_HOLD_INIT;
        int r;

        r = check_obstacles(task, err);
        if (r >= 0)
                r = create(task, &server, err);
        if (r >= 0)
                r = look(task, &server, err);
        if (r >= 0)
                r = start(task, &server, err);
        if (r >= 0)
                r = step(task, server.id, "wait", NULL, NULL, err);
        if (r >= 0)
                r = check_major(task, &server, err);
        if (r >= 0) {
                upgrade_say(task, "from here on writers wait");
                r = upgrade_hold_begin(task->scope->engine, task->old->id, "tables", &tables, err);
        }
        if (r >= 0)
                r = fill(task, &server, &objects, err);
        if (r >= 0)
                r = make_durable(task, &server, err);
        if (r >= 0)
                r = step(task, task->old->id, "end", NULL, NULL, err);
        if (r >= 0)
                r = finish(task, err);
        if (r < 0)
                await_removal(task, &server);
        return r;
}
