/* Volumes, binds, tmpfs, secrets and configs in containers, and the trash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/volume.h"
#include "local_setup.h"
#include "state/document.h"

#define OPS (setup.engine->operations)

static char *in_folder(const char *name)
{
        return path_join(setup.folder, name);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
        assert_true(fs_write_file(AT_FDCWD, path, text, strlen(text), mode, NULL) >= 0);
}

static void test_volume_takes_the_images_content(void **state)
{
        ContainerSpec *spec = local_spec("copy-up", "stat -c '%U %a' /var/lib/postgresql/data; ls /etc/alternatives | "
                                                    "head -1 >/dev/null; ls /etc | grep passwd; "
                                                    "echo more > /etc/new");
        _cleanup_free_ char *id = NULL, *text = NULL;
        VolumeInfo *info = NULL;

        local_add_mount(spec, SPEC_MOUNT_VOLUME, "vol-data", "/var/lib/postgresql/data");
        local_add_mount(spec, SPEC_MOUNT_VOLUME, "vol-etc", "/etc");
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_string_equal(text, "postgres 1777\npasswd\n");
        local_end(id);
        assert_true(OPS->volume_inspect(setup.engine, "vol-etc", true, &info, NULL) >= 0);
        assert_true(info->used_ns > 0 && info->size_bytes > 0);
        assert_null(info->used_by);
        assert_ptr_equal(strstr(info->written_by, setup.image), info->written_by);
        volume_info_free(info);

        /* Not again: what the container wrote stays, what it removed stays away. */
        free_and_replace(&text, in_folder("data/volumes/vol-etc/_data/passwd"));
        assert_int_equal(unlink(text), 0);
        spec = local_spec("copy-up", "cat /mnt/new; ls /mnt/passwd");
        local_add_mount(spec, SPEC_MOUNT_VOLUME, "vol-etc", "/mnt");
        free_and_replace(&id, local_start(spec));
        assert_int_not_equal(local_wait(id), 0);
        free_and_replace(&text, local_log(id));
        assert_non_null(strstr(text, "more\n"));
        local_end(id);
        assert_true(OPS->volume_remove(setup.engine, "vol-etc", true, NULL) >= 0);
        assert_true(OPS->volume_remove(setup.engine, "vol-data", true, NULL) >= 0);
}

static void test_trash(void **state)
{
        VolumeSpec volume = { .name = (char *)"precious" };
        _cleanup_free_ char *file = in_folder("data/volumes/precious/_data/row"), *trash = in_folder("data/trash");
        VolumeInfo **infos = NULL;
        size_t length = 0;
        uint64_t freed;

        assert_true(OPS->volume_create(setup.engine, &volume, NULL) >= 0);
        write_text(file, "1", 0600);
        assert_true(OPS->volume_remove(setup.engine, "precious", false, NULL) >= 0);
        assert_int_equal(OPS->volume_inspect(setup.engine, "precious", false, &(VolumeInfo *){ NULL }, NULL),
                         -ERROR_NOT_FOUND);
        assert_true(volume_trash_list(setup.layout, &infos, &length, NULL) >= 0);
        assert_int_equal(length, 1);
        assert_string_equal(infos[0]->name, "precious");
        assert_true(infos[0]->in_trash);
        volume_info_free(infos[0]);
        free(infos);
        assert_true(volume_trash_empty(setup.layout, TRASH_KEPT_NS, &freed, NULL) >= 0); /* too young */
        assert_true(volume_restore(setup.layout, "precious", NULL) >= 0);
        assert_true(fs_exists(file));
        assert_int_equal(volume_restore(setup.layout, "precious", NULL), -ERROR_NOT_FOUND);
        assert_true(OPS->volume_remove(setup.engine, "precious", false, NULL) >= 0);
        assert_true(OPS->volume_create(setup.engine, &volume, NULL) >= 0);
        assert_int_equal(volume_restore(setup.layout, "precious", NULL), -ERROR_EXISTS);
        assert_true(volume_trash_empty(setup.layout, 0, &freed, NULL) >= 0);
        assert_true(freed > 0);
        assert_int_equal(rmdir(trash), 0);
        assert_true(OPS->volume_remove(setup.engine, "precious", true, NULL) >= 0);
}

/* due.json says that what was found old was found so one day of running earlier. */
static void let_a_day_of_running_pass(const char *file)
{
        _cleanup_json_ json_t *document = NULL;
        int64_t monotonic_ns;

        assert_true(document_load(file, 1, &document, NULL) >= 0);
        monotonic_ns = json_get_int(document, "monotonic_ns", 0) - INT64_C(86400000000000);
        json_object_set_new(document, "monotonic_ns", json_integer(monotonic_ns));
        assert_true(document_save(file, 1, document, NULL) >= 0);
}

static void test_trash_outlives_a_leap_of_the_clock(void **state)
{
        VolumeSpec volume = { .name = (char *)"leap" };
        _cleanup_free_ char *old = in_folder("data/trash/1700000000000000000-leap"),
                            *due = in_folder("data/trash/due.json");
        _cleanup_free_ char *trash = in_folder("data/trash"), *made = in_folder("data/volumes/leap");
        VolumeInfo **infos = NULL;
        size_t length = 0;

        assert_true(OPS->volume_create(setup.engine, &volume, NULL) >= 0);
        assert_true(fs_make_directories(trash, 0700, NULL) >= 0);
        assert_int_equal(rename(made, old), 0); /* removed years ago, as the clock has it now */
        for (int i = 0; i < 3; i++)
                assert_true(volume_trash_empty(setup.layout, TRASH_KEPT_NS, NULL, NULL) >= 0);
        assert_true(fs_exists(old));
        assert_true(volume_trash_list(setup.layout, &infos, &length, NULL) >= 0);
        assert_int_equal(length, 1);
        volume_info_free(infos[0]);
        free(infos);

        let_a_day_of_running_pass(due);
        assert_true(volume_trash_empty(setup.layout, INT64_MAX, NULL, NULL) >=
                    0); /* the clock is right again: it is young */
        assert_false(fs_exists(due));
        assert_true(volume_trash_empty(setup.layout, TRASH_KEPT_NS, NULL, NULL) >= 0);
        assert_true(fs_exists(old)); /* what was seen before does not count any more */
        let_a_day_of_running_pass(due);
        assert_true(volume_trash_empty(setup.layout, TRASH_KEPT_NS, NULL, NULL) >= 0);
        assert_false(fs_exists(old));
        assert_int_equal(rmdir(trash), 0);
}

static void test_names_stay_inside(void **state)
{
        static const char *const names[] = { "..", "a/b", "/etc", "", ".hidden", "-x", "a b" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                VolumeSpec volume = { .name = (char *)names[i] };
                assert_int_equal(OPS->volume_create(setup.engine, &volume, NULL), -ERROR_INVALID);
                assert_int_equal(volume_remove(setup.layout, names[i], true, NULL), -ERROR_INVALID);
        }
}

static void test_binds(void **state)
{
        _cleanup_free_ char *source = in_folder("bound"), *file = in_folder("bound/file"),
                            *made = in_folder("made/deep"), *id = NULL, *text = NULL;
        ContainerSpec *spec = local_spec(
                "binds",
                "cat /in/file; touch /in/x 2>&1; touch /made/y && echo made; cat /in/link/passwd 2>&1 | head -1");
        _cleanup_error_ Error *error = NULL;
        char *none = NULL;

        assert_true(fs_make_directories(source, 0755, NULL) >= 0);
        write_text(file, "hello\n", 0644);
        local_add_mount(spec, SPEC_MOUNT_BIND, source, "/in")->read_only = true;
        local_add_mount(spec, SPEC_MOUNT_BIND, made, "/made")->create_host_path = true;
        id = local_start(spec);
        local_wait(id);
        text = local_log(id);
        assert_non_null(strstr(text, "hello\n"));
        assert_non_null(strstr(text, "Read-only file system"));
        assert_non_null(strstr(text, "made\n"));
        free_and_replace(&text, in_folder("made/deep/y"));
        assert_true(fs_exists(text));
        local_end(id);
        spec = local_spec("no-bind", "true");
        local_add_mount(spec, SPEC_MOUNT_BIND, "/no/such/folder", "/in");
        assert_true(OPS->container_create(setup.engine, spec, NULL, &none, NULL) >= 0);
        assert_int_equal(OPS->container_start(setup.engine, none, NULL, &error), -ERROR_NOT_FOUND);
        assert_non_null(strstr(error->message, "bind mount \"/no/such/folder\" at /in"));
        local_end(none);
        free(none);
        container_spec_free(spec);
}

/* A link in the volume must not make a mount land outside the container's root. */
static void test_hostile_links(void **state)
{
        _cleanup_free_ char *source = in_folder("evil"), *link = in_folder("evil/out"), *target = in_folder("target"),
                            *id = NULL, *text = NULL;
        ContainerSpec *spec = local_spec("links", "ls -d /v/out; echo alive");

        assert_true(fs_make_directories(source, 0755, NULL) >= 0 && fs_make_directories(target, 0755, NULL) >= 0);
        assert_int_equal(symlink(target, link), 0);
        local_add_mount(spec, SPEC_MOUNT_BIND, source, "/v");
        local_add_mount(spec, SPEC_MOUNT_TMPFS, NULL, "/v/out/mounted");
        id = local_start(spec);
        local_wait(id);
        text = local_log(id);
        assert_non_null(strstr(text, "alive"));
        free_and_replace(&text, path_join(target, "mounted"));
        assert_false(fs_exists(text));
        local_end(id);
}

static void test_anonymous_volumes_go_with_their_container(void **state)
{
        ContainerSpec *spec = local_spec("anonymous", "echo x > /a/file");
        _cleanup_free_ char *id = NULL, *trash = in_folder("data/trash");
        VolumeInfo *info = NULL;
        uint64_t freed;

        local_add_mount(spec, SPEC_MOUNT_VOLUME, "0123abcd", "/a")->anonymous = true;
        id = local_start(spec);
        local_wait(id);
        assert_true(OPS->volume_inspect(setup.engine, "0123abcd", false, &info, NULL) >= 0);
        assert_true(info->anonymous);
        assert_string_equal(info->used_by[0], "anonymous");
        volume_info_free(info);
        local_end(id);
        assert_int_equal(OPS->volume_inspect(setup.engine, "0123abcd", false, &info, NULL), -ERROR_NOT_FOUND);
        assert_true(volume_trash_empty(setup.layout, 0, &freed, NULL) >= 0);
        assert_true(freed > 0); /* it had content: that went to the trash */
}

static void test_secrets(void **state)
{
        _cleanup_free_ char *host = in_folder("secret.txt"), *config = in_folder("app.conf"), *id = NULL, *text = NULL,
                            *copies = NULL;
        ContainerSpec *spec = local_spec("secrets", "stat -c '%n %u %g %a' /run/secrets/*; cat /run/secrets/*; cat "
                                                    "/etc/app.conf; stat -f -c %T /run/secrets/a");
        char content[] = "from-environment\n"; /* wiped with the specification */
        SpecFile files[] = {
                { .target = (char *)"/run/secrets/a",
                  .host_path = host,
                  .uid = 999,
                  .gid = 999,
                  .mode = 0400,
                  .secret = true,
                  .in_memory = true },
                { .target = (char *)"/run/secrets/b",
                  .content = content,
                  .content_size = 17,
                  .uid = -1,
                  .gid = -1,
                  .mode = -1,
                  .secret = true,
                  .in_memory = true },
                { .target = (char *)"/etc/app.conf", .host_path = config, .uid = -1, .gid = -1, .mode = -1 },
        };
        _cleanup_strbuf_ Strbuf record = STRBUF_INIT;

        write_text(host, "from-file\n", 0600);
        write_text(config, "key = value\n", 0644);
        spec->files = files;
        spec->n_files = ARRAY_SIZE(files);
        spec->project = arena_strdup(spec->arena, "secretive");
        id = local_start(spec);
        assert_int_equal(local_wait(id), 0);
        text = local_log(id);
        assert_string_equal(text, "/run/secrets/a 999 999 400\n/run/secrets/b 0 0 "
                                  "444\nfrom-file\nfrom-environment\nkey = value\ntmpfs\n");
        /* Once more, by an engine that does not know the content any more, as after the keeper's death. */
        assert_true(OPS->container_start(setup.engine, id, NULL, NULL) >= 0);
        assert_int_equal(local_wait(id), 0);
        copies = xasprintf("%s/data/projects/secretive/containers/%s/container.json", setup.folder, id);
        assert_true(fs_read_file(AT_FDCWD, copies, 1 << 20, &record, NULL) >= 0);
        assert_null(strstr(record.data, "from-environment"));
        local_end(id);
        free_and_replace(&copies, in_folder("run/projects/secretive/secrets"));
        assert_false(fs_exists(copies));
}

static void test_tmpfs(void **state)
{
        ContainerSpec *spec = local_spec(
                "tmpfs", "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'; mount | grep ' /t ' | grep -o noexec");
        _cleanup_free_ char *id = NULL, *text = NULL;
        SpecMount *mount = local_add_mount(spec, SPEC_MOUNT_TMPFS, NULL, "/t");

        mount->tmpfs_size = 2 << 20;
        mount->tmpfs_mode = 0750;
        id = local_start(spec);
        local_wait(id);
        text = local_log(id);
        assert_string_equal(text, "750\n2048\nnoexec\n");
        local_end(id);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_volume_takes_the_images_content),
                cmocka_unit_test(test_trash),
                cmocka_unit_test(test_trash_outlives_a_leap_of_the_clock),
                cmocka_unit_test(test_names_stay_inside),
                cmocka_unit_test(test_binds),
                cmocka_unit_test(test_hostile_links),
                cmocka_unit_test(test_anonymous_volumes_go_with_their_container),
                cmocka_unit_test(test_secrets),
                cmocka_unit_test(test_tmpfs),
        };
        int r = local_setup_open();

        if (r != 0)
                return r;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        local_setup_close();
        return r;
}
