/* Host images of the PostgreSQL packages that this machine has; skipped where it has none, or without root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/store.h"

static char *folder, *major;
static Layout *layout;

static int set_up(void **state)
{
        _cleanup_strv_ char **majors = NULL;
        _cleanup_free_ char *data = NULL, *libexec = NULL, *locale = NULL;

        umask(077); /* root's may be strict: what containers read must be readable all the same */
        folder = xstrdup("/tmp/berth-test-host-XXXXXX");
        assert_non_null(mkdtemp(folder));
        data = path_join(folder, "data");
        libexec = path_join(folder, "libexec");
        setenv("BERTH_DATA_DIR", data, 1);
        setenv("BERTH_LIBEXEC_DIR", libexec, 1);
        layout = layout_create();
        /* A stand-in for the compiled locale, which takes seconds to make. */
        locale = xasprintf("%s/locale-%s/en_US.utf8", libexec, gnu_get_libc_version());
        fs_make_directories(locale, 0755, NULL);
        fs_list_directory(AT_FDCWD, "/usr/lib/postgresql", &majors, NULL);
        major = majors ? xstrdup(majors[0]) : NULL;
        return 0;
}

static int tear_down(void **state)
{
        fs_remove_tree(AT_FDCWD, folder, NULL);
        layout_free(layout);
        free(folder);
        free(major);
        return 0;
}

static Image *find(const char *reference, ImagePolicy policy)
{
        _cleanup_error_ Error *error = NULL;
        Image *image = NULL;

        if (image_find(layout, reference, policy, &image, &error) < 0)
                fail_msg("%s: %s", reference, error->message);
        return image;
}

static void assert_folder(const char *root, const char *name, mode_t mode, uid_t owner)
{
        _cleanup_free_ char *path = path_join(root, name);
        struct stat status;

        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, mode);
        assert_int_equal(status.st_uid, owner);
}

static void test_postgres(void **state)
{
        _cleanup_free_ char *name = NULL, *path = NULL;
        _cleanup_image_ Image *image = NULL, *again = NULL, *by_id = NULL;
        struct stat first, second;

        if (!major || geteuid() != 0)
                skip();
        name = xasprintf("postgres:%s", major);
        image = find(name, IMAGES_AUTO);
        assert_int_equal(image->source, IMAGE_SOURCE_HOST);
        assert_string_equal(image->reference, name);
        assert_non_null(startswith(image->id, "sha256:"));
        assert_non_null(startswith(image->libc, "glibc "));
        assert_int_equal(strv_length(image->layers), 1);
        assert_string_equal(image->config.entrypoint[0], "docker-entrypoint.sh");
        assert_string_equal(image->config.command[0], "postgres");
        assert_string_equal(image->config.stop_signal, "SIGINT");
        assert_string_equal(image->config.exposed_ports[0], "5432/tcp");
        assert_string_equal(strv_env_get(image->config.environment, "PG_MAJOR"), major);
        assert_string_equal(image->binds[0].target, "/usr/bin");
        assert_true(image->binds[0].read_only && image->binds[0].nosuid);
        assert_folder(image->layers[0], "tmp", 01777, 0);
        assert_folder(image->layers[0], "etc/passwd", 0644, 0);
        assert_folder(image->layers[0], "etc/pam.d", 0755, 0);
        assert_folder(image->layers[0], "etc/ssl/certs", 0755, 0);
        assert_folder(image->layers[0], "usr/local/bin/docker-entrypoint.sh", 0755, 0);
        assert_folder(image->layers[0], "run/postgresql", 03777, 999);
        assert_folder(image->layers[0], "docker-entrypoint-initdb.d", 0755, 0);

        /* The second time nothing is made. */
        assert_int_equal(stat(image->layers[0], &first), 0);
        again = find(name, IMAGES_HOST);
        assert_string_equal(again->id, image->id);
        assert_int_equal(stat(again->layers[0], &second), 0);
        assert_int_equal(first.st_ino, second.st_ino);
        by_id = find(image->id, IMAGES_AUTO);
        assert_string_equal(by_id->id, image->id);
}

/* The folder of our programs, the locale among them, may be another one the next time: installed, or moved. */
static void test_programs_moved(void **state)
{
        _cleanup_free_ char *name = NULL, *other = path_join(folder, "other"), *locale = NULL;
        _cleanup_(layout_freep) Layout *moved = NULL;
        _cleanup_image_ Image *image = NULL;
        bool found = false;

        if (!major || geteuid() != 0 || fs_exists("/usr/lib/locale/en_US.utf8") ||
            fs_exists("/usr/lib/locale/locale-archive"))
                skip();
        name = xasprintf("postgres:%s", major);
        locale = xasprintf("%s/locale-%s/en_US.utf8", other, gnu_get_libc_version());
        fs_make_directories(locale, 0755, NULL);
        setenv("BERTH_LIBEXEC_DIR", other, 1);
        moved = layout_create();
        assert_int_equal(image_find(moved, name, IMAGES_AUTO, &image, NULL), 0);
        for (size_t i = 0; i < image->n_binds; i++)
                if (streq(image->binds[i].target, "/usr/lib/locale"))
                        found = startswith(image->binds[i].source, other) != NULL;
        assert_true(found);
}

static void test_variants_only_when_asked_for(void **state)
{
        _cleanup_free_ char *name = NULL;
        _cleanup_image_ Image *image = NULL;

        if (!major || geteuid() != 0)
                skip();
        name = xasprintf("postgres:%s-alpine", major);
        assert_int_equal(image_find(layout, name, IMAGES_AUTO, &image, NULL), -ERROR_NOT_FOUND);
        image = find(name, IMAGES_HOST);
        assert_int_equal(image->source, IMAGE_SOURCE_HOST);
}

static void test_registry_policy_takes_no_host_image(void **state)
{
        _cleanup_free_ char *name = xasprintf("postgres:%s", major ? major : "15");
        Image *image = NULL;

        assert_int_equal(image_find(layout, name, IMAGES_REGISTRY, &image, NULL), -ERROR_NOT_FOUND);
}

static void test_missing_major_names_those_there_are(void **state)
{
        _cleanup_error_ Error *error = NULL;
        Image *image = NULL;

        if (!major)
                skip();
        assert_int_equal(image_find(layout, "postgres:9", IMAGES_AUTO, &image, &error), -ERROR_NOT_FOUND);
        assert_non_null(strstr(error->message, major));
        assert_non_null(strstr(error->hint, "postgresql-9"));
}

static void test_list(void **state)
{
        Image **images = NULL;
        size_t length = 0;

        if (!major || geteuid() != 0)
                skip();
        assert_int_equal(image_list(layout, &images, &length, NULL), 0);
        assert_int_equal(length, 1);
        assert_non_null(strstr(images[0]->names[0], "library/postgres:"));
        image_list_free(images, length);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_registry_policy_takes_no_host_image),
                cmocka_unit_test(test_missing_major_names_those_there_are),
                cmocka_unit_test(test_postgres),
                cmocka_unit_test(test_programs_moved),
                cmocka_unit_test(test_variants_only_when_asked_for),
                cmocka_unit_test(test_list),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
