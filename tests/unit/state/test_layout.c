
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
#include "state/layout.h"

static char *folder;

static int make_folder(void **state)
{
        _cleanup_free_ char *data = NULL, *run = NULL;

        folder = xstrdup("/tmp/berth-layout-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        data = path_join(folder, "data");
        run = path_join(folder, "run");
        setenv("BERTH_DATA_DIR", data, 1);
        setenv("BERTH_RUN_DIR", run, 1);
        return 0;
}

static int remove_folder(void **state)
{
        int r = fs_remove_tree(AT_FDCWD, folder, NULL);

        free(folder);
        return r;
}

static void test_roots_come_from_the_environment(void **state)
{
        _cleanup_(layout_freep) Layout *layout = layout_create(), *other = NULL;
        _cleanup_free_ char *path = layout_data(layout, "volumes/%s", "pg");
        _cleanup_free_ char *expected = path_join(folder, "data/volumes/pg");

        assert_string_equal(path, expected);
        assert_int_equal(strlen(layout->id), 6);
        setenv("BERTH_DATA_DIR", "/elsewhere/../data", 1);
        other = layout_create();
        assert_string_equal(other->data_dir, "/data");
        assert_string_not_equal(layout->id, other->id);
}

static void test_prepare_makes_the_roots_and_is_repeatable(void **state)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        _cleanup_error_ Error *err = NULL;
        struct stat status;

        if (geteuid() != 0) {
                assert_int_equal(layout_prepare(layout, &err), -ERROR_DENIED);
                assert_non_null(err->hint);
                return;
        }
        assert_int_equal(layout_prepare(layout, &err), 0);
        assert_int_equal(layout_prepare(layout, &err), 0);
        assert_int_equal(stat(layout->data_dir, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0711);
}

static void test_a_newer_installation_is_refused(void **state)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        _cleanup_free_ char *path = layout_data(layout, "format.json");
        _cleanup_error_ Error *err = NULL;

        if (geteuid() != 0)
                skip();
        assert_int_equal(layout_prepare(layout, NULL), 0);
        assert_int_equal(fs_write_file(AT_FDCWD, path, "{\"format\": 99}", 14, 0600, NULL), 0);
        assert_int_equal(layout_prepare(layout, &err), -ERROR_UNSUPPORTED);
}

static void test_project_names_stay_in_their_folder(void **state)
{
        static const char *const good[] = { "a", "demo", "my-app_2", "0x" };
        static const char *const bad[] = { "",
                                           ".",
                                           "..",
                                           "../x",
                                           "a/b",
                                           "A",
                                           "-a",
                                           "_a",
                                           "a b",
                                           "a.b",
                                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(layout_project_name_is_valid(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(layout_project_name_is_valid(bad[i]));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(test_roots_come_from_the_environment),
                IN_FOLDER(test_prepare_makes_the_roots_and_is_repeatable),
                IN_FOLDER(test_a_newer_installation_is_refused),
                cmocka_unit_test(test_project_names_stay_in_their_folder),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
