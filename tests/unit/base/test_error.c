
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "base/error.h"
#include "base/mem.h"

static int open_file(Error **err)
{
        return error_set_errno(err, ENOENT, "open \"%s\"", "x.yaml");
}

static void test_layers_prefix_and_the_first_error_wins(void **state)
{
        _cleanup_error_ Error *err = NULL;
        int r = open_file(&err);

        assert_int_equal(r, -ERROR_NOT_FOUND);
        assert_int_equal(err->errno_value, ENOENT);
        assert_int_equal(error_prefix(&err, r, "project \"%s\"", "demo"), r);
        assert_string_equal(err->message, "project \"demo\": open \"x.yaml\": No such file or directory");
        assert_int_equal(error_set(&err, ERROR_USAGE, "later"), -ERROR_USAGE);
        assert_int_equal(err->kind, ERROR_NOT_FOUND);
}

static void test_the_first_hint_is_kept(void **state)
{
        _cleanup_error_ Error *err = NULL;
        int r = error_set(&err, ERROR_CONFLICT, "port 5432 is taken");

        error_hint(&err, r, "Use %d.", 5433);
        error_hint(&err, r, "Another.");
        assert_string_equal(err->hint, "Use 5433.");
}

static void test_a_caller_may_want_the_result_only(void **state)
{
        assert_int_equal(error_set(NULL, ERROR_TIMEOUT, "x"), -ERROR_TIMEOUT);
        assert_int_equal(error_prefix(NULL, -ERROR_TIMEOUT, "y"), -ERROR_TIMEOUT);
        assert_int_equal(error_hint(NULL, -ERROR_TIMEOUT, "z"), -ERROR_TIMEOUT);
        assert_int_equal(error_set_errno(NULL, ENOSPC, "write"), -ERROR_NO_SPACE);
}

static void test_position(void **state)
{
        _cleanup_error_ Error *err = NULL;
        _cleanup_free_ char *text = NULL, *without = NULL;
        _cleanup_error_ Error *plain = NULL;

        error_set_at(&err, ERROR_INVALID, "compose.yaml", 12, 7, "services.db: unknown key");
        text = error_text(err);
        assert_string_equal(text, "compose.yaml:12:7: services.db: unknown key");
        error_set(&plain, ERROR_INVALID, "just text");
        without = error_text(plain);
        assert_string_equal(without, "just text");
}

static void test_lists_keep_their_order(void **state)
{
        _cleanup_error_ Error *list = NULL;

        for (int i = 0; i < 3; i++) {
                Error *one = NULL;
                error_set(&one, ERROR_INVALID, "%d", i);
                error_append(&list, &one);
                assert_null(one);
        }
        assert_string_equal(list->message, "0");
        assert_string_equal(list->next->message, "1");
        assert_string_equal(list->next->next->message, "2");
        assert_null(list->next->next->next);
}

static void test_move(void **state)
{
        _cleanup_error_ Error *to = NULL;
        Error *from = NULL, *second = NULL;

        error_set(&from, ERROR_CORRUPT, "a");
        assert_int_equal(error_move(&to, &from, -ERROR_CORRUPT), -ERROR_CORRUPT);
        assert_null(from);
        error_set(&second, ERROR_INVALID, "b");
        error_move(&to, &second, -ERROR_INVALID);
        assert_null(second);
        assert_string_equal(to->message, "a");
        error_set(&second, ERROR_INVALID, "c");
        error_move(NULL, &second, -ERROR_INVALID);
        assert_null(second);
}

static void test_every_kind_has_a_name_and_a_status(void **state)
{
        for (int kind = ERROR_INTERNAL; kind < _ERROR_KIND_MAX; kind++) {
                assert_int_equal(error_kind_from_name(error_kind_name(kind)), kind);
                assert_true(error_kind_exit_status(kind) > 0);
                assert_true(error_kind_http_status(kind) >= 400);
        }
        assert_int_equal(error_kind_exit_status(ERROR_USAGE), 2);
        assert_int_equal(error_kind_exit_status(ERROR_CANCELLED), 130);
        assert_int_equal(error_kind_from_name("no such kind"), ERROR_INTERNAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_layers_prefix_and_the_first_error_wins),
                cmocka_unit_test(test_the_first_hint_is_kept),
                cmocka_unit_test(test_a_caller_may_want_the_result_only),
                cmocka_unit_test(test_position),
                cmocka_unit_test(test_lists_keep_their_order),
                cmocka_unit_test(test_move),
                cmocka_unit_test(test_every_kind_has_a_name_and_a_status),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
