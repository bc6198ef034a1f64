#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/crc32c.h"
#include "postgres/data_files.h"
#include "postgres/page.h"

static void test_folders(void **state)
{
        assert_int_equal(data_folder_kind("pg_wal"), DATA_FOLDER_WAL);
        assert_int_equal(data_folder_kind("pg_tblspc"), DATA_FOLDER_TABLESPACES);
        assert_int_equal(data_folder_kind("pg_replslot"), DATA_FOLDER_EMPTY);
        assert_int_equal(data_folder_kind("pg_stat"), DATA_FOLDER_PLAIN);
        assert_int_equal(data_folder_kind("mine/pg_wal"), DATA_FOLDER_PLAIN);
        assert_true(data_folder_has_relations("global"));
        assert_true(data_folder_has_relations("base/16384"));
        assert_true(data_folder_has_relations("pg_tblspc/16400/PG_15_202209061/5"));
        assert_false(data_folder_has_relations("base"));
        assert_false(data_folder_has_relations("base/pgsql_tmp"));
        assert_false(data_folder_has_relations("pg_tblspc/16400/PG_15_202209061"));
        assert_false(data_folder_has_relations("pg_tblspc/16400"));
        assert_false(data_folder_has_relations("pg_xact"));
}

static void test_left_out(void **state)
{
        assert_true(data_file_is_left_out("postmaster.pid"));
        assert_true(data_file_is_left_out("pg_internal.init.4711"));
        assert_true(data_file_is_left_out("pgsql_tmp"));
        assert_true(data_file_is_left_out("pgsql_tmp12.0"));
        assert_false(data_file_is_left_out("postgresql.auto.conf"));
        assert_false(data_file_is_left_out("PG_VERSION"));
}

static void test_relations(void **state)
{
        RelationFile file;

        assert_true(relation_file_parse("16384", &file));
        assert_int_equal(file.number, 16384);
        assert_int_equal(file.fork, FORK_MAIN);
        assert_true(relation_file_parse("16384_fsm.2", &file));
        assert_int_equal(file.fork, FORK_FSM);
        assert_int_equal(file.segment, 2);
        assert_true(relation_file_parse("16384_init", &file));
        assert_int_equal(file.fork, FORK_INIT);
        assert_true(relation_file_parse("t3_16384_vm", &file));
        assert_true(file.temporary);
        assert_int_equal(file.fork, FORK_VM);
        assert_false(relation_file_parse("pg_filenode.map", &file));
        assert_false(relation_file_parse("PG_VERSION", &file));
        assert_false(relation_file_parse("16384x", &file));
        assert_false(relation_file_parse("16384.", &file));
        assert_false(relation_file_parse("16384_", &file));
        assert_false(relation_file_parse("99999999999", &file));
        assert_false(relation_file_parse("t3", &file));
        assert_false(relation_file_parse("", &file));
}

/* Bit by bit, for comparison. */
static uint32_t slow_crc(const unsigned char *bytes, size_t size)
{
        uint32_t crc = UINT32_MAX;

        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        }
        return ~crc;
}

static void test_crc_of_any_length(void **state)
{
        static const size_t sizes[] = { 0, 1, 7, 8, 8191, 32759, 32760, 32761, 65520, 65536, 70001 };
        static unsigned char data[70001];
        uint32_t crcs[32];

        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (unsigned char)(i * 2654435761u >> 13);
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
                assert_int_equal(crc32c(data, sizes[i]), slow_crc(data, sizes[i]));
        assert_int_equal(crc32c_add(crc32c(data, 11), data + 11, 69990), slow_crc(data, 70001));
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                for (size_t at = 0, n = 0; at < sizes[i]; at += 4096, n++)
                        crcs[n] = crc32c(data + at, MIN(sizes[i] - at, (size_t)4096));
                assert_int_equal(crc32c_join_pieces(crcs, sizes[i], 4096), slow_crc(data, sizes[i]));
        }
}

static void test_pages(void **state)
{
        static char pages[PAGE_SIZE_BYTES + 1];
        char *page = pages + 1; /* anywhere in memory */

        assert_true(page_is_sound(page, 7, 1000)); /* never used */
        page[5000] = 1;
        assert_false(page_is_sound(page, 7, 1000));
        page[15] = 32; /* pd_upper */
        page[4] = 100; /* the LSN's lower half */
        page_store_checksum(page, page_checksum(page, 7));
        assert_true(page_is_sound(page, 7, 1000));
        assert_false(page_is_sound(page, 8, 1000));
        page[6000]++;
        assert_false(page_is_sound(page, 7, 1000));
        assert_true(page_is_sound(page, 7, 100)); /* written since: the log has it */
        assert_false(page_is_sound(page, 7, 101));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_folders),   cmocka_unit_test(test_left_out),
                cmocka_unit_test(test_relations), cmocka_unit_test(test_crc_of_any_length),
                cmocka_unit_test(test_pages),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
