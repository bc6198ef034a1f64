
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/tree.h"

static char *folder;

static int make_folder(void **state)
{
        folder = xstrdup("/tmp/berth-tree-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        int r = fs_remove_tree(AT_FDCWD, folder, NULL);

        free(folder);
        return r;
}

static void make_file(const char *name)
{
        _cleanup_free_ char *path = path_join(folder, name);
        assert_int_equal(fs_write_file(AT_FDCWD, path, "x", 1, 0600, NULL), 0);
}

static void fill(void)
{
        _cleanup_free_ char *sub = path_join(folder, "a/sub"), *link = path_join(folder, "link"),
                            *pipe = path_join(folder, "p");

        assert_int_equal(fs_make_directories(sub, 0700, NULL), 0);
        make_file("a/sub/1");
        make_file("a/2");
        make_file("b");
        assert_int_equal(symlink("/nonexistent", link), 0);
        assert_int_equal(mkfifo(pipe, 0600), 0);
}

static int note(void *context, const char *path, const struct stat *status, Error **err)
{
        Strbuf *seen = context;

        strbuf_addf(seen, "%s%s ", path, S_ISDIR(status->st_mode) ? "/" : "");
        return streq(path, "b") ? error_set(err, ERROR_FAILED, "enough") : 0;
}

static void test_walk_shows_folders_first_and_stops_when_told(void **state)
{
        _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_strbuf_ Strbuf seen = STRBUF_INIT;
        _cleanup_error_ Error *error = NULL;

        fill();
        assert_true(tree_walk(fd, note, &seen, &error) < 0);
        assert_string_equal(strbuf_text(&seen), "a/ a/2 a/sub/ a/sub/1 b ");
        assert_string_equal(error->message, "enough");
}

static void test_sync_passes_over_links_and_pipes(void **state)
{
        fill();
        assert_int_equal(tree_sync(folder, NULL), 0);
}

static void test_sync_of_nothing_says_so(void **state)
{
        _cleanup_free_ char *absent = path_join(folder, "absent");
        _cleanup_error_ Error *error = NULL;

        assert_true(tree_sync(absent, &error) < 0);
        assert_non_null(strstr(error->message, "absent"));
}

typedef struct Marks {
        int counts[1000];
        size_t bad;
} Marks;

static int mark(void *context, size_t index)
{
        Marks *marks = context;

        __atomic_fetch_add(&marks->counts[index], 1, __ATOMIC_RELAXED);
        return index == marks->bad ? EDOM : 0;
}

static void test_first_failure_ends_it(void **state)
{
        Marks marks = { .bad = 7 };
        size_t failed = 0;

        assert_int_equal(parallel_try(1000, 1, mark, &marks, &failed), EDOM);
        assert_int_equal(failed, 7);
        assert_int_equal(marks.counts[8], 0);
        assert_int_equal(parallel_try(1000, 4, mark, &marks, &failed), EDOM);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_walk_shows_folders_first_and_stops_when_told, make_folder,
                                                remove_folder),
                cmocka_unit_test_setup_teardown(test_sync_passes_over_links_and_pipes, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_sync_of_nothing_says_so, make_folder, remove_folder),
                cmocka_unit_test(test_first_failure_ends_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
