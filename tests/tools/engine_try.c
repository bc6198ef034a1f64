/* A small driver of the local engine, for trying it by hand and for measuring: engine-try [--net MODE] NAME IMAGE ARG… */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/local.h"

static void warn(void *context, const char *text)
{
        printf("warning: %s\n", text);
}

static int show(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        printf("%d| %.*s\n", stream, (int)length, text);
        return 0;
}

static void check(int r, Error **err, const char *what)
{
        Error *error = *err;

        if (r < 0) {
                printf("%s: %s%s%s\n", what, error ? error->message : "?", error && error->hint ? " / " : "", error && error->hint ? error->hint : "");
                exit(1);
        }
}

int main(int argc, char **argv)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        ContainerSpec *spec = container_spec_create();
        EngineProgress progress = { .warning = warn, .cancel_fd = -1 };
        Error *error = NULL;
        const char *mode = "none";
        Image *image = NULL;
        char *id = NULL;
        int64_t t0, t1, t2;
        int i = 1;

        if (streq(argv[i], "--net")) {
                mode = argv[i + 1];
                i += 2;
        }
        check(local_engine_create(layout, &engine, &error), &error, "create");
        check(engine->operations->image_find(engine, argv[i + 1], "auto", &image, &error), &error, "image_find");
        spec->name = argv[i];
        spec->image = argv[i + 1];
        spec->image_id = image->id;
        spec->network_mode = streq(mode, "bridge") ? NULL : (char *)mode;
        spec->stop_signal = image->config.stop_signal;
        strv_add_all(&spec->environment, image->config.environment);
        strv_add(&spec->environment, "POSTGRES_PASSWORD=secret");
        if (argv[i + 2]) {
                spec->argv = argv + i + 2;
        } else {
                strv_add_all(&spec->argv, image->config.entrypoint);
                strv_add_all(&spec->argv, image->config.command);
        }
        t0 = clock_monotonic_ns();
        check(engine->operations->container_create(engine, spec, &progress, &id, &error), &error, "container_create");
        t1 = clock_monotonic_ns();
        check(engine->operations->container_start(engine, id, &progress, &error), &error, "container_start");
        t2 = clock_monotonic_ns();
        printf("%s\ncreate %.1f ms, start %.1f ms\n", id, (t1 - t0) / 1e6, (t2 - t1) / 1e6);
        usleep(getenv("WAIT") ? atoi(getenv("WAIT")) * 1000 : 1500000);
        engine->operations->logs(engine, id, &(LogQuery){ .tail = 10, .cancel_fd = -1 }, show, NULL, NULL);
        check(engine->operations->container_inspect(engine, id, &info, &error), &error, "inspect");
        printf("state %s pid %d exit %d\n", container_state_name(info->state), info->pid, info->exit_code);
        for (int k = 0; k < 3 && info->state == CONTAINER_RUNNING; k++) {
                ExecResult result;
                char *const command[] = { "sh", "-c", "id; echo hallo; exit 3", NULL };
                t0 = clock_monotonic_ns();
                check(engine->operations->exec(engine, id, &(ExecSpec){ .argv = command, .timeout_ms = 5000 }, &result, &error), &error, "exec");
                t1 = clock_monotonic_ns();
                printf("exec %d %s (%.1f ms)\n", result.exit_code, result.output, (t1 - t0) / 1e6);
        }
        t0 = clock_monotonic_ns();
        check(engine->operations->container_stop(engine, id, 5000, true, &error), &error, "stop");
        t1 = clock_monotonic_ns();
        container_info_free(info);
        check(engine->operations->container_inspect(engine, id, &info, &error), &error, "inspect");
        printf("stopped in %.1f ms: state %s exit %d\n", (t1 - t0) / 1e6, container_state_name(info->state), info->exit_code);
        t0 = clock_monotonic_ns();
        check(engine->operations->container_start(engine, id, &progress, &error), &error, "start again");
        t1 = clock_monotonic_ns();
        check(engine->operations->container_stop(engine, id, 5000, true, &error), &error, "stop");
        t2 = clock_monotonic_ns();
        printf("started again in %.1f ms, stopped in %.1f\n", (t1 - t0) / 1e6, (t2 - t1) / 1e6);
        check(engine->operations->container_remove(engine, id, REMOVE_ANONYMOUS_VOLUMES, &error), &error, "remove");
        printf("removed in %.1f ms\n", (clock_monotonic_ns() - t2) / 1e6);
        return 0;
}
