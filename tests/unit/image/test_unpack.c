/* Unpacking of layers, as root: owners, devices and trusted attributes are made for real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive_maker.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "image/unpack.h"

/* outer/root is unpacked into; nothing else may appear in outer. */
typedef struct Place {
        char outer[64], root[80];
        int root_fd;
        Maker *maker;
        Error *error;
        UnpackResult result;
} Place;

static int set_up(void **state)
{
        Place *place = xnew(Place);

        strcpy(place->outer, "/var/tmp/berth-test-unpack-XXXXXX");
        assert_non_null(mkdtemp(place->outer));
        snprintf(place->root, sizeof(place->root), "%s/root", place->outer);
        mkdir(place->root, 0755);
        place->root_fd = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        place->maker = maker_create(ARCHIVE_FILTER_NONE);
        *state = place;
        return 0;
}

static int tear_down(void **state)
{
        Place *place = *state;

        fs_close(place->root_fd);
        fs_remove_tree(AT_FDCWD, place->outer, NULL);
        maker_free(place->maker);
        error_free(place->error);
        free(place);
        return 0;
}

static int unpack_part(Place *place, size_t size)
{
        UnpackOptions options = { 0 };
        _cleanup_close_ int fd = maker_open(place->maker, size);

        return layer_unpack(fd, place->root_fd, &options, &place->result, &place->error);
}

static int unpack(Place *place)
{
        maker_finish(place->maker);
        return unpack_part(place, place->maker->size);
}

static void assert_unpacks(Place *place)
{
        if (unpack(place) < 0)
                fail_msg("%s", place->error->message);
}

static void assert_refused(Place *place)
{
        _cleanup_free_ char *outside = xasprintf("%s/evil", place->outer);

        assert_int_equal(unpack(place), -ERROR_INVALID);
        assert_false(fs_exists(outside));
        assert_false(fs_exists("/tmp/berth-evil"));
}

static struct stat look(Place *place, const char *name)
{
        struct stat status = { 0 };

        if (fstatat(place->root_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                fail_msg("%s is not there", name);
        return status;
}

static bool is_opaque(Place *place, const char *name)
{
        _cleanup_free_ char *path = path_join(place->root, name);
        char value[4] = "";

        return lgetxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static bool is_whiteout(struct stat status)
{
        return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

static void test_owner_mode_time(void **state)
{
        Place *place = *state;

        maker_folder(place->maker, "./", 0711, 3);
        maker_folder(place->maker, "d/", 01777, 999);
        maker_file(place->maker, "d/setuid", "abc", 04755, 999);
        maker_link(place->maker, "d/link", "/absolute/target");
        assert_unpacks(place);
        assert_int_equal(look(place, ".").st_mode & 07777, 0711);
        assert_int_equal(look(place, ".").st_uid, 3);
        assert_int_equal(look(place, "d").st_mode & 07777, 01777);
        assert_int_equal(look(place, "d").st_mtime, 1700000000);
        assert_int_equal(look(place, "d/setuid").st_mode & 07777, 04755);
        assert_int_equal(look(place, "d/setuid").st_gid, 999);
        assert_int_equal(look(place, "d/setuid").st_size, 3);
        assert_true(S_ISLNK(look(place, "d/link").st_mode));
        assert_int_equal(place->result.size_bytes, 3);
}

static void test_digests(void **state)
{
        static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD };
        char diff_id[72] = "";

        for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
                void *inner;
                Place *place;
                _cleanup_free_ char *hex = NULL;

                set_up(&inner);
                place = inner;
                maker_free(place->maker);
                place->maker = maker_create(filters[i]);
                maker_file(place->maker, "f", "text", 0644, 0);
                assert_unpacks(place);
                hex = sha256_hex(place->maker->data, place->maker->size);
                assert_string_equal(place->result.digest + 7, hex);
                if (i > 0)
                        assert_string_equal(place->result.diff_id, diff_id);
                strcpy(diff_id, place->result.diff_id);
                tear_down(&inner);
        }
}

static void test_missing_parents_are_made(void **state)
{
        Place *place = *state;

        maker_file(place->maker, "a/b/c/f", "x", 0644, 0);
        assert_unpacks(place);
        assert_int_equal(look(place, "a/b/c").st_mode & 07777, 0755);
}

static void test_hardlinks(void **state)
{
        Place *place = *state;

        maker_file(place->maker, "a/f", "x", 0644, 0);
        maker_hardlink(place->maker, "b/g", "a/f");
        maker_hardlink(place->maker, "h", "/a/f");
        assert_unpacks(place);
        assert_int_equal(look(place, "a/f").st_nlink, 3);
        assert_int_equal(look(place, "b/g").st_ino, look(place, "a/f").st_ino);
}

static void test_whiteouts(void **state)
{
        Place *place = *state;

        maker_file(place->maker, "d/.wh.gone", "", 0644, 0);
        maker_folder(place->maker, "fresh/", 0755, 0);
        maker_file(place->maker, "fresh/.wh..wh..opq", "", 0644, 0);
        maker_file(place->maker, "fresh/new", "x", 0644, 0);
        maker_file(place->maker, ".wh..wh.plnk/1.2", "", 0644, 0);
        assert_unpacks(place);
        assert_true(is_whiteout(look(place, "d/gone")));
        assert_true(is_opaque(place, "fresh"));
        assert_false(is_opaque(place, "d"));
        assert_true(S_ISREG(look(place, "fresh/new").st_mode));
}

/* A whiteout hides lower layers only, whichever of the two comes first in the archive. */
static void test_whiteout_and_new_folder(void **state)
{
        Place *place = *state;

        maker_file(place->maker, ".wh.first", "", 0644, 0);
        maker_folder(place->maker, "first/", 0755, 0);
        maker_folder(place->maker, "second/", 0755, 0);
        maker_file(place->maker, "second/f", "x", 0644, 0);
        maker_file(place->maker, ".wh.second", "", 0644, 0);
        maker_file(place->maker, "third", "x", 0644, 0);
        maker_file(place->maker, ".wh.third", "", 0644, 0);
        assert_unpacks(place);
        assert_true(S_ISDIR(look(place, "first").st_mode) && is_opaque(place, "first"));
        assert_true(S_ISREG(look(place, "second/f").st_mode) && is_opaque(place, "second"));
        assert_true(S_ISREG(look(place, "third").st_mode));
}

static void test_later_entry_replaces(void **state)
{
        Place *place = *state;

        maker_folder(place->maker, "x/", 0755, 0);
        maker_file(place->maker, "x/f", "1", 0644, 0);
        maker_file(place->maker, "x", "now a file", 0644, 0);
        maker_file(place->maker, "y", "1", 0644, 0);
        maker_folder(place->maker, "y/", 0755, 0);
        maker_file(place->maker, "y/f", "2", 0644, 0);
        assert_unpacks(place);
        assert_int_equal(look(place, "x").st_size, 10);
        assert_int_equal(look(place, "y/f").st_size, 1);
}

static void test_names_that_leave_are_refused(void **state)
{
        static const char *const names[] = { "../evil", "a/../../evil", "..", "a/..", "./../evil" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                void *inner;

                set_up(&inner);
                maker_file(((Place *)inner)->maker, names[i], "x", 0644, 0);
                assert_refused(inner);
                tear_down(&inner);
        }
}

static void test_absolute_name_stays_inside(void **state)
{
        Place *place = *state;

        maker_file(place->maker, "/tmp/berth-evil", "x", 0644, 0);
        assert_unpacks(place);
        assert_false(fs_exists("/tmp/berth-evil"));
        assert_true(S_ISREG(look(place, "tmp/berth-evil").st_mode));
}

static void test_links_are_followed_inside_only(void **state)
{
        Place *place = *state;
        _cleanup_free_ char *outside = xasprintf("%s/evil", place->outer);

        maker_link(place->maker, "up", "../../..");
        maker_link(place->maker, "abs", "/");
        maker_folder(place->maker, "tmp/", 0755, 0);
        maker_file(place->maker, "up/evil", "x", 0644, 0);
        maker_file(place->maker, "abs/tmp/berth-evil", "x", 0644, 0);
        assert_unpacks(place);
        assert_false(fs_exists(outside));
        assert_false(fs_exists("/tmp/berth-evil"));
        assert_true(S_ISREG(look(place, "evil").st_mode));
        assert_true(S_ISREG(look(place, "tmp/berth-evil").st_mode));
}

static void test_link_is_not_written_through(void **state)
{
        Place *place = *state;
        _cleanup_free_ char *victim = xasprintf("%s/victim", place->outer);

        fs_write_file(AT_FDCWD, victim, "precious", 8, 0600, NULL);
        maker_link(place->maker, "f", victim);
        maker_file(place->maker, "f", "overwritten", 0777, 1);
        assert_unpacks(place);
        assert_true(S_ISREG(look(place, "f").st_mode));
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        fs_read_file(AT_FDCWD, victim, 100, &text, NULL);
        assert_string_equal(strbuf_text(&text), "precious");
}

static void test_hardlink_out_is_refused(void **state)
{
        static const char *const targets[] = { "/etc/passwd", "../victim", "absent", "a/../../victim", "up/victim" };

        for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
                void *inner;

                set_up(&inner);
                maker_link(((Place *)inner)->maker, "up", "..");
                maker_hardlink(((Place *)inner)->maker, "h", targets[i]);
                assert_refused(inner);
                tear_down(&inner);
        }
}

static void test_devices(void **state)
{
        Place *place = *state;

        maker_device(place->maker, "dev/sda");
        assert_unpacks(place);
        assert_int_equal(faccessat(place->root_fd, "dev/sda", F_OK, 0), -1);
        maker_free(place->maker);
        place->maker = maker_create(ARCHIVE_FILTER_NONE);
        maker_device(place->maker, "opt/sda");
        assert_refused(place);
        assert_non_null(strstr(place->error->message, "device"));
}

static void test_attributes(void **state)
{
        Place *place = *state;
        _cleanup_free_ char *kept = path_join(place->root, "kept"), *dropped = path_join(place->root, "dropped");
        char value[16] = "";

        maker_file_with_attribute(place->maker, "kept", "user.note", "hello");
        maker_file_with_attribute(place->maker, "dropped", "trusted.overlay.redirect", "/etc");
        assert_unpacks(place);
        assert_int_equal(getxattr(kept, "user.note", value, sizeof(value)), 5);
        assert_true(getxattr(dropped, "trusted.overlay.redirect", value, sizeof(value)) < 0);
}

static void test_truncated(void **state)
{
        static const int filters[] = { ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD };

        for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
                void *inner;
                Place *place;
                char text[5000];

                set_up(&inner);
                place = inner;
                maker_free(place->maker);
                place->maker = maker_create(filters[i]);
                for (size_t j = 0; j < sizeof(text) - 1; j++)
                        text[j] = (char)('a' + j * j % 23);
                text[sizeof(text) - 1] = '\0';
                maker_file(place->maker, "f", text, 0644, 0);
                maker_finish(place->maker);
                assert_int_equal(unpack_part(place, place->maker->size * 2 / 3 - 700 * (i == 0)), -ERROR_INVALID);
                tear_down(&inner);
        }
}

static void test_not_an_archive(void **state)
{
        Place *place = *state;

        assert_int_equal(unpack_part(place, 0), -ERROR_INVALID);
        memset(place->maker->data, 'x', 4096);
        error_free(place->error);
        place->error = NULL;
        assert_int_equal(unpack_part(place, 4096), -ERROR_INVALID);
}

static bool always(void *context)
{
        return true;
}

static void test_cancelled(void **state)
{
        Place *place = *state;
        UnpackOptions options = { .cancelled = always };
        _cleanup_close_ int fd = -1;

        maker_file(place->maker, "f", "x", 0644, 0);
        maker_finish(place->maker);
        fd = maker_open(place->maker, place->maker->size);
        assert_int_equal(layer_unpack(fd, place->root_fd, &options, &place->result, NULL), -ERROR_CANCELLED);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_owner_mode_time),
                TEST(test_digests),
                TEST(test_missing_parents_are_made),
                TEST(test_hardlinks),
                TEST(test_whiteouts),
                TEST(test_whiteout_and_new_folder),
                TEST(test_later_entry_replaces),
                TEST(test_names_that_leave_are_refused),
                TEST(test_absolute_name_stays_inside),
                TEST(test_links_are_followed_inside_only),
                TEST(test_link_is_not_written_through),
                TEST(test_hardlink_out_is_refused),
                TEST(test_devices),
                TEST(test_attributes),
                TEST(test_truncated),
                TEST(test_not_an_archive),
                TEST(test_cancelled),
        };

        if (geteuid() != 0) {
                puts("needs root");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
