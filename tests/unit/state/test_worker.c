/* worker_run with a shell script in the worker's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"
#include "state/worker.h"

static char folder[] = "/tmp/berth-test-worker-XXXXXX";
static Layout *layout;

static int set_up(void **state)
{
        assert_non_null(mkdtemp(folder));
        setenv("BERTH_LIBEXEC_DIR", folder, 1);
        layout = layout_create();
        return 0;
}

static int tear_down(void **state)
{
        fs_remove_tree(AT_FDCWD, folder, NULL);
        layout_free(layout);
        return 0;
}

static void write_worker(const char *script)
{
        _cleanup_free_ char *path = path_join(folder, "berth-worker"), *text = xasprintf("#!/bin/sh\n%s\n", script);

        assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), 0755, NULL), 0);
}

typedef struct Seen {
        char **states;
        int cancel_fd; /* made readable by the event "ready"; -1: not */
} Seen;

static void on_event(void *context, const json_t *event)
{
        Seen *seen = context;
        const char *text = json_get_string(event, "status", "?");
        uint64_t one = 1;

        strv_add(&seen->states, text);
        if (streq(text, "ready") && seen->cancel_fd >= 0)
                assert_int_equal(write(seen->cancel_fd, &one, sizeof(one)), sizeof(one));
}

static int run(Seen *seen, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:s}", "key", "value with \"quotes\"");
        WorkerRun spec = {
                .job = "try",
                .params = params,
                .input_fd = -1,
                .cancel_fd = seen->cancel_fd,
                .context = seen,
                .event = on_event,
        };

        return worker_run(layout, &spec, ret, err);
}

static void test_events_and_result(void **state)
{
        Seen seen = { .cancel_fd = -1 };
        _cleanup_json_ json_t *result = NULL;

        write_worker(
                "echo '{\"status\": \"one\"}'\nprintf '{\"status\": '\nprintf '\"two\"}\\n'\n"
                "echo nonsense\nprintf '{\"result\": {\"job\": \"%s\", \"params\": %s}}\\n' \"$1\" \"$(cat <&3)\"");
        assert_int_equal(run(&seen, &result, NULL), 0);
        assert_int_equal(strv_length(seen.states), 2);
        assert_string_equal(seen.states[1], "two");
        assert_string_equal(json_get_string(result, "job", ""), "try");
        assert_string_equal(json_get_string(json_object_get(result, "params"), "key", ""), "value with \"quotes\"");
        strv_free(seen.states);
}

static void test_error_is_the_jobs_own(void **state)
{
        Seen seen = { .cancel_fd = -1 };
        _cleanup_error_ Error *error = NULL;
        json_t *result = NULL;

        write_worker(
                "echo '{\"error\": {\"kind\": \"no-space\", \"message\": \"disk full\", \"hint\": \"Free some.\"}}'; exit 1");
        assert_int_equal(run(&seen, &result, &error), -ERROR_NO_SPACE);
        assert_string_equal(error->message, "disk full");
        assert_string_equal(error->hint, "Free some.");
}

static void test_end_without_a_word(void **state)
{
        Seen seen = { .cancel_fd = -1 };
        _cleanup_error_ Error *error = NULL;
        json_t *result = NULL;

        write_worker("kill -9 $$");
        assert_int_equal(run(&seen, &result, &error), -ERROR_INTERNAL);
        assert_non_null(strstr(error->message, "137"));
}

static void test_cancel(void **state)
{
        Seen seen = { .cancel_fd = eventfd(0, EFD_CLOEXEC) };
        _cleanup_error_ Error *error = NULL;
        json_t *result = NULL;

        write_worker("trap 'echo \"{\\\"status\\\": \\\"cleaned\\\"}\"; exit 1' TERM\necho '{\"status\": \"ready\"}'\n"
                     "while :; do sleep 0.01; done");
        assert_int_equal(run(&seen, &result, &error), -ERROR_CANCELLED);
        assert_true(strv_contains(seen.states, "cleaned"));
        strv_free(seen.states);
        close(seen.cancel_fd);
}

static void test_missing_worker(void **state)
{
        Seen seen = { .cancel_fd = -1 };
        _cleanup_free_ char *path = path_join(folder, "berth-worker");
        _cleanup_error_ Error *error = NULL;
        json_t *result = NULL;

        unlink(path);
        assert_int_equal(run(&seen, &result, &error), -ERROR_UNAVAILABLE);
        assert_non_null(strstr(error->message, "berth-worker"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events_and_result),  cmocka_unit_test(test_error_is_the_jobs_own),
                cmocka_unit_test(test_end_without_a_word), cmocka_unit_test(test_cancel),
                cmocka_unit_test(test_missing_worker),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
