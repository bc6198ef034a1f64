#include "engine/local/local.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/process.h"
#include "engine/local/dial.h"
#include "engine/local/lifecycle.h"
#include "engine/local/network.h"
#include "engine/local/private.h"
#include "engine/local/runtime.h"
#include "engine/local/volume.h"
#include "image/pull.h"

static int local_probe(Engine *engine, Error **err)
{
        _cleanup_free_ char *runtime = NULL, *monitor = NULL;
        int r = layout_prepare(engine_layout(engine), err);

        if (r >= 0)
                r = cgroup_check(err);
        if (r >= 0)
                r = runtime_find(engine_layout(engine), &runtime, err);
        if (r < 0)
                return r;
        monitor = process_find("conmon");
        if (!monitor)
                return error_hint(err, error_set(err, ERROR_UNAVAILABLE, "conmon: not found in PATH"),
                                  "Install the package conmon.");
        return 0;
}

static int local_image_pull(Engine *engine, const char *reference, const char *policy, const char *platform,
                            const EngineProgress *progress, Error **err)
{
        ImageProgress told = { .cancel_fd = -1 };
        ImagePolicy chosen = IMAGES_AUTO;

        if (policy && !image_policy_from_name(policy, &chosen))
                return error_set(err, ERROR_INVALID, "there is no image policy \"%s\"", policy);
        if (progress)
                told = (ImageProgress){ .context = progress->context,
                                        .status = progress->status,
                                        .bytes = progress->bytes,
                                        .warning = progress->warning,
                                        .cancel_fd = progress->cancel_fd };
        return image_pull(engine_layout(engine), reference, chosen, platform, &told, err);
}

static int create_network(Engine *engine, const NetworkSpec *spec, Error **err)
{
        return local_network_create(engine_layout(engine), spec, NULL, err);
}

static int remove_network(Engine *engine, const char *name, Error **err)
{
        return local_network_remove(engine_layout(engine), name, err);
}

int local_engine_create(const Layout *layout, Engine **ret, Error **err)
{
        LocalEngine *engine;
        Engine *reader;
        int r = local_reader_create(layout, &reader, err);

        if (r < 0)
                return r;
        engine = (LocalEngine *)reader;
        engine->operations.probe = local_probe;
        engine->operations.image_pull = local_image_pull;
        engine->operations.network_create = create_network;
        engine->operations.network_remove = remove_network;
        engine->operations.container_create = local_container_create;
        engine->operations.container_start = local_container_start;
        engine->operations.container_stop = local_container_stop;
        engine->operations.container_kill = local_container_kill;
        engine->operations.container_remove = local_container_remove;
        engine->operations.container_rename = local_container_rename;
        engine->operations.container_note = local_container_note;
        engine->operations.container_refresh = local_container_refresh;
        engine->operations.container_rotate_logs = local_container_rotate_logs;
        engine->operations.dial = local_dial;
        engine->operations.recover = local_recover;
        *ret = reader;
        return 0;
}
