/* What every storage has to do. A folder always; elsewhere what BERTH_TEST_LOCATION (as location_parse takes it) names, which
 * tests/cli/test_offsite_storage.py gives it with real servers behind. */
#include <signal.h>

#include "repository/remote/location.h"
#include "repository/remote/s3_client.h"
#include "repository/storage_sealed.h"
#include "sample.h"

static char folder[64];
static Location location;

static Storage *open_storage(void)
{
        Storage *storage;

        assert_ok(location_open(&location, "shop/db/1", &storage, err));
        return storage;
}

static unsigned char *content_of(size_t size)
{
        unsigned char *content = xmalloc(size + 1);

        for (size_t i = 0; i < size; i++)
                content[i] = (unsigned char)(i * 31 + i / 251 + i / 65537);
        return content;
}

static void expect(Storage *storage, const char *key, const void *content, size_t size)
{
        _cleanup_strbuf_ Strbuf found = STRBUF_INIT;

        assert_ok(storage_get(storage, key, size + 1, &found, err));
        assert_int_equal(found.length, size);
        assert_memory_equal(strbuf_text(&found), content, size);
}

static void test_objects_of_all_sizes(void **state)
{
        static const size_t sizes[] = { 1, 70000, 8u << 20, (9u << 20) + 5 };
        _cleanup_(storage_freep) Storage *storage = open_storage();

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                _cleanup_free_ unsigned char *content = content_of(sizes[i]);
                StorageWriter *writer;

                assert_ok(storage->operations->write_begin(storage, "packs/one.pack", &writer, err));
                for (size_t at = 0; at < sizes[i]; at += 1 << 20)
                        assert_ok(storage->operations->write_add(writer, content + at,
                                                                 MIN(sizes[i] - at, (size_t)1 << 20), err));
                assert_ok(storage->operations->write_commit(writer, err));
                expect(storage, "packs/one.pack", content, sizes[i]);
        }
        assert_ok(storage->operations->remove(storage, "packs/one.pack", err));
        assert_false(storage_has(storage, "packs/one.pack"));
        assert_ok(storage->operations->remove(storage, "packs/one.pack", err)); /* absent is fine */
}

static void test_ranges(void **state)
{
        _cleanup_(storage_freep) Storage *storage = open_storage();
        size_t size = 3 << 20;
        _cleanup_free_ unsigned char *content = content_of(size), *found = xmalloc(size);
        static const struct {
                uint64_t offset;
                size_t size;
        } ranges[] = { { 0, 10 },        { 12345, 65536 }, { 1 << 20, 2 << 20 }, { (3 << 20) - 5, 100 },
                       { 3 << 20, 100 }, { 5, 2500000 } };

        assert_ok(storage_put(storage, "a/b", content, size, err));
        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
                size_t got = 4711, expected = MIN(ranges[i].size, size - (size_t)ranges[i].offset);

                assert_ok(
                        storage->operations->read(storage, "a/b", ranges[i].offset, found, ranges[i].size, &got, err));
                assert_int_equal(got, expected);
                assert_memory_equal(found, content + ranges[i].offset, got);
        }
        assert_ok(storage->operations->remove(storage, "a/b", err));
}

static void test_absent(void **state)
{
        _cleanup_(storage_freep) Storage *storage = open_storage();
        _cleanup_storage_list_ StorageList list = { 0 };
        size_t got;
        char byte;

        assert_int_equal(storage->operations->read(storage, "no/such", 0, &byte, 1, &got, NULL), -ERROR_NOT_FOUND);
        assert_ok(storage->operations->list(storage, "nothing", &list, err));
        assert_int_equal(list.entries.length, 0);
}

static void test_nothing_is_seen_before_the_end(void **state)
{
        _cleanup_(storage_freep) Storage *storage = open_storage();
        _cleanup_free_ unsigned char *content = content_of(9 << 20);
        StorageWriter *writer;

        assert_ok(storage_put(storage, "x/replaced", "old", 3, err));
        assert_ok(storage->operations->write_begin(storage, "x/replaced", &writer, err));
        assert_ok(storage->operations->write_add(writer, content, 9 << 20, err));
        expect(storage, "x/replaced", "old", 3);
        storage->operations->write_abort(writer);
        expect(storage, "x/replaced", "old", 3);
        assert_int_equal(sample_count(storage, "x", "", NULL), 1);
        assert_ok(storage_put(storage, "x/replaced", "new one", 7, err));
        expect(storage, "x/replaced", "new one", 7);
        assert_ok(storage->operations->sweep(storage, clock_realtime_ns() - 3600 * NSEC_PER_SEC, err));
        assert_ok(storage->operations->remove(storage, "x/replaced", err));
}

static void test_lists(void **state)
{
        _cleanup_(storage_freep) Storage *storage = open_storage(), *other = NULL;
        _cleanup_storage_list_ StorageList list = { 0 }, below = { 0 };
        static const char *const keys[] = { "backups/20261121T000000Z/backup.json", "packs/a.index", "packs/a.pack",
                                            "wal/00000001.history", "wal/00000001/000000010000000000000001.zst" };
        int64_t now_ns = clock_realtime_ns();

        assert_ok(location_open(&location, "shop/db/12", &other, err)); /* whose name begins the same */
        assert_ok(storage_put(other, "packs/b.pack", "x", 1, err));
        for (size_t i = ARRAY_SIZE(keys); i-- > 0;)
                assert_ok(storage_put(storage, keys[i], "content", i + 1, err));
        assert_ok(storage->operations->list(storage, "", &list, err));
        assert_int_equal(list.entries.length, ARRAY_SIZE(keys));
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                assert_string_equal(list.entries.items[i].key, keys[i]);
                assert_int_equal(list.entries.items[i].size_bytes, i + 1);
                assert_true(llabs(list.entries.items[i].modified_ns - now_ns) < 600 * NSEC_PER_SEC);
        }
        assert_ok(storage->operations->list(storage, "packs", &below, err));
        assert_int_equal(below.entries.length, 2);
        assert_string_equal(below.entries.items[0].key, "packs/a.index");
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                assert_ok(storage->operations->remove(storage, keys[i], err));
        assert_ok(storage->operations->remove(other, "packs/b.pack", err));
}

/* More than a server tells at once. */
static void test_long_lists(void **state)
{
        _cleanup_(storage_freep) Storage *storage = open_storage();
        enum { COUNT = 11 }; /* the location of a test asks for pages of 7 */

        for (int i = 0; i < COUNT; i++) {
                _cleanup_free_ char *key = xasprintf("many/%04d", i);
                assert_ok(storage_put(storage, key, "x", 1, err));
        }
        assert_int_equal(sample_count(storage, "many", "", NULL), COUNT);
        for (int i = 0; i < COUNT; i++) {
                _cleanup_free_ char *key = xasprintf("many/%04d", i);
                assert_ok(storage->operations->remove(storage, key, err));
        }
}

static void test_sealed(void **state)
{
        _cleanup_(backup_key_freep) BackupKey *key = NULL;
        _cleanup_free_ char *path = xasprintf("%s/key.json", folder);
        _cleanup_(storage_freep) Storage *storage = NULL;
        _cleanup_free_ unsigned char *content = content_of(9 << 20);

        assert_ok(backup_key_create(path, "test", &key, err));
        storage = storage_sealed_create(open_storage(), key);
        assert_ok(storage_put(storage, "packs/s.pack", content, 9 << 20, err));
        expect(storage, "packs/s.pack", content, 9 << 20);
        assert_ok(storage->operations->remove(storage, "packs/s.pack", err));
        unlink(path);
}

/* ---- without a server ---- */

static void test_locations(void **state)
{
        static const struct {
                const char *json, *expected; /* NULL: refused */
        } cases[] = {
                { "{\"url\": \"s3://bucket\"}", "bucket||https://s3.us-east-1.amazonaws.com" },
                { "{\"url\": \"s3://bucket/a/b/\", \"region\": \"eu-central-1\"}",
                  "bucket|a/b|https://s3.eu-central-1.amazonaws.com" },
                { "{\"url\": \"s3://b/x\", \"endpoint\": \"http://127.0.0.1:9/\"}", "b|x|http://127.0.0.1:9" },
                { "{\"url\": \"s3://\"}", NULL },
                { "{\"url\": \"s3://b/a b\"}", NULL },
                { "{\"url\": \"s3://b/../c\"}", NULL },
                { "{\"url\": \"s3://b\", \"endpoint\": \"ftp://x\"}", NULL },
                { "{\"url\": \"sftp://me@host:2222/srv/x\"}", "me|host|2222|/srv/x" },
                { "{\"url\": \"sftp://host/srv\"}", "-|host|0|/srv" },
                { "{\"url\": \"sftp://me@[::1]:22/srv\"}", "me|::1|22|/srv" },
                { "{\"url\": \"sftp://-oProxyCommand=x/srv\"}", NULL },
                { "{\"url\": \"sftp://-x@host/srv\"}", NULL },
                { "{\"url\": \"sftp://host\"}", NULL },
                { "{\"url\": \"sftp://host:99999/x\"}", NULL },
                { "{\"url\": \"file:///mnt/x\"}", "/mnt/x" },
                { "{\"url\": \"/mnt/x\"}", "/mnt/x" },
                { "{\"url\": \"relative\"}", NULL },
                { "{\"url\": \"ftp://x/y\"}", NULL },
                { "{}", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                json_t *object = json_loads(cases[i].json, 0, NULL);
                _cleanup_location_ Location found = { 0 };
                _cleanup_free_ char *text = NULL;
                int r = location_parse(object, &found, NULL);

                json_decref(object);
                if (!cases[i].expected) {
                        if (r != -ERROR_INVALID)
                                fail_msg("%s: not refused", cases[i].json);
                        continue;
                }
                assert_int_equal(r, 0);
                if (found.kind == LOCATION_S3)
                        text = xasprintf("%s|%s|%s", found.bucket, found.path, found.endpoint);
                else if (found.kind == LOCATION_SFTP)
                        text = xasprintf("%s|%s|%d|%s", found.user ? found.user : "-", found.host, found.port,
                                         found.path);
                else
                        text = xstrdup(found.path);
                assert_string_equal(text, cases[i].expected);
        }
}

static void test_missing_mount_is_not_made(void **state)
{
        Location missing = { .kind = LOCATION_FOLDER, .path = (char *)"/nonexistent/mount" };
        _cleanup_error_ Error *failure = NULL;
        Storage *storage;

        assert_int_equal(location_open(&missing, "x", &storage, &failure), -ERROR_UNAVAILABLE);
        assert_non_null(failure->hint);
        assert_false(fs_exists("/nonexistent"));
}

static void test_credentials(void **state)
{
        static const struct {
                const char *text;
                int expected;
        } cases[] = {
                { "[default]\naws_access_key_id = A\naws_secret_access_key=B\n", 0 },
                { "A:B\n", 0 },
                { "A\nB\n", 0 },
                { "", -ERROR_INVALID },
                { "A\n", -ERROR_INVALID },
                { "aws_access_key_id = A\n", -ERROR_INVALID },
        };
        _cleanup_free_ char *path = xasprintf("%s/credentials", folder);
        Location s3 = { .kind = LOCATION_S3,
                        .bucket = (char *)"b",
                        .path = (char *)"",
                        .endpoint = (char *)"http://127.0.0.1:9",
                        .region = (char *)"r",
                        .credentials_file = path };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                S3Client *client = NULL;

                assert_ok(fs_write_file(AT_FDCWD, path, cases[i].text, strlen(cases[i].text), 0600, err));
                if (s3_client_create(&s3, &client, NULL) != cases[i].expected)
                        fail_msg("credentials %zu", i);
                s3_client_free(client);
        }
        unlink(path);
}

static void test_xml(void **state)
{
        const char *from =
                "<R><Contents><Key>a%20b</Key><Size>12</Size></Contents><Contents><Key>c&amp;d</Key></Contents></R>";
        _cleanup_free_ char *first = s3_xml_next(&from, "Contents"), *second = s3_xml_next(&from, "Contents"),
                            *none = s3_xml_next(&from, "Contents"), *key = s3_xml_get(first, "Key"),
                            *other = s3_xml_get(second, "Key"), *torn = s3_xml_get("<Key>abc", "Key"),
                            *escaped = s3_escape("a/b c+~é");

        s3_unescape(key);
        assert_string_equal(key, "a b");
        assert_string_equal(other, "c&d");
        assert_null(none);
        assert_null(torn);
        assert_string_equal(escaped, "a%2Fb%20c%2B~%C3%A9");
}

static void read_location(void)
{
        const char *given = getenv("BERTH_TEST_LOCATION");
        json_t *object = given ? json_loads(given, 0, NULL) : json_pack("{s:s}", "url", folder);
        Error *failure = NULL;

        if (location_parse(object, &location, &failure) < 0) {
                fprintf(stderr, "%s\n", failure->message);
                exit(2);
        }
        json_decref(object);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_locations),
                cmocka_unit_test(test_missing_mount_is_not_made),
                cmocka_unit_test(test_credentials),
                cmocka_unit_test(test_xml),
                cmocka_unit_test(test_objects_of_all_sizes),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_absent),
                cmocka_unit_test(test_nothing_is_seen_before_the_end),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_long_lists),
                cmocka_unit_test(test_sealed),
        };
        int failed;

        signal(SIGPIPE, SIG_IGN);
        cmocka_set_test_filter(getenv("BERTH_TEST_ONLY"));
        snprintf(folder, sizeof(folder), "%s/berth-storage-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (!mkdtemp(folder))
                return 2;
        read_location();
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        location_done(&location);
        fs_remove_tree(AT_FDCWD, folder, NULL);
        return failed;
}
