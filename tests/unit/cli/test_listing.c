#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/output/listing.h"
#include "state/document.h"

static const ListingColumn columns[] = { { "NAME", "Name" }, { "N", "Count" }, { NULL } };

/* What listing_print writes on standard output, or NULL with *err set. */
static char *printed(const char *format, ListingJson json, Error **err)
{
        _cleanup_json_ json_t *rows = json_loads(
                "[{\"Name\":\"a\",\"Count\":1},{\"Name\":\"b\",\"Count\":22,\"Tags\":[\"x\",\"y\"]}]", 0, NULL);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int saved = dup(STDOUT_FILENO), fds[2], r;

        assert_int_equal(pipe(fds), 0);
        fflush(stdout);
        dup2(fds[1], STDOUT_FILENO);
        close(fds[1]);
        r = listing_print(rows, columns, format, json, err);
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        fs_read_fd(fds[0], 1 << 16, &text, NULL);
        close(fds[0]);
        return r < 0 ? NULL : strbuf_take(&text);
}

static void check(const char *format, ListingJson json, const char *expected)
{
        _cleanup_free_ char *text = printed(format, json, NULL);

        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void every_form_of_output(void **state)
{
        check(NULL, LISTING_LINES, "NAME   N\na      1\nb      22\n");
        check("table", LISTING_LINES, "NAME   N\na      1\nb      22\n");
        check("json", LISTING_LINES,
              "{\"Name\":\"a\",\"Count\":1}\n{\"Name\":\"b\",\"Count\":22,\"Tags\":[\"x\",\"y\"]}\n");
        check("json", LISTING_ARRAY,
              "[{\"Name\":\"a\",\"Count\":1},{\"Name\":\"b\",\"Count\":22,\"Tags\":[\"x\",\"y\"]}]\n");
}

static void templates_are_expanded(void **state)
{
        check("{{.Name}}", LISTING_LINES, "a\nb\n");
        check("{{ .Name }}\\t<{{.Count}}>", LISTING_LINES, "a\t<1>\nb\t<22>\n");
        check("{{json .Name}}", LISTING_LINES, "\"a\"\n\"b\"\n");
        check("table {{.Name}}", LISTING_LINES, "a\nb\n");
}

static void wrong_templates_are_refused(void **state)
{
        static const char *const wrong[] = { "{{.Nmae}}", "{{range .}}", "{{.Name | upper}}", "xml" };

        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
                _cleanup_error_ Error *error = NULL;

                assert_null(printed(wrong[i], LISTING_LINES, &error));
                assert_int_equal(error->kind, ERROR_USAGE);
                assert_non_null(error->hint);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_form_of_output),
                cmocka_unit_test(templates_are_expanded),
                cmocka_unit_test(wrong_templates_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
