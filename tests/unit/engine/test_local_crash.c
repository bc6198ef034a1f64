/* kill -9 at random points of create, start, stop and remove: afterwards recover puts everything in order, what exists
 * can be used, and nothing is left over. Rounds: BERTH_CRASH_ROUNDS (20). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "local_setup.h"

#define OPS (setup.engine->operations)

/* Runs until it is killed. */
static void live_dangerously(unsigned seed)
{
        for (;;) {
                _cleanup_free_ char *name = xasprintf("crash-%d", rand_r(&seed) % 2), *id = NULL;
                ContainerSpec *spec = local_spec(name, "trap 'exit 0' TERM; echo up; sleep 1000 & wait");
                local_add_mount(spec, SPEC_MOUNT_VOLUME, name, "/var/lib/postgresql/data");
                OPS->container_create(setup.engine, spec, NULL, &id, NULL);
                container_spec_free(spec);
                if (!id)
                        continue;
                OPS->container_start(setup.engine, id, NULL, NULL);
                if (rand_r(&seed) % 2)
                        OPS->container_stop(setup.engine, id, 1000, rand_r(&seed) % 3, NULL);
                OPS->container_start(setup.engine, id, NULL, NULL);
                OPS->container_stop(setup.engine, id, 1000, STOP_RELEASE, NULL);
                if (rand_r(&seed) % 2)
                        OPS->container_remove(setup.engine, id, 0, NULL);
        }
}

static void crash(unsigned seed)
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                live_dangerously(seed);
                _exit(0);
        }
        usleep((useconds_t)(rand_r(&seed) % 400) * 1000);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
}

static void check_usable(const ContainerInfo *info)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_error_ Error *error = NULL;

        if (OPS->container_start(setup.engine, info->id, NULL, &error) < 0)
                fail_msg("start %s: %s", info->name, error->message);
        text = local_output(info->id, "echo alive");
        assert_string_equal(text, "alive\n");
        local_end(info->id);
}

static int count_mounts(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int n = 0;

        fs_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 24, &text, NULL);
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines)
                n += strstr(*line, setup.folder) != NULL;
        return n;
}

static void check_empty(const char *name)
{
        _cleanup_free_ char *path = path_join(setup.folder, name);
        _cleanup_strv_ char **names = NULL;

        if (fs_list_directory(AT_FDCWD, path, &names, NULL) >= 0 && names)
                fail_msg("%s holds %s", path, names[0]);
}

static void check_no_process(void)
{
        _cleanup_strv_ char **pids = NULL;

        assert_true(fs_list_directory(AT_FDCWD, "/proc", &pids, NULL) >= 0);
        STRV_FOREACH(pid, pids) {
                _cleanup_free_ char *path = xasprintf("/proc/%s/cmdline", *pid);
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                if (**pid < '0' || **pid > '9' || fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0 ||
                    !text.length)
                        continue;
                if (memmem(text.data, text.length, setup.folder, strlen(setup.folder)))
                        fail_msg("process %s is left: %s", *pid, text.data);
        }
}

static void check_round(void)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *cgroup = NULL;

        if (OPS->recover(setup.engine, NULL, NULL, &error) < 0 ||
            OPS->container_list(setup.engine, NULL, &list, &error) < 0)
                fail_msg("recover: %s", error->message);
        for (size_t i = 0; i < list.length; i++)
                check_usable(list.items[i]);
        check_empty("data/projects/_/containers");
        check_empty("run/projects/_/containers");
        check_empty("run/runtime");
        check_empty("data/names");
        assert_true(count_mounts() <= 1); /* run/projects itself */
        check_no_process();
        cgroup = xasprintf("/sys/fs/cgroup/pids/berth-%s", setup.layout->id);
        assert_false(fs_exists(cgroup));
}

static void test_killed_at_random_points(void **state)
{
        const char *rounds = getenv("BERTH_CRASH_ROUNDS"), *given = getenv("BERTH_CRASH_SEED");
        unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
        int count = rounds ? atoi(rounds) : 20;

        print_message("seed %u, %d rounds\n", seed, count);
        for (int i = 0; i < count; i++) {
                crash(seed + (unsigned)i);
                check_round();
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_killed_at_random_points),
        };
        int r = local_setup_open();

        if (r != 0)
                return r;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        local_setup_close();
        return r;
}
