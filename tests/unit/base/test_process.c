
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"

static int run_shell(const char *script, ProcessRun run, ProcessResult *ret, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("sh", "-c", script, NULL);

        run.spec.argv = argv;
        return process_run(&run, ret, err);
}

static void test_output_errors_and_status(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        assert_int_equal(run_shell("echo out; echo bad >&2; exit 7", run, &result, NULL), 0);
        assert_string_equal(strbuf_text(&result.output), "out\n");
        assert_string_equal(strbuf_text(&result.errors), "bad\n");
        assert_int_equal(result.status, 7);
        assert_false(result.timed_out);
}

static void test_merged_errors_keep_their_place(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        run.merge_errors = true;
        assert_int_equal(run_shell("echo 1; echo 2 >&2; echo 3", run, &result, NULL), 0);
        assert_string_equal(strbuf_text(&result.output), "1\n2\n3\n");
}

static void test_a_signal_is_told_as_128_and_more(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };

        assert_int_equal(run_shell("kill -9 $$", (ProcessRun)PROCESS_RUN_INIT, &result, NULL), 0);
        assert_int_equal(result.status, 128 + SIGKILL);
}

static void test_large_input_and_output_flow_at_once(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        const size_t size = 3000000;
        _cleanup_free_ char *input = xmalloc(size);

        memset(input, 'x', size);
        run.input = input;
        run.input_size = size;
        run.output_limit = size + 1;
        assert_int_equal(run_shell("cat", run, &result, NULL), 0);
        assert_int_equal(result.output.length, size);
}

static void test_input_that_nobody_reads(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        _cleanup_free_ char *input = xcalloc(1, 1000000);

        run.input = input;
        run.input_size = 1000000;
        assert_int_equal(run_shell("exec <&-; exit 3", run, &result, NULL), 0);
        assert_int_equal(result.status, 3);
}

static void test_output_is_cut_at_the_limit_and_the_program_still_ends(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        run.output_limit = 1000;
        assert_int_equal(run_shell("head -c 1000000 /dev/zero; exit 4", run, &result, NULL), 0);
        assert_int_equal(result.output.length, 1000);
        assert_int_equal(result.status, 4);
}

static void test_the_deadline_kills(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        run.timeout_ms = 50;
        assert_int_equal(run_shell("echo begun; exec sleep 1000", run, &result, NULL), 0);
        assert_true(result.timed_out);
        assert_int_equal(result.status, 128 + SIGKILL);
}

/* The grandchild keeps both pipes open for as long as it lives: the call ends with the child all the same. */
static void test_a_grandchild_that_holds_the_pipes_is_not_waited_for(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        int64_t pid;

        run.timeout_ms = 60000;
        assert_int_equal(run_shell("sleep 1000 & echo $!", run, &result, NULL), 0);
        assert_false(result.timed_out);
        assert_int_equal(result.status, 0);
        pid = atoi(strbuf_text(&result.output));
        assert_true(pid > 1);
        assert_int_equal(kill((pid_t)pid, SIGKILL), 0); /* it was still there */
}

static void test_a_missing_program_is_named(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_error_ Error *err = NULL;
        ProcessRun run = PROCESS_RUN_INIT;
        _cleanup_strv_ char **argv = strv_new("berth-no-such-program", NULL);

        run.spec.argv = argv;
        assert_int_equal(process_run(&run, &result, &err), -ERROR_UNAVAILABLE);
        assert_non_null(strstr(err->message, "berth-no-such-program"));
}

static void test_checked_gives_the_last_line_as_reason(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_error_ Error *err = NULL;
        ProcessRun run = PROCESS_RUN_INIT;
        _cleanup_strv_ char **argv = strv_new("sh", "-c", "echo first >&2; echo the reason >&2; exit 5", NULL);

        run.spec.argv = argv;
        assert_int_equal(process_run_checked(&run, &result, &err), -ERROR_FAILED);
        assert_non_null(strstr(err->message, "exit status 5"));
        assert_non_null(strstr(err->message, "the reason"));
        assert_null(strstr(err->message, "first"));
}

static void test_descriptors_do_not_leak_and_kept_ones_are_numbered(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        int leak = open("/dev/null", O_RDONLY); /* without CLOEXEC on purpose */
        _cleanup_close_ int kept = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        const int keep[] = { kept, -1 };

        run.spec.keep_fds = keep;
        assert_int_equal(
                run_shell("readlink /proc/self/fd/3; for f in 4 5 6 7 8 9; do readlink /proc/self/fd/$f; done; true",
                          run, &result, NULL),
                0);
        close(leak);
        assert_string_equal(strbuf_text(&result.output), "/dev/zero\n");
}

static void test_signals_and_environment_are_the_childs_own(void **state)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        unsigned long long ignored;
        _cleanup_strv_ char **environment = strv_new("ONLY=this", "PATH=/usr/bin:/bin", NULL);

        signal(SIGPIPE, SIG_IGN);
        run.spec.environment = environment;
        run.spec.directory = "/usr";
        assert_int_equal(run_shell("pwd; echo $ONLY $HOME; grep SigIgn /proc/self/status", run, &result, NULL), 0);
        assert_int_equal(strncmp(strbuf_text(&result.output), "/usr\nthis\nSigIgn:\t", 18), 0);
        ignored = strtoull(strbuf_text(&result.output) + 18, NULL, 16);
        assert_int_equal(ignored & 0x7fffffff, 0); /* 32 and 33 are the C library's own and stay as they were */
}

static void test_wait_with_a_deadline_leaves_it_running(void **state)
{
        _cleanup_strv_ char **argv = strv_new("sleep", "1000", NULL);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int status;

        spec.argv = argv;
        assert_int_equal(process_spawn(&spec, &process, NULL), 0);
        assert_int_equal(process_wait(&process, 10, &status, NULL), -ERROR_TIMEOUT);
        assert_int_equal(kill(process.pid, 0), 0);
        process_kill(&process);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_output_errors_and_status),
                cmocka_unit_test(test_merged_errors_keep_their_place),
                cmocka_unit_test(test_a_signal_is_told_as_128_and_more),
                cmocka_unit_test(test_large_input_and_output_flow_at_once),
                cmocka_unit_test(test_input_that_nobody_reads),
                cmocka_unit_test(test_output_is_cut_at_the_limit_and_the_program_still_ends),
                cmocka_unit_test(test_the_deadline_kills),
                cmocka_unit_test(test_a_grandchild_that_holds_the_pipes_is_not_waited_for),
                cmocka_unit_test(test_a_missing_program_is_named),
                cmocka_unit_test(test_checked_gives_the_last_line_as_reason),
                cmocka_unit_test(test_descriptors_do_not_leak_and_kept_ones_are_numbered),
                cmocka_unit_test(test_signals_and_environment_are_the_childs_own),
                cmocka_unit_test(test_wait_with_a_deadline_leaves_it_running),
        };
        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
