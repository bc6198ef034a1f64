
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"

static char *folder, *path;

static int make_folder(void **state)
{
        folder = xstrdup("/tmp/berth-document-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        path = path_join(folder, "state.json");
        return 0;
}

static int remove_folder(void **state)
{
        int r = fs_remove_tree(AT_FDCWD, folder, NULL);

        free(folder);
        free(path);
        return r;
}

static void write_text(const char *text)
{
        assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void test_what_was_saved_is_loaded(void **state)
{
        _cleanup_json_ json_t *document = json_pack("{s:s,s:[s,s]}", "name", "demo", "list", "a", "b"), *again = NULL;
        _cleanup_strv_ char **list = NULL;
        struct stat status;

        assert_int_equal(document_save(path, 3, document, NULL), 0);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        assert_int_equal(document_load(path, 3, &again, NULL), 0);
        assert_int_equal(json_get_int(again, "format", 0), 3);
        assert_string_equal(json_get_string(again, "name", ""), "demo");
        list = json_get_strv(again, "list");
        assert_int_equal(strv_length(list), 2);
}

static void test_newer_is_refused_and_untouched(void **state)
{
        const char *text = "{\"format\": 9, \"name\": \"x\"}";
        _cleanup_json_ json_t *document = NULL;
        _cleanup_strbuf_ Strbuf after = STRBUF_INIT;
        _cleanup_error_ Error *err = NULL;

        write_text(text);
        assert_int_equal(document_load(path, 8, &document, &err), -ERROR_UNSUPPORTED);
        assert_null(document);
        assert_non_null(err->hint);
        assert_int_equal(fs_read_file(AT_FDCWD, path, 1000, &after, NULL), 0);
        assert_string_equal(strbuf_text(&after), text);
}

static void test_corrupt_in_every_way(void **state)
{
        static const char *const texts[] = { "",
                                             "{",
                                             "[1]",
                                             "\"x\"",
                                             "{\"a\": 1}",
                                             "{\"format\": 0}",
                                             "{\"format\": \"1\"}",
                                             "{\"format\": 1, \"format\": 1}",
                                             "{\"format\": 1} trailing" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_json_ json_t *document = NULL;
                _cleanup_error_ Error *err = NULL;

                write_text(texts[i]);
                assert_int_equal(document_load(path, 1, &document, &err), -ERROR_CORRUPT);
                assert_string_equal(err->file, path);
        }
}

static void test_absent(void **state)
{
        _cleanup_json_ json_t *document = NULL;

        assert_int_equal(document_load(path, 1, &document, NULL), -ERROR_NOT_FOUND);
}

static void test_kept_aside(void **state)
{
        _cleanup_free_ char *kept = NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        write_text("{broken");
        assert_int_equal(document_keep_aside(path, &kept, NULL), 0);
        assert_false(fs_exists(path));
        assert_int_equal(fs_read_file(AT_FDCWD, kept, 100, &text, NULL), 0);
        assert_string_equal(strbuf_text(&text), "{broken");
}

static void test_volatile_leaves_no_temporary(void **state)
{
        _cleanup_json_ json_t *document = json_object();
        _cleanup_strv_ char **names = NULL;

        assert_int_equal(document_save_volatile(path, 1, document, NULL), 0);
        assert_int_equal(fs_list_directory(AT_FDCWD, folder, &names, NULL), 0);
        assert_int_equal(strv_length(names), 1);
}

static void test_errors_travel(void **state)
{
        _cleanup_error_ Error *from = NULL, *to = NULL;
        _cleanup_json_ json_t *wire = NULL;

        error_set_at(&from, ERROR_CONFLICT, "compose.yaml", 4, 2, "port 5432 is taken");
        error_hint(&from, -ERROR_CONFLICT, "Use 5433.");
        wire = json_from_error(from);
        assert_int_equal(error_from_json(&to, wire), -ERROR_CONFLICT);
        assert_string_equal(to->message, from->message);
        assert_string_equal(to->hint, "Use 5433.");
        assert_string_equal(to->file, "compose.yaml");
        assert_int_equal(to->line, 4);
        assert_int_equal(to->column, 2);
}

static void test_an_error_from_a_stranger(void **state)
{
        _cleanup_error_ Error *err = NULL;
        _cleanup_json_ json_t *wire = json_pack("{s:i,s:[]}", "kind", 5, "message");

        assert_true(error_from_json(&err, wire) < 0);
        assert_non_null(err->message);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(test_what_was_saved_is_loaded),
                IN_FOLDER(test_newer_is_refused_and_untouched),
                IN_FOLDER(test_corrupt_in_every_way),
                IN_FOLDER(test_absent),
                IN_FOLDER(test_kept_aside),
                IN_FOLDER(test_volatile_leaves_no_temporary),
                cmocka_unit_test(test_errors_travel),
                cmocka_unit_test(test_an_error_from_a_stranger),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
