#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "local_setup.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/local.h"

LocalSetup setup;

static const char *image_of_this_machine(void)
{
        static char reference[32];

        for (int major = 18; major >= 13; major--) {
                snprintf(reference, sizeof(reference), "/usr/lib/postgresql/%d", major);
                if (fs_exists(reference)) {
                        snprintf(reference, sizeof(reference), "postgres:%d", major);
                        return reference;
                }
        }
        return NULL;
}

static void set_environment(void)
{
        _cleanup_free_ char *self = path_of_self(), *tests = path_dirname(self), *build = path_clean(tests, "../../..");
        _cleanup_free_ char *data = path_join(setup.folder, "data"), *run = path_join(setup.folder, "run");

        setenv("BERTH_DATA_DIR", data, 1);
        setenv("BERTH_RUN_DIR", run, 1);
        setenv("BERTH_LIBEXEC_DIR", build, 0);
}

int local_setup_open(void)
{
        char folder[] = "/tmp/berth-engine-XXXXXX";
        _cleanup_error_ Error *error = NULL;

        setup.image = image_of_this_machine();
        if (geteuid() != 0 || !setup.image || unshare(CLONE_NEWNET) < 0 || !mkdtemp(folder)) {
                fprintf(stderr, "skipped: needs root and PostgreSQL's packages\n");
                return SKIPPED;
        }
        chmod(folder, 0755);
        setup.folder = xstrdup(folder);
        set_environment();
        setup.layout = layout_create();
        if (local_engine_create(setup.layout, &setup.engine, &error) < 0 ||
            setup.engine->operations->probe(setup.engine, &error) < 0) {
                fprintf(stderr, "skipped: %s\n", error->message);
                local_setup_close();
                return SKIPPED;
        }
        return 0;
}

/* What failed tests left running. */
static void remove_all(void)
{
        _cleanup_container_list_ ContainerList list = { 0 };

        setup.engine->operations->container_list(setup.engine, NULL, &list, NULL);
        for (size_t i = 0; i < list.length; i++) {
                setup.engine->operations->container_stop(setup.engine, list.items[i]->id, 0, STOP_BY_COMMAND, NULL);
                setup.engine->operations->container_remove(setup.engine, list.items[i]->id, 0, NULL);
        }
}

void local_setup_close(void)
{
        _cleanup_free_ char *mounted = path_join(setup.folder, "run/projects");
        _cleanup_error_ Error *error = NULL;

        if (setup.engine)
                remove_all();
        engine_free(setup.engine);
        layout_free(setup.layout);
        umount2(mounted, MNT_DETACH);
        if (fs_remove_tree(AT_FDCWD, setup.folder, &error) < 0)
                fprintf(stderr, "%s\n", error->message);
        free(setup.folder);
}

static void must(int r, const Error *error)
{
        if (r < 0)
                print_error("%s\n", error ? error->message : "failed without a message");
        assert_true(r >= 0);
}

ContainerSpec *local_spec(const char *name, const char *script)
{
        char *const argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
        ContainerSpec *spec = container_spec_create();
        _cleanup_error_ Error *error = NULL;
        Image *image = NULL;

        must(setup.engine->operations->image_find(setup.engine, setup.image, "auto", &image, &error), error);
        spec->name = arena_strdup(spec->arena, name);
        spec->image = arena_strdup(spec->arena, setup.image);
        spec->image_id = arena_strdup(spec->arena, image->id);
        spec->argv = arena_strv(spec->arena, argv);
        spec->network_mode = arena_strdup(spec->arena, "none");
        spec->stop_grace_ns = 0;
        image_free(image);
        return spec;
}

char *local_start(ContainerSpec *spec)
{
        _cleanup_error_ Error *error = NULL;
        char *id = NULL;

        must(setup.engine->operations->container_create(setup.engine, spec, NULL, &id, &error), error);
        must(setup.engine->operations->container_start(setup.engine, id, NULL, &error), error);
        container_spec_free(spec);
        return id;
}

char *local_output(const char *id, const char *script)
{
        char *const argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
        _cleanup_error_ Error *error = NULL;
        ExecResult result = { 0 };

        must(setup.engine->operations->exec(setup.engine, id, &(ExecSpec){ .argv = argv, .timeout_ms = 20000 }, &result,
                                            &error),
             error);
        if (result.exit_code != 0)
                print_error("%s: exit %d: %s\n", script, result.exit_code, result.output);
        assert_int_equal(result.exit_code, 0);
        return result.output;
}

static int add_line(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        strbuf_add(context, text, length);
        strbuf_addc(context, '\n');
        return 0;
}

char *local_log(const char *id)
{
        _cleanup_error_ Error *error = NULL;
        Strbuf text = STRBUF_INIT;

        must(setup.engine->operations->logs(setup.engine, id, &(LogQuery){ .tail = -1, .cancel_fd = -1 }, add_line,
                                            &text, &error),
             error);
        return strbuf_take(&text);
}

int local_wait(const char *id)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        struct pollfd poller = { .fd = -1, .events = POLLIN };

        if (setup.engine->operations->container_exit_fd(setup.engine, id, &poller.fd, NULL) >= 0) {
                assert_int_equal(poll(&poller, 1, 20000), 1);
                close(poller.fd);
        }
        must(setup.engine->operations->container_inspect(setup.engine, id, &info, NULL), NULL);
        assert_int_equal(info->state, CONTAINER_EXITED);
        return info->exit_code;
}

void local_end(const char *id)
{
        _cleanup_error_ Error *error = NULL;

        must(setup.engine->operations->container_stop(setup.engine, id, 0, STOP_BY_COMMAND, &error), error);
        must(setup.engine->operations->container_remove(setup.engine, id, REMOVE_ANONYMOUS_VOLUMES, &error), error);
}

SpecMount *local_add_mount(ContainerSpec *spec, SpecMountKind kind, const char *source, const char *target)
{
        SpecMount *mounts = arena_new_array(spec->arena, SpecMount, spec->n_mounts + 1);

        for (size_t i = 0; i < spec->n_mounts; i++)
                mounts[i] = spec->mounts[i];
        spec->mounts = mounts;
        mounts[spec->n_mounts] = (SpecMount){ .kind = kind,
                                              .source = arena_strdup(spec->arena, source),
                                              .target = arena_strdup(spec->arena, target),
                                              .tmpfs_size = -1,
                                              .tmpfs_mode = -1 };
        return &mounts[spec->n_mounts++];
}
