#include "compose_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "compose/edit.h"

static char folder[] = "/tmp/berth-edit-XXXXXX";

static Project *load(const char *text, char **ret_path)
{
        char *files[2] = { NULL, NULL };
        LoadOptions options = { .files = files };
        Project *project = NULL;

        if (endswith(folder, "XXXXXX"))
                assert_non_null(mkdtemp(folder));
        *ret_path = path_join(folder, "compose.yaml");
        assert_int_equal(fs_write_file(AT_FDCWD, *ret_path, text, strlen(text), 0640, NULL), 0);
        files[0] = *ret_path;
        assert_int_equal(project_load(&options, &project, NULL), 0);
        return project;
}

static void test_only_the_value_changes(void **state)
{
        static const struct {
                const char *before, *after;
        } cases[] = {
                { "# c\nservices:\n  db:\n    image: postgres:15 # x\n",
                  "# c\nservices:\n  db:\n    image: postgres:17 # x\n" },
                { "services: {db: {image: \"postgres:15\"}}", "services: {db: {image: \"postgres:17\"}}" },
                { "services:\n  db: {image: 'postgres:15'}\r\n", "services:\n  db: {image: 'postgres:17'}\r\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *path = NULL;
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                Project *project = load(cases[i].before, &path);
                struct stat status;

                assert_int_equal(edit_replace_image(project, "db", "postgres:17", NULL), 0);
                assert_int_equal(fs_read_file(AT_FDCWD, path, 4096, &text, NULL), 0);
                assert_string_equal(strbuf_text(&text), cases[i].after);
                assert_int_equal(stat(path, &status), 0);
                assert_int_equal(status.st_mode & 07777, 0640);
                project_free(project);
        }
}

static void test_what_stands_elsewhere_is_left_alone(void **state)
{
        static const char *const cases[] = {
                "services: {db: {image: \"postgres:${MAJOR:-15}\"}}",
                "services:\n  db:\n    image: >-\n      postgres:15\n",
                "services:\n  db:\n    image: \"post\\x67res:15\"\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *path = NULL, *place = NULL;
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                _cleanup_error_ Error *error = NULL;
                Project *project = load(cases[i], &path);

                assert_int_equal(edit_find_image(project, "db", &place, &error), -ERROR_UNSUPPORTED);
                assert_non_null(error->hint);
                assert_int_equal(edit_replace_image(project, "db", "postgres:17", NULL), -ERROR_UNSUPPORTED);
                assert_int_equal(fs_read_file(AT_FDCWD, path, 4096, &text, NULL), 0);
                assert_string_equal(strbuf_text(&text), cases[i]);
                project_free(project);
        }
}

static int remove_folder(void **state)
{
        return fs_remove_tree(AT_FDCWD, folder, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_the_value_changes),
                cmocka_unit_test(test_what_stands_elsewhere_is_left_alone),
        };

        return cmocka_run_group_tests(tests, NULL, remove_folder);
}
