#include "repository/storage_sealed.h"
#include "repository/verify.h"
#include "sample.h"

#define FRAME  SEALED_FRAME_BYTES
#define STORED (SEALED_FRAME_BYTES + SEALED_TAG_BYTES)

typedef struct Fixture {
        Sample sample;
        char *path; /* of the folder behind */
        BackupKey *key, *other;
        Storage *inner, *sealed, *wrong;
} Fixture;

static BackupKey *make_key(const Fixture *fixture, const char *name)
{
        _cleanup_free_ char *path = xasprintf("%s/keys/%s.json", fixture->sample.folder, name);
        BackupKey *key;

        assert_ok(backup_key_create(path, name, &key, err));
        return key;
}

static void fixture_begin(Fixture *fixture)
{
        Storage *again;

        sample_begin(&fixture->sample);
        fixture->path = path_join(fixture->sample.folder, "elsewhere");
        fixture->key = make_key(fixture, "shop");
        fixture->other = make_key(fixture, "other");
        assert_ok(storage_folder_create(fixture->path, &fixture->inner, err));
        fixture->sealed = storage_sealed_create(fixture->inner, fixture->key);
        assert_ok(storage_folder_create(fixture->path, &again, err));
        fixture->wrong = storage_sealed_create(again, fixture->other);
}

static void fixture_end(Fixture *fixture)
{
        storage_free(fixture->sealed);
        storage_free(fixture->wrong);
        backup_key_free(fixture->key);
        backup_key_free(fixture->other);
        free(fixture->path);
        sample_end(&fixture->sample);
}
#define _cleanup_fixture_ _cleanup_(fixture_end)

static unsigned char *content_of(size_t size)
{
        unsigned char *content = xmalloc(size + 1);

        for (size_t i = 0; i < size; i++)
                content[i] = (unsigned char)(i * 31 + i / 251);
        return content;
}

static void expect_range(Storage *storage, const unsigned char *content, size_t total, uint64_t offset, size_t size)
{
        _cleanup_free_ unsigned char *found = xmalloc(size + 1);
        size_t got, expected = offset < total ? MIN(size, total - (size_t)offset) : 0;

        assert_ok(storage->operations->read(storage, "a/b", offset, found, size, &got, err));
        assert_int_equal(got, expected);
        assert_memory_equal(found, content + offset, got);
}

static void test_sizes_and_ranges(void **state)
{
        static const size_t sizes[] = { 0, 1, 1000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 77 };
        _cleanup_fixture_ Fixture fixture = { 0 };

        fixture_begin(&fixture);
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                size_t size = sizes[i];
                _cleanup_free_ unsigned char *content = content_of(size);
                _cleanup_storage_list_ StorageList list = { 0 };

                assert_ok(storage_put(fixture.sealed, "a/b", content, size, err)); /* replaces the one before */
                expect_range(fixture.sealed, content, size, 0, 4 * FRAME);
                expect_range(fixture.sealed, content, size, 0, size);
                if (size > FRAME) {
                        expect_range(fixture.sealed, content, size, FRAME - 5, 10);
                        expect_range(fixture.sealed, content, size, FRAME, 1);
                        expect_range(fixture.sealed, content, size, size - 1, 100);
                }
                assert_ok(fixture.sealed->operations->list(fixture.sealed, "", &list, err));
                assert_int_equal(list.entries.length, 1);
                assert_int_equal(list.entries.items[0].size_bytes, size);
        }
}

static void test_nothing_readable_lies_there(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        _cleanup_strbuf_ Strbuf first = STRBUF_INIT, second = STRBUF_INIT;
        static const char secret[] = "a text that must not be seen by anybody";

        fixture_begin(&fixture);
        assert_ok(storage_put(fixture.sealed, "a", secret, sizeof(secret), err));
        assert_ok(storage_put(fixture.sealed, "b", secret, sizeof(secret), err));
        assert_ok(storage_get(fixture.inner, "a", 4096, &first, err));
        assert_ok(storage_get(fixture.inner, "b", 4096, &second, err));
        assert_null(memmem(first.data, first.length, "must not", 8));
        assert_int_equal(first.length, SEALED_HEADER_BYTES + sizeof(secret) + SEALED_TAG_BYTES);
        /* The same content twice shows nowhere. */
        assert_memory_not_equal(first.data + SEALED_HEADER_BYTES, second.data + SEALED_HEADER_BYTES, sizeof(secret));
}

static int read_all(Storage *storage, const char *key, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return storage_get(storage, key, 64 << 20, &text, err);
}

static void test_wrong_key_is_told_from_damage(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        _cleanup_error_ Error *failure = NULL;

        fixture_begin(&fixture);
        assert_ok(storage_put(fixture.sealed, "a/b", "x", 1, err));
        assert_int_equal(read_all(fixture.wrong, "a/b", &failure), -ERROR_DENIED);
        assert_non_null(strstr(failure->message, fixture.key->id_text));
        assert_non_null(strstr(failure->message, fixture.other->id_text));
}

static Storage *open_folder(const Fixture *fixture)
{
        Storage *storage;

        assert_ok(storage_folder_create(fixture->path, &storage, err));
        return storage;
}

/* Every byte counts, and so does every length. */
static void test_any_change_is_found(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        size_t size = 2 * FRAME + 100, stored = SEALED_HEADER_BYTES + 2 * STORED + 100 + SEALED_TAG_BYTES;
        _cleanup_free_ unsigned char *content = content_of(size);
        const size_t flips[] = {
                3, 30, SEALED_HEADER_BYTES, SEALED_HEADER_BYTES + STORED - 1, SEALED_HEADER_BYTES + STORED, stored - 1
        };
        const size_t cuts[] = { 0,
                                10,
                                SEALED_HEADER_BYTES,
                                SEALED_HEADER_BYTES + 5,
                                SEALED_HEADER_BYTES + STORED,
                                SEALED_HEADER_BYTES + 2 * STORED,
                                SEALED_HEADER_BYTES + 2 * STORED + 50,
                                stored - 1 };

        fixture_begin(&fixture);
        free_and_replace(&fixture.sample.repository->path, xstrdup(fixture.path));
        for (size_t i = 0; i < ARRAY_SIZE(flips) + ARRAY_SIZE(cuts); i++) {
                bool flip = i < ARRAY_SIZE(flips);

                assert_ok(storage_put(fixture.sealed, "a/b", content, size, err));
                assert_ok(read_all(fixture.sealed, "a/b", err));
                sample_damage(&fixture.sample, "a/b", flip ? -1 : (off_t)cuts[i - ARRAY_SIZE(flips)],
                              flip ? (off_t)flips[i] : -1);
                storage_free(fixture.sealed); /* which knows its header */
                fixture.inner = open_folder(&fixture);
                fixture.sealed = storage_sealed_create(fixture.inner, fixture.key);
                assert_int_equal(read_all(fixture.sealed, "a/b", NULL), -ERROR_CORRUPT);
        }
}

static void test_objects_cannot_be_exchanged(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        _cleanup_free_ char *from = NULL, *to = NULL;

        fixture_begin(&fixture);
        assert_ok(storage_put(fixture.sealed, "a", "one", 3, err));
        from = path_join(fixture.path, "a");
        to = path_join(fixture.path, "b");
        assert_int_equal(link(from, to), 0);
        assert_int_equal(read_all(fixture.sealed, "b", NULL), -ERROR_CORRUPT);
}

static void test_key_files(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        _cleanup_(backup_key_freep) BackupKey *loaded = NULL, *again = NULL;
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_strbuf_ Strbuf file = STRBUF_INIT;
        struct stat status;

        fixture_begin(&fixture);
        path = xasprintf("%s/keys/shop.json", fixture.sample.folder);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        assert_int_equal(backup_key_create(path, "shop", &again, NULL), -ERROR_EXISTS);
        assert_ok(backup_key_load(path, &loaded, err));
        assert_memory_equal(loaded->bytes, fixture.key->bytes, BACKUP_KEY_SIZE);
        assert_string_equal(loaded->id_text, fixture.key->id_text);
        assert_string_equal(loaded->name, "shop");
        assert_int_equal(chmod(path, 0640), 0);
        assert_int_equal(backup_key_load(path, &again, NULL), -ERROR_INVALID);
        assert_int_equal(chmod(path, 0600), 0);
        /* A digit of the key that was lost in copying. */
        assert_ok(fs_read_file(AT_FDCWD, path, 4096, &file, err));
        text = strstr(file.data, "\"key\": \"") + 8;
        *text = *text == '0' ? '1' : '0';
        text = NULL;
        assert_ok(fs_write_file(AT_FDCWD, path, file.data, file.length, 0600, err));
        assert_int_equal(backup_key_load(path, &again, NULL), -ERROR_CORRUPT);
}

static void test_repository_names_its_key(void **state)
{
        _cleanup_fixture_ Fixture fixture = { 0 };
        _cleanup_(repository_freep) Repository *opened = NULL, *refused = NULL;
        _cleanup_error_ Error *none = NULL, *wrong = NULL;

        fixture_begin(&fixture);
        assert_int_equal(repository_open_elsewhere(open_folder(&fixture), fixture.key, &opened, NULL),
                         -ERROR_NOT_FOUND);
        assert_ok(repository_begin_elsewhere(fixture.inner, fixture.key, fixture.sample.repository, err));
        assert_ok(repository_open_elsewhere(open_folder(&fixture), fixture.key, &opened, err));
        assert_true(opened->system_identifier == fixture.sample.repository->system_identifier);
        assert_string_equal(opened->service, "db");
        assert_string_equal(opened->storage->operations->name, "sealed");
        assert_int_equal(repository_open_elsewhere(open_folder(&fixture), NULL, &refused, &none), -ERROR_DENIED);
        assert_int_equal(repository_open_elsewhere(open_folder(&fixture), fixture.other, &refused, &wrong),
                         -ERROR_DENIED);
        assert_non_null(strstr(wrong->message, fixture.key->id_text));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sizes_and_ranges),
                cmocka_unit_test(test_nothing_readable_lies_there),
                cmocka_unit_test(test_wrong_key_is_told_from_damage),
                cmocka_unit_test(test_any_change_is_found),
                cmocka_unit_test(test_objects_cannot_be_exchanged),
                cmocka_unit_test(test_key_files),
                cmocka_unit_test(test_repository_names_its_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
