
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "postgres/backup_manifest.h"

/* As servers of 17 write it; the last line is added with the checksum of all before. */
static const char lines[] =
        "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
        "\"System-Identifier\": 7412345678901234567,\n"
        "\"Files\": [\n"
        "{ \"Path\": \"base/5/INCREMENTAL.16384\", \"Size\": 12, \"Last-Modified\": \"2026-11-21 15:30:12 GMT\", "
        "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"01020304\" },\n"
        "{ \"Encoded-Path\": \"62617365ff\", \"Size\": 3, \"Last-Modified\": \"2026-11-21 15:30:12 GMT\", "
        "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"aabbccdd\" }\n"
        "],\n"
        "\"WAL-Ranges\": [\n"
        "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000120\" }\n"
        "],\n";

static char *sealed(const char *text)
{
        _cleanup_free_ char *digits = sha256_hex(text, strlen(text));

        return xasprintf("%s\"Manifest-Checksum\": \"%s\"}\n", text, digits);
}

static void test_a_rewritten_manifest_is_one(void **state)
{
        _cleanup_free_ char *text = sealed(lines);
        _cleanup_strbuf_ Strbuf rewritten = STRBUF_INIT;
        _cleanup_strmap_ Strmap files = STRMAP_INIT;
        ManifestChanges changes = { 0 };
        const ManifestFile *file;

        vector_add(&changes.files,
                   (ManifestChange){ "base/5/INCREMENTAL.16384", "base/5/16384", { 81920, 0xdeadbeef } });
        assert_int_equal(backup_manifest_rewrite(text, strlen(text), &changes, &rewritten, NULL), 0);
        vector_done(&changes.files);
        assert_int_equal(backup_manifest_parse(strbuf_text(&rewritten), rewritten.length, &files, NULL), 0);
        assert_int_equal(files.length, 2);
        file = strmap_get(&files, "base/5/16384");
        assert_non_null(file);
        assert_int_equal(file->size_bytes, 81920);
        assert_int_equal(file->crc32c, 0xdeadbeef);
        file = strmap_get(&files, "base\xff");
        assert_non_null(file);
        assert_int_equal(file->crc32c, 0xddccbbaa);
        /* What a later incremental backup refers to. */
        assert_non_null(strstr(strbuf_text(&rewritten), "\"Start-LSN\":\"0/2000028\""));
        assert_non_null(strstr(strbuf_text(&rewritten), "7412345678901234567"));
}

static void test_one_of_our_own(void **state)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strmap_ Strmap files = STRMAP_INIT;
        const ManifestFile *file;

        backup_manifest_begin(&text, 170004, 7412345678901234567);
        backup_manifest_add(&text, true, "base/5/16384", &(ManifestFile){ 8192, 0x01020304 }, 1795274412);
        backup_manifest_add(&text, false, "a\"b\xff", &(ManifestFile){ 0, 0 }, 0);
        backup_manifest_end(&text, 3, 0x2000028, 0x2000120);
        assert_int_equal(backup_manifest_parse(strbuf_text(&text), text.length, &files, NULL), 0);
        assert_int_equal(files.length, 2);
        file = strmap_get(&files, "base/5/16384");
        assert_non_null(file);
        assert_int_equal(file->size_bytes, 8192);
        assert_int_equal(file->crc32c, 0x01020304);
        assert_non_null(strmap_get(&files, "a\"b\xff"));
        assert_non_null(
                strstr(strbuf_text(&text),
                       "\"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7412345678901234567,"));
        assert_non_null(strstr(strbuf_text(&text), "\"Checksum\": \"04030201\""));
        assert_non_null(strstr(strbuf_text(&text),
                               "{ \"Timeline\": 3, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000120\" }"));
}

static void test_damage_is_told(void **state)
{
        _cleanup_free_ char *text = sealed(lines);
        size_t size = strlen(text);

        for (size_t at = 0; at < size; at += 17) {
                _cleanup_strmap_ Strmap files = STRMAP_INIT;
                char kept = text[at];

                text[at] = kept == 'x' ? 'y' : 'x';
                assert_int_equal(backup_manifest_parse(text, size, &files, NULL), -ERROR_CORRUPT);
                text[at] = kept;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_rewritten_manifest_is_one),
                cmocka_unit_test(test_one_of_our_own),
                cmocka_unit_test(test_damage_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
