/* What a container may, sees and is given: at least as strict as Docker's defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "local_setup.h"

static void test_defaults(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec("defaults", "sleep 1000")), *text = NULL;

        text = local_output(
                id,
                "grep -E '^(CapBnd|CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/1/status | tr '\\t' ' '");
        assert_non_null(strstr(text, "CapEff: 00000000a80425fb")); /* Docker's 14 */
        assert_non_null(strstr(text, "CapBnd: 00000000a80425fb"));
        assert_non_null(strstr(text, "CapInh: 0000000000000000"));
        assert_non_null(strstr(text, "CapAmb: 0000000000000000"));
        assert_non_null(strstr(text, "Seccomp: 2"));
        free_and_replace(&text, local_output(id, "grep -E '^(CapEff|Seccomp):' /proc/self/status | tr '\\t' ' '"));
        assert_non_null(strstr(text, "CapEff: 00000000a80425fb")); /* exec has no more */
        assert_non_null(strstr(text, "Seccomp: 2"));
        free_and_replace(
                &text,
                local_output(id, "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; cat /proc/timer_list | wc -c"));
        assert_string_equal(text, "0\n0\n0\n");
        free_and_replace(&text, local_output(id, "(echo 1 > /proc/sys/kernel/panic) 2>&1; (mkdir "
                                                 "/sys/fs/cgroup/memory/x) 2>&1; (mkdir /sys/x) 2>&1; "
                                                 "(mount -t tmpfs x /mnt) 2>&1; (unshare -U true) 2>&1; true"));
        assert_non_null(strstr(text, "/proc/sys/kernel/panic: Read-only"));
        assert_null(strstr(text, "panic: Permission"));
        assert_non_null(strstr(text, "mount:"));
        assert_non_null(strstr(text, "unshare: unshare failed: Operation not permitted"));
        local_end(id);
}

static void test_no_descriptor_leaks(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec("descriptors", "sleep 1000")), *text = NULL;

        /* A start is over a moment before the runtime's own process has become the command. */
        free_and_replace(&text,
                         local_output(id, "for n in $(seq 100); do fds=$(ls /proc/1/fd | tr '\\n' ' '); "
                                          "[ \"$fds\" = '0 1 2 ' ] && break; sleep 0.1; done; echo -n \"$fds\""));
        assert_string_equal(text, "0 1 2 ");
        free_and_replace(&text, local_output(id, "ls /proc/self/fd | wc -l"));
        assert_string_equal(text, "4\n");
        local_end(id);
}

static void test_capabilities_as_asked(void **state)
{
        char *add[] = { (char *)"NET_ADMIN", NULL }, *drop[] = { (char *)"ALL", NULL };
        ContainerSpec *spec =
                local_spec("capabilities", "grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status | tr '\\t' ' '");
        _cleanup_free_ char *id = NULL, *text = NULL;

        spec->cap_add = arena_strv(spec->arena, add);
        spec->cap_drop = arena_strv(spec->arena, drop);
        spec->no_new_privileges = true;
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_non_null(strstr(text, "CapEff: 0000000000001000"));
        assert_non_null(strstr(text, "CapBnd: 0000000000001000"));
        assert_non_null(strstr(text, "NoNewPrivs: 1"));
        local_end(id);
}

static void test_user(void **state)
{
        char *groups[] = { (char *)"4242", NULL };
        ContainerSpec *spec =
                local_spec("user", "id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status | tr '\\t' ' '");
        _cleanup_free_ char *id = NULL, *text = NULL;
        _cleanup_error_ Error *error = NULL;
        char *none = NULL;

        spec->user = arena_strdup(spec->arena, "postgres");
        spec->group_add = arena_strv(spec->arena, groups);
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_non_null(strstr(text, "999\n999\n999 "));
        assert_non_null(strstr(text, "4242"));
        assert_non_null(strstr(text, "\n/var/lib/postgres"));
        assert_non_null(strstr(text, "CapEff: 0000000000000000"));
        local_end(id);
        spec = local_spec("nobody-here", "true");
        spec->user = arena_strdup(spec->arena, "nosuchuser");
        assert_true(setup.engine->operations->container_create(setup.engine, spec, NULL, &none, &error) >= 0);
        assert_int_equal(setup.engine->operations->container_start(setup.engine, none, NULL, &error), -ERROR_NOT_FOUND);
        assert_non_null(strstr(error->message, "nosuchuser"));
        local_end(none);
        free(none);
        container_spec_free(spec);
}

/* What is exec'd is as confined as the main process: rights, limits, cgroups, namespaces. */
static void compare_with_main_process(const char *id)
{
        static const char *const looks[] = {
                "grep -E "
                "'^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp|Seccomp_filters|NSpid|Umask|Speculation_Store_Bypass):' "
                "/proc/%s/status | sed 's/^NSpid.*/NSpid/'",
                "cat /proc/%s/limits",
                "cat /proc/%s/cgroup",
                "cat /proc/%s/oom_score_adj",
                "cd /proc/%s/ns; for i in cgroup ipc mnt net pid user uts; do readlink $i; done",
        };

        for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
                char one[512], own[512];
                _cleanup_free_ char *main_process = NULL, *entered = NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(one, sizeof(one), looks[i], "1");
                snprintf(own, sizeof(own), looks[i], "self");
#pragma GCC diagnostic pop
                main_process = local_output(id, one);
                entered = local_output(id, own);
                assert_string_equal(main_process, entered);
        }
}

static void test_exec_is_as_confined(void **state)
{
        SpecUlimit ulimits[] = { { (char *)"nofile", 300, 600 }, { (char *)"nproc", 100, 200 } };
        char *groups[] = { (char *)"4242", (char *)"4343", NULL }, *drop[] = { (char *)"NET_RAW", NULL };
        _cleanup_free_ char *id = local_start(local_spec("plain", "sleep 1000"));
        ContainerSpec *spec = local_spec("confined", "sleep 1000");

        compare_with_main_process(id);
        local_end(id);
        spec->user = arena_strdup(spec->arena, "postgres");
        spec->group_add = arena_strv(spec->arena, groups);
        spec->cap_drop = arena_strv(spec->arena, drop);
        spec->no_new_privileges = true;
        spec->oom_score_adj = 77;
        spec->ulimits = ulimits;
        spec->n_ulimits = 2;
        spec->memory = 64 << 20;
        free_and_replace(&id, local_start(spec));
        compare_with_main_process(id);
        local_end(id);
        spec = local_spec("unconfined", "sleep 1000");
        {
                char *options[] = { (char *)"seccomp=unconfined", NULL };
                spec->security_opt = arena_strv(spec->arena, options);
        }
        free_and_replace(&id, local_start(spec));
        compare_with_main_process(id);
        local_end(id);
}

static void test_limits(void **state)
{
        ContainerSpec *spec = local_spec("limits", "sleep 1000");
        _cleanup_free_ char *id = NULL, *text = NULL;
        ContainerStats stats;

        spec->memory = 64 << 20;
        spec->cpus = 0.5;
        spec->pids = 50;
        spec->shm_size = 32 << 20;
        id = local_start(spec);
        text = local_output(id,
                            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; "
                            "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null; "
                            "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; "
                            "df -k /dev/shm | tail -1 | awk '{print $2}'; ulimit -n");
        assert_non_null(strstr(text, "67108864\n50000"));
        assert_non_null(strstr(text, "\n50\n32768\n"));
        assert_true(setup.engine->operations->stats(setup.engine, id, &stats, NULL) >= 0);
        assert_int_equal(stats.memory_limit_bytes, 64 << 20);
        assert_int_equal(stats.pids, 2);
        assert_true(stats.cpu_ns > 0 && stats.memory_bytes > 0);
        local_end(id);
}

static void test_out_of_memory(void **state)
{
        ContainerSpec *spec = local_spec("oom", "exec tail /dev/zero");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *id = NULL;

        spec->memory = 16 << 20;
        spec->memory_swap = 16 << 20;
        id = local_start(spec);
        assert_int_equal(local_wait(id), 137);
        assert_true(setup.engine->operations->container_inspect(setup.engine, id, &info, NULL) >= 0);
        assert_true(info->oom_killed);
        local_end(id);
}

static void test_read_only_root(void **state)
{
        ContainerSpec *spec = local_spec("read-only", "touch /x 2>&1; touch /tmp/y && echo written");
        _cleanup_free_ char *id = NULL, *text = NULL;

        spec->read_only = true;
        local_add_mount(spec, SPEC_MOUNT_TMPFS, NULL, "/tmp")->tmpfs_size = 1 << 20;
        id = local_start(spec);
        local_wait(id);
        text = local_log(id);
        assert_non_null(strstr(text, "Read-only file system"));
        assert_non_null(strstr(text, "written"));
        local_end(id);
}

static void test_init_and_names(void **state)
{
        ContainerSpec *spec = local_spec("init", "sleep 1000");
        _cleanup_free_ char *id = NULL, *text = NULL;

        spec->init = true;
        spec->hostname = arena_strdup(spec->arena, "somewhere");
        spec->stop_grace_ns = 5 * INT64_C(1000000000);
        id = local_start(spec);
        text = local_output(id, "hostname; tr '\\0' ' ' < /proc/1/cmdline; (sleep 0 & sleep 0.1); ls /proc | grep -c "
                                "'^[0-9]'; echo $HOSTNAME");
        assert_non_null(strstr(text, "somewhere\n/run/.berth-init -- sh -c"));
        assert_non_null(strstr(text, "\nsomewhere\n"));
        /* sh takes SIGTERM from the init, which as process 1 itself would not have got it. */
        assert_true(setup.engine->operations->container_stop(setup.engine, id, 5000, STOP_RELEASE, NULL) >= 0);
        assert_int_equal(local_wait(id), 143);
        local_end(id);
}

static void test_failing_commands(void **state)
{
        char *const missing[] = { (char *)"/no/such/thing", NULL };
        ContainerSpec *spec = local_spec("missing", "true");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_error_ Error *error = NULL;
        char *id = NULL;

        spec->argv = arena_strv(spec->arena, missing);
        assert_true(setup.engine->operations->container_create(setup.engine, spec, NULL, &id, &error) >= 0);
        assert_true(setup.engine->operations->container_start(setup.engine, id, NULL, &error) < 0);
        assert_string_equal(error->message, "start container missing: \"/no/such/thing\" does not exist in it");
        assert_true(setup.engine->operations->container_inspect(setup.engine, id, &info, NULL) >= 0);
        assert_string_equal(info->error, error->message);
        local_end(id);
        free(id);
        container_spec_free(spec);
}

static void test_sysctls_and_ulimits(void **state)
{
        char *sysctls[] = { (char *)"net.core.somaxconn=321", NULL };
        ContainerSpec *spec =
                local_spec("sysctls", "cat /proc/sys/net/core/somaxconn; ulimit -Sn; ulimit -Hn; ulimit -c");
        SpecUlimit ulimits[] = { { (char *)"nofile", 256, 512 }, { (char *)"core", 0, 0 } };
        _cleanup_free_ char *id = NULL, *text = NULL;

        spec->sysctls = arena_strv(spec->arena, sysctls);
        spec->ulimits = ulimits;
        spec->n_ulimits = 2;
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_string_equal(text, "321\n256\n512\n0\n");
        local_end(id);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_no_descriptor_leaks),
                cmocka_unit_test(test_capabilities_as_asked),
                cmocka_unit_test(test_user),
                cmocka_unit_test(test_exec_is_as_confined),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_out_of_memory),
                cmocka_unit_test(test_read_only_root),
                cmocka_unit_test(test_init_and_names),
                cmocka_unit_test(test_failing_commands),
                cmocka_unit_test(test_sysctls_and_ulimits),
        };
        int r = local_setup_open();

        if (r != 0)
                return r;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        local_setup_close();
        return r;
}
