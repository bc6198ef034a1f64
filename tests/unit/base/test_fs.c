
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

static char *folder;

static int make_folder(void **state)
{
        folder = xstrdup("/tmp/berth-fs-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        int r = fs_remove_tree(AT_FDCWD, folder, NULL);

        free(folder);
        return r;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
        assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), mode, NULL), 0);
}

static void test_replacement_is_atomic_and_leaves_no_temporary(void **state)
{
        _cleanup_free_ char *path = path_join(folder, "file");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **names = NULL;
        _cleanup_close_ int old = -1;
        char first[8] = "";
        struct stat status;

        write_text(path, "one", 0600);
        old = open(path, O_RDONLY | O_CLOEXEC);
        write_text(path, "second", 0640);
        assert_int_equal(read(old, first, sizeof(first)), 3); /* a reader that was there keeps the old bytes */
        assert_string_equal(first, "one");
        assert_int_equal(fs_read_file(AT_FDCWD, path, 100, &text, NULL), 0);
        assert_string_equal(strbuf_text(&text), "second");
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0640);
        assert_int_equal(fs_list_directory(AT_FDCWD, folder, &names, NULL), 0);
        assert_int_equal(strv_length(names), 1);
}

static void test_a_failed_write_leaves_the_old_file(void **state)
{
        _cleanup_free_ char *path = path_join(folder, "small"), *file = path_join(path, "f");
        _cleanup_free_ char *big = xcalloc(1, 1 << 20);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_error_ Error *err = NULL;
        _cleanup_strv_ char **names = NULL;

        assert_int_equal(mkdir(path, 0700), 0);
        if (mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0)
                skip();
        write_text(file, "old", 0600);
        assert_int_equal(fs_write_file(AT_FDCWD, file, big, 1 << 20, 0600, &err), -ERROR_NO_SPACE);
        assert_int_equal(fs_read_file(AT_FDCWD, file, 100, &text, NULL), 0);
        assert_string_equal(strbuf_text(&text), "old");
        assert_int_equal(fs_list_directory(AT_FDCWD, path, &names, NULL), 0);
        assert_int_equal(strv_length(names), 1);
        assert_int_equal(umount(path), 0);
}

static void test_rewrite_in_place_keeps_the_inode(void **state)
{
        _cleanup_free_ char *path = path_join(folder, "hosts");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat before, after;

        write_text(path, "a long first text", 0644);
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(fs_rewrite_in_place(AT_FDCWD, path, "short", 5, 0644, NULL), 0);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(fs_read_file(AT_FDCWD, path, 100, &text, NULL), 0);
        assert_string_equal(strbuf_text(&text), "short");
}

static void test_reading_is_bounded_and_says_what_is_absent(void **state)
{
        _cleanup_free_ char *path = path_join(folder, "ten"), *absent = path_join(folder, "absent");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_error_ Error *err = NULL, *missing = NULL;

        write_text(path, "0123456789", 0600);
        assert_int_equal(fs_read_file(AT_FDCWD, path, 9, &text, &err), -ERROR_INVALID);
        assert_int_equal(fs_read_file(AT_FDCWD, absent, 9, &text, &missing), -ERROR_NOT_FOUND);
        assert_non_null(strstr(missing->message, absent));
}

static void test_remove_tree_follows_no_links(void **state)
{
        _cleanup_free_ char *kept = path_join(folder, "kept"), *tree = path_join(folder, "tree");
        _cleanup_free_ char *deep = path_join(tree, "a/b/c"), *link = path_join(tree, "a/link");
        _cleanup_free_ char *inside = path_join(kept, "file"), *locked = path_join(tree, "a/b/c/locked");

        assert_int_equal(fs_make_directories(kept, 0700, NULL), 0);
        write_text(inside, "x", 0600);
        assert_int_equal(fs_make_directories(deep, 0700, NULL), 0);
        assert_int_equal(fs_make_directories(deep, 0700, NULL), 0); /* again is fine */
        write_text(locked, "x", 0000);
        assert_int_equal(symlink(kept, link), 0);
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), 0);
        assert_false(fs_exists(tree));
        assert_true(fs_exists(inside));
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), 0); /* absent is fine */
}

static void test_remove_tree_does_not_cross_mounts(void **state)
{
        _cleanup_free_ char *tree = path_join(folder, "mounted"), *point = path_join(tree, "volume");
        _cleanup_free_ char *file = path_join(point, "data");

        assert_int_equal(fs_make_directories(point, 0700, NULL), 0);
        if (mount("tmpfs", point, "tmpfs", 0, NULL) < 0)
                skip();
        write_text(file, "x", 0600);
        fs_remove_tree(AT_FDCWD, tree, NULL);
        assert_true(fs_exists(file));
        assert_int_equal(umount(point), 0);
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), 0);
}

static void test_remove_tree_does_not_cross_bind_mounts(void **state)
{
        _cleanup_free_ char *tree = path_join(folder, "bound"), *point = path_join(tree, "volume");
        _cleanup_free_ char *data = path_join(folder, "data"), *file = path_join(data, "file");

        assert_int_equal(fs_make_directories(point, 0700, NULL), 0);
        assert_int_equal(fs_make_directories(data, 0700, NULL), 0);
        write_text(file, "x", 0600);
        if (mount(data, point, NULL, MS_BIND, NULL) < 0)
                skip();
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), -ERROR_CONFLICT);
        assert_true(fs_exists(file));
        assert_int_equal(umount(point), 0);
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), 0);
        assert_true(fs_exists(file));
}

/* Deeper than files may be open, and than a path may be long. */
static void test_remove_tree_of_any_depth(void **state)
{
        _cleanup_free_ char *tree = path_join(folder, "deep");
        struct rlimit limit, low;
        int fd;

        assert_int_equal(mkdir(tree, 0700), 0);
        fd = open(tree, O_RDONLY | O_DIRECTORY);
        for (int level = 0; level < 3000; level++) {
                int below;

                assert_int_equal(mkdirat(fd, "d", 0700), 0);
                below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
                close(openat(fd, "f", O_WRONLY | O_CREAT, 0600));
                close(fd);
                fd = below;
        }
        close(fd);
        assert_true(fs_disk_usage(tree) > 0);
        getrlimit(RLIMIT_NOFILE, &limit);
        low = (struct rlimit){ 128, limit.rlim_max };
        setrlimit(RLIMIT_NOFILE, &low);
        assert_int_equal(fs_remove_tree(AT_FDCWD, tree, NULL), 0);
        setrlimit(RLIMIT_NOFILE, &limit);
        assert_false(fs_exists(tree));
}

static void test_locks_exclude_and_end_with_their_descriptor(void **state)
{
        _cleanup_free_ char *path = path_join(folder, "lock");
        _cleanup_close_ int first = -1, second = -1;
        _cleanup_error_ Error *err = NULL;

        assert_int_equal(lock_file(path, 0, &first, NULL), 0);
        assert_int_equal(lock_file(path, 20, &second, &err), -ERROR_CONFLICT);
        first = fs_close(first);
        assert_int_equal(lock_file(path, 0, &second, NULL), 0);
}

static void check_clean(const char *base, const char *path, const char *expected)
{
        _cleanup_free_ char *clean = path_clean(base, path);

        assert_string_equal(clean, expected);
}

static void test_paths(void **state)
{
        _cleanup_free_ char *joined = path_join("a", "b"), *absolute = path_join("a", "/b");
        _cleanup_free_ char *above = path_dirname("/a/b");

        assert_string_equal(joined, "a/b");
        assert_string_equal(absolute, "/b");
        assert_string_equal(above, "/a");
        assert_string_equal(path_basename("/a/b"), "b");
        check_clean("/x/y", "../z", "/x/z");
        check_clean("/x", "./a//b/./c/..", "/x/a/b");
        check_clean("/x", "/../../etc", "/etc");
        check_clean("/", "..", "/");
        assert_true(path_is_component("a.b"));
        assert_false(path_is_component(""));
        assert_false(path_is_component("."));
        assert_false(path_is_component(".."));
        assert_false(path_is_component("a/b"));
}

/* A folder for each test: what a failed one leaves does not disturb the next. */
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_FOLDER(test_replacement_is_atomic_and_leaves_no_temporary),
                IN_FOLDER(test_a_failed_write_leaves_the_old_file),
                IN_FOLDER(test_rewrite_in_place_keeps_the_inode),
                IN_FOLDER(test_reading_is_bounded_and_says_what_is_absent),
                IN_FOLDER(test_remove_tree_follows_no_links),
                IN_FOLDER(test_remove_tree_does_not_cross_mounts),
                IN_FOLDER(test_remove_tree_does_not_cross_bind_mounts),
                IN_FOLDER(test_remove_tree_of_any_depth),
                IN_FOLDER(test_locks_exclude_and_end_with_their_descriptor),
                IN_FOLDER(test_paths),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
