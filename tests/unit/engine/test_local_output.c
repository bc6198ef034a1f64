/* Logs with rotation, exec, attach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "local_setup.h"

#define OPS (setup.engine->operations)

static void test_exec(void **state)
{
        char *const environment[] = { (char *)"A=1", NULL }, *const failing[] = { (char *)"sh", (char *)"-c",
                                                                                  (char *)"exit 42", NULL };
        char *const missing[] = { (char *)"nosuchprogram", NULL }, *const unrunnable[] = { (char *)"/etc/passwd",
                                                                                           NULL };
        char *const show[] = { (char *)"sh", (char *)"-c", (char *)"echo $A; id -u; pwd; echo err >&2", NULL };
        _cleanup_free_ char *id = local_start(local_spec("exec", "sleep 1000"));
        ExecResult result;

        assert_true(OPS->exec(setup.engine, id, &(ExecSpec){ .argv = failing, .timeout_ms = -1 }, &result, NULL) >= 0);
        assert_int_equal(result.exit_code, 42);
        free(result.output);
        assert_true(OPS->exec(setup.engine, id, &(ExecSpec){ .argv = missing, .timeout_ms = -1 }, &result, NULL) >= 0);
        assert_int_equal(result.exit_code, 127);
        assert_string_equal(result.output, "exec: \"nosuchprogram\": executable file not found in $PATH\n");
        free(result.output);
        assert_true(OPS->exec(setup.engine, id, &(ExecSpec){ .argv = unrunnable, .timeout_ms = -1 }, &result, NULL) >=
                    0);
        assert_int_equal(result.exit_code, 126);
        free(result.output);
        assert_true(OPS->exec(setup.engine, id,
                              &(ExecSpec){ .argv = show,
                                           .environment = environment,
                                           .user = "postgres",
                                           .working_dir = "/tmp",
                                           .timeout_ms = -1 },
                              &result, NULL) >= 0);
        assert_non_null(strstr(result.output, "1\n999\n")); /* the runtime may mix the two streams */
        assert_non_null(strstr(result.output, "/tmp\n"));
        assert_non_null(strstr(result.output, "err\n"));
        free(result.output);
        local_end(id);
}

static void test_exec_timeout_kills_everything(void **state)
{
        char *const hanging[] = { (char *)"sh", (char *)"-c", (char *)"echo begun; sleep 777 & sleep 778", NULL };
        _cleanup_free_ char *id = local_start(local_spec("timeout", "sleep 1000")), *text = NULL;
        ExecResult result;

        assert_true(OPS->exec(setup.engine, id, &(ExecSpec){ .argv = hanging, .timeout_ms = 500 }, &result, NULL) >= 0);
        assert_true(result.timed_out);
        assert_string_equal(result.output, "begun\n");
        free(result.output);
        usleep(50000);
        text = local_output(id, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; true");
        assert_null(strstr(text, "777"));
        assert_null(strstr(text, "778"));
        local_end(id);
}

static void test_exec_needs_a_running_one(void **state)
{
        char *const argv[] = { (char *)"true", NULL };
        _cleanup_free_ char *id = local_start(local_spec("stopped", "true"));
        _cleanup_error_ Error *error = NULL;
        ExecResult result;

        local_wait(id);
        assert_int_equal(OPS->exec(setup.engine, id, &(ExecSpec){ .argv = argv, .timeout_ms = -1 }, &result, &error),
                         -ERROR_CONFLICT);
        assert_string_equal(error->message, "container stopped is not running");
        local_end(id);
}

typedef struct Collected {
        Strbuf text;
        int lines;
        int64_t last_ns;
        bool ordered;
} Collected;

static int collect(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        Collected *collected = context;

        strbuf_addf(&collected->text, "%d:%.*s\n", stream, (int)length, text);
        collected->lines++;
        collected->ordered = collected->ordered && time_ns >= collected->last_ns;
        collected->last_ns = time_ns;
        return 0;
}

static void test_logs(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec(
                "logs", "i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; echo e >&2; printf 'no end'"));
        Collected all = { .ordered = true }, tail = { .ordered = true }, none = { 0 };

        local_wait(id);
        assert_true(OPS->logs(setup.engine, id, &(LogQuery){ .tail = -1, .cancel_fd = -1 }, collect, &all, NULL) >= 0);
        assert_int_equal(all.lines, 102);
        assert_non_null(strstr(all.text.data, "1:line 0\n1:line 1\n"));
        assert_non_null(strstr(all.text.data, "2:e\n"));
        assert_non_null(strstr(all.text.data, "1:no end\n"));
        assert_true(OPS->logs(setup.engine, id, &(LogQuery){ .tail = 5, .cancel_fd = -1 }, collect, &tail, NULL) >= 0);
        assert_true(tail.lines >= 5 && tail.lines <= 6);
        assert_non_null(strstr(tail.text.data, "line 99"));
        assert_null(strstr(tail.text.data, "line 90"));
        assert_true(OPS->logs(setup.engine, id,
                              &(LogQuery){ .tail = -1, .since_ns = clock_realtime_ns(), .cancel_fd = -1 }, collect,
                              &none, NULL) >= 0);
        assert_int_equal(none.lines, 0);
        strbuf_done(&all.text);
        strbuf_done(&tail.text);
        local_end(id);
}

static void *follow_to_the_end(void *id)
{
        Collected *collected = xnew(Collected);

        collected->ordered = true;
        OPS->logs(setup.engine, id, &(LogQuery){ .tail = -1, .follow = true, .cancel_fd = -1 }, collect, collected,
                  NULL);
        return collected;
}

/* Rotated again and again while lines come: a follower gets every line once, in order. */
static void test_rotation_loses_nothing(void **state)
{
        ContainerSpec *spec = local_spec(
                "rotated",
                "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); [ $((i % 1000)) = 0 ] && sleep 0.02; done");
        _cleanup_free_ char *id = NULL, *first = NULL, *beyond = NULL;
        Collected *followed, kept = { .ordered = true };
        pthread_t follower;
        int rotations = 0;

        spec->log_max_size = 100000;
        spec->log_max_files = 4;
        id = local_start(spec);
        pthread_create(&follower, NULL, follow_to_the_end, id);
        for (int i = 0; i < 500; i++) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;
                assert_true(OPS->container_rotate_logs(setup.engine, id, NULL) >= 0);
                assert_true(OPS->container_inspect(setup.engine, id, &info, NULL) >= 0);
                if (info->state != CONTAINER_RUNNING)
                        break;
                usleep(5000);
                rotations++;
        }
        pthread_join(follower, (void **)&followed);
        assert_true(rotations > 1);
        assert_int_equal(followed->lines, 20000);
        assert_true(followed->ordered);
        assert_true(OPS->logs(setup.engine, id, &(LogQuery){ .tail = -1, .cancel_fd = -1 }, collect, &kept, NULL) >= 0);
        assert_true(kept.lines > 1000 && kept.ordered);
        first = xasprintf("%s/data/projects/_/containers/%s/logs/container.log.3", setup.folder, id);
        beyond = xasprintf("%s/data/projects/_/containers/%s/logs/container.log.4", setup.folder, id);
        assert_true(fs_exists(first));
        assert_false(fs_exists(beyond));
        strbuf_done(&followed->text);
        strbuf_done(&kept.text);
        free(followed);
        local_end(id);
}

/* A burst between two looks is cut into files of the size asked for; what is kept has no gap. */
static void test_rotation_of_a_burst(void **state)
{
        ContainerSpec *spec =
                local_spec("burst", "i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done; sleep 1000");
        _cleanup_free_ char *id = NULL, *folder = NULL;
        _cleanup_strv_ char **names = NULL;
        Collected kept = { .ordered = true };

        spec->log_max_size = 64 << 10;
        spec->log_max_files = 3;
        id = local_start(spec);
        folder = xasprintf("%s/data/projects/_/containers/%s/logs", setup.folder, id);
        for (int i = 0; i < 1000; i++) {
                _cleanup_free_ char *text = local_log(id);
                if (strstr(text, "line 3999\n"))
                        break;
                usleep(10000);
        }
        assert_true(OPS->container_rotate_logs(setup.engine, id, NULL) >= 0);
        assert_true(fs_list_directory(AT_FDCWD, folder, &names, NULL) >= 0);
        assert_int_equal(strv_length(names), 3);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                struct stat status;
                assert_int_equal(stat(path, &status), 0);
                assert_true(status.st_size <= 64 << 10);
        }
        assert_true(OPS->logs(setup.engine, id, &(LogQuery){ .tail = -1, .cancel_fd = -1 }, collect, &kept, NULL) >= 0);
        assert_true(kept.lines > 1000 && kept.ordered);
        for (int i = 0; i < kept.lines; i++) {
                _cleanup_free_ char *line = xasprintf("1:line %d\n", 4000 - kept.lines + i);
                assert_non_null(strstr(kept.text.data, line));
        }
        strbuf_done(&kept.text);
        local_end(id);
}

static void *attach(void *id)
{
        int *fds = xnew_array(int, 3), code = -1;
        int input[2], output[2];

        if (pipe(input) < 0 || pipe(output) < 0)
                abort();
        if (write(input[1], "hello\n", 6) != 6)
                abort();
        close(input[1]);
        OPS->attach(setup.engine, id,
                    &(ExecSpec){ .stdin_fd = input[0], .stdout_fd = output[1], .stderr_fd = output[1] }, &code, NULL);
        close(output[1]);
        close(input[0]);
        fds[0] = output[0];
        fds[1] = code;
        return fds;
}

/* Attached before the start: no output is missed, the input's end is passed on, the exit code comes back. */
static void test_attach_before_start(void **state)
{
        ContainerSpec *spec = local_spec("attached", "echo first; cat; echo last; exit 5");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *id = NULL;
        pthread_t attacher;
        int *result;

        spec->open_stdin = true;
        spec->oneoff = true;
        assert_true(OPS->container_create(setup.engine, spec, NULL, &id, NULL) >= 0);
        container_spec_free(spec);
        pthread_create(&attacher, NULL, attach, id);
        usleep(100000);
        assert_true(OPS->container_start(setup.engine, id, NULL, NULL) >= 0);
        pthread_join(attacher, (void **)&result);
        assert_true(fs_read_fd(result[0], 4096, &text, NULL) >= 0);
        assert_string_equal(text.data, "first\nhello\nlast\n");
        assert_int_equal(result[1], 5);
        close(result[0]);
        free(result);
        local_end(id);
}

static bool top_shows(const char *id, const char *command)
{
        char ***rows;
        size_t length;
        bool found = false;

        assert_true(OPS->top(setup.engine, id, &rows, &length, NULL) >= 0);
        assert_string_equal(rows[0][7], "CMD");
        for (size_t i = 0; i < length; i++) {
                found = found || streq(rows[i][7], command);
                strv_free(rows[i]);
        }
        free(rows);
        return found;
}

static void test_top(void **state)
{
        _cleanup_free_ char *id = local_start(local_spec("top", "sleep 1000"));
        bool found = false;

        for (int i = 0; i < 500 && !found; i++) {
                found = top_shows(id, "sleep 1000");
                usleep(10000);
        }
        assert_true(found);
        local_end(id);
}

static void test_no_log(void **state)
{
        ContainerSpec *spec = local_spec("silent", "echo x");
        _cleanup_free_ char *id = NULL;

        spec->log_driver = arena_strdup(spec->arena, "none");
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        assert_int_equal(OPS->logs(setup.engine, id, &(LogQuery){ .tail = -1, .cancel_fd = -1 }, collect, NULL, NULL),
                         -ERROR_UNSUPPORTED);
        local_end(id);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exec),
                cmocka_unit_test(test_exec_timeout_kills_everything),
                cmocka_unit_test(test_exec_needs_a_running_one),
                cmocka_unit_test(test_logs),
                cmocka_unit_test(test_rotation_loses_nothing),
                cmocka_unit_test(test_rotation_of_a_burst),
                cmocka_unit_test(test_attach_before_start),
                cmocka_unit_test(test_top),
                cmocka_unit_test(test_no_log),
        };
        int r = local_setup_open();

        if (r != 0)
                return r;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        local_setup_close();
        return r;
}
