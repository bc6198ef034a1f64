/* After a reboot, with damaged records, without a runtime; names and namespaces shared between containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/local.h"
#include "local_setup.h"
#include "state/document.h"

#define OPS (setup.engine->operations)

static void warn(void *context, const char *text)
{
        strbuf_addf(context, "%s\n", text);
}

static char *file_of(const char *root, const char *id, const char *name)
{
        return xasprintf("%s/%s/projects/_/containers/%s/%s", setup.folder, root, id, name);
}

static ContainerInfo *inspect(const char *id)
{
        _cleanup_error_ Error *error = NULL;
        ContainerInfo *info = NULL;

        if (OPS->container_inspect(setup.engine, id, &info, &error) < 0)
                fail_msg("%s", error->message);
        return info;
}

/* What a power cut leaves: no process, no mount, run files of another boot. */
static void pretend_reboot(const char *id)
{
        _cleanup_(container_info_freep) ContainerInfo *info = inspect(id);
        _cleanup_free_ char *run = file_of("run", id, "run.json"), *merged = file_of("run", id, "merged"),
                            *netns = file_of("run", id, "netns");
        _cleanup_free_ char *monitor = file_of("run", id, "monitor.pid");
        _cleanup_json_ json_t *json = NULL;

        assert_true(document_load(run, 1, &json, NULL) >= 0);
        kill((pid_t)json_get_int(json, "monitor_pid", 0), SIGKILL);
        kill(info->pid, SIGKILL);
        usleep(100000);
        json_object_set_new(json, "boot_id", json_string("another"));
        assert_true(document_save_volatile(run, 1, json, NULL) >= 0);
        umount2(merged, MNT_DETACH);
        umount2(netns, MNT_DETACH);
        unlink(monitor);
}

static void test_reboot(void **state)
{
        ContainerSpec *spec = local_spec("rebooted", "test -e /kept && echo again; touch /kept; sleep 1000");
        _cleanup_free_ char *id = NULL, *text = NULL;
        ContainerInfo *info;

        id = local_start(spec);
        free(local_output(id, "while ! test -e /kept; do sleep 0.01; done"));
        pretend_reboot(id);
        info = inspect(id);
        assert_int_equal(info->state, CONTAINER_EXITED);
        assert_int_equal(info->exit_code, 137);
        assert_false(info->manually_stopped);
        assert_int_equal(info->pid, 0);
        container_info_free(info);
        assert_true(OPS->recover(setup.engine, NULL, NULL, NULL) >= 0);
        assert_true(OPS->container_start(setup.engine, id, NULL, NULL) >= 0);
        for (int i = 0; i < 500 && !(text && strstr(text, "again")); i++) {
                usleep(10000);
                free_and_replace(&text, local_log(id));
        }
        assert_non_null(strstr(text, "again")); /* its own files were kept */
        local_end(id);
}

static void test_damaged_record_is_rebuilt_from_what_runs(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec("damaged", "sleep 1000")),
                            *path = file_of("data", id, "container.json");
        _cleanup_free_ char *folder = file_of("data", id, ""), *text = NULL;
        _cleanup_strbuf_ Strbuf told = STRBUF_INIT;
        _cleanup_strv_ char **names = NULL;
        _cleanup_error_ Error *error = NULL;
        ContainerInfo *info = NULL;
        bool kept = false;

        assert_true(fs_rewrite_in_place(AT_FDCWD, path, "{ \"format\": 1, rubbish", 22, 0600, NULL) >= 0);
        assert_true(OPS->container_inspect(setup.engine, id, &info, &error) >= 0);
        assert_non_null(strstr(info->damage, "container.json"));
        assert_int_equal(info->state, CONTAINER_RUNNING);
        container_info_free(info);
        assert_true(OPS->recover(setup.engine, NULL,
                                 &(EngineProgress){ .context = &told, .warning = warn, .cancel_fd = -1 }, NULL) >= 0);
        assert_non_null(strstr(told.data, "container.json"));
        assert_non_null(strstr(told.data, "rebuilt"));
        info = inspect("damaged");
        assert_int_equal(info->state, CONTAINER_RUNNING);
        container_info_free(info);
        assert_true(fs_list_directory(AT_FDCWD, folder, &names, NULL) >= 0);
        STRV_FOREACH(name, names)
                kept = kept || startswith(*name, "container.json.corrupt-");
        assert_true(kept);
        text = local_output(id, "echo fine");
        assert_string_equal(text, "fine\n");
        local_end(id);
}

static void test_one_name_in_two_projects(void **state)
{
        ContainerSpec *one = local_spec("taken", "sleep 1000"), *two = local_spec("taken", "sleep 1000");
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *id = NULL;
        char *none = NULL;

        one->project = arena_strdup(one->arena, "first");
        two->project = arena_strdup(two->arena, "second");
        assert_true(OPS->container_create(setup.engine, one, NULL, &id, NULL) >= 0);
        assert_int_equal(OPS->container_create(setup.engine, two, NULL, &none, &error), -ERROR_EXISTS);
        assert_string_equal(error->message, "container name \"taken\" is taken by project first");
        local_end(id);
        assert_true(OPS->container_create(setup.engine, two, NULL, &none, NULL) >= 0);
        local_end(none);
        free(none);
        container_spec_free(one);
        container_spec_free(two);
}

static void test_shared_namespaces(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec("owner", "sleep 1000")), *other = NULL, *text = NULL;
        ContainerSpec *spec = local_spec("joiner", "sleep 1000");

        spec->network_mode = arena_strdup(spec->arena, "container:owner");
        spec->pid_mode = arena_strdup(spec->arena, "container:owner");
        other = local_start(spec);
        text = local_output(other, "readlink /proc/self/ns/net; tr '\\0' ' ' < /proc/1/cmdline");
        assert_non_null(strstr(text, "sh -c sleep 1000"));
        free_and_replace(&text, local_output(id, "readlink /proc/self/ns/net"));
        {
                _cleanup_free_ char *theirs = local_output(other, "readlink /proc/self/ns/net");
                assert_string_equal(text, theirs);
        }
        local_end(other);
        local_end(id);
}

static void test_no_runtime(void **state)
{
        ContainerSpec *spec = local_spec("nowhere", "true");
        _cleanup_error_ Error *error = NULL;
        char *id = NULL;

        setenv("BERTH_RUNTIME", "nosuchruntime", 1);
        assert_int_equal(OPS->container_create(setup.engine, spec, NULL, &id, &error), -ERROR_UNAVAILABLE);
        assert_string_equal(error->message, "OCI runtime nosuchruntime: not found");
        assert_non_null(error->hint);
        unsetenv("BERTH_RUNTIME");
        container_spec_free(spec);
}

static void test_images_of_the_network_mode_host(void **state)
{
        ContainerSpec *spec =
                local_spec("on-host", "hostname; cat /etc/hosts | grep -c localhost; readlink /proc/self/ns/net");
        _cleanup_free_ char *id = NULL, *text = NULL, *ours = NULL;

        spec->network_mode = arena_strdup(spec->arena, "host");
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_true(fs_read_link("/proc/thread-self/ns/net", &ours, NULL) >= 0);
        assert_non_null(strstr(text, ours));
        local_end(id);
}

static void test_privileged(void **state)
{
        ContainerSpec *spec =
                local_spec("privileged",
                           "grep -c . /proc/self/status > /dev/null; grep Seccomp: /proc/self/status | tr '\\t' ' '; "
                           "mount -t tmpfs x /mnt && echo mounted; test -w /proc/sys/kernel/hostname && echo writable");
        _cleanup_free_ char *id = NULL, *text = NULL;

        spec->privileged = true;
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_string_equal(text, "Seccomp: 0\nmounted\nwritable\n");
        local_end(id);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_reboot),
                cmocka_unit_test(test_damaged_record_is_rebuilt_from_what_runs),
                cmocka_unit_test(test_one_name_in_two_projects),
                cmocka_unit_test(test_shared_namespaces),
                cmocka_unit_test(test_no_runtime),
                cmocka_unit_test(test_images_of_the_network_mode_host),
                cmocka_unit_test(test_privileged),
        };
        int r = local_setup_open();

        if (r != 0)
                return r;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        local_setup_close();
        return r;
}
