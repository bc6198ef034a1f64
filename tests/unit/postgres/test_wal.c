/* Names of the log, its checksum, and the archives that servers send. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "postgres/crc32c.h"
#include "postgres/tar_stream.h"
#include "postgres/wal_name.h"
#include "postgres/wal_tablespaces.h"
#include "postgres/wal_times.h"

#define SEGMENT (16u << 20)

static void test_places(void **state)
{
        static const char *const wrong[] = { "", "1", "1/", "/1", "1/2x", " 1/2", "-1/2", "123456789/0", "G/0", "now" };
        char text[LSN_TEXT_SIZE];
        Lsn lsn = 0;

        assert_true(lsn_parse("16/B374D848", &lsn));
        assert_true(lsn == UINT64_C(0x16B374D848));
        assert_string_equal(lsn_format(lsn, text), "16/B374D848");
        assert_true(lsn_parse("FFFFFFFF/FFFFFFFF", &lsn));
        assert_true(lsn == UINT64_MAX);
        for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
                assert_false(lsn_parse(wrong[i], &lsn));
}

static void test_segments(void **state)
{
        char name[WAL_NAME_SIZE];
        uint32_t timeline = 0;
        Lsn start = 0;

        assert_string_equal(wal_segment_name(3, UINT64_C(0x1FF000000) + 5, SEGMENT, name), "0000000300000001000000FF");
        assert_string_equal(wal_segment_name(1, UINT64_C(0x200000000), 1u << 20, name), "000000010000000200000000");
        assert_true(wal_segment_parse("0000000300000001000000FF", SEGMENT, &timeline, &start));
        assert_int_equal(timeline, 3);
        assert_true(start == UINT64_C(0x1FF000000));
        assert_false(wal_segment_parse("0000000300000001000000ff", SEGMENT, &timeline, &start));
        assert_false(wal_segment_parse("0000000300000001000000FF.partial", SEGMENT, &timeline, &start));
        assert_true(wal_segment_start(start + SEGMENT - 1, SEGMENT) == start);
}

#define PAGE          8192u
#define SMALL_SEGMENT (4 * PAGE)

typedef struct Log {
        char bytes[2 * SMALL_SEGMENT];
        size_t at;   /* of the next byte of a record */
        size_t left; /* of the record that is written */
} Log;

static void put(char *at, const void *value, size_t size)
{
        memcpy(at, value, size);
}

/* As a server does: a header at each page, longer in a segment's first. */
static void begin_page(Log *log)
{
        bool is_long = log->at % SMALL_SEGMENT == 0;
        uint16_t info = (uint16_t)((log->left ? 1 : 0) | (is_long ? 2 : 0));
        uint32_t left = (uint32_t)log->left, page = PAGE;
        uint64_t address = log->at + SMALL_SEGMENT;
        char *header = log->bytes + log->at;

        put(header + 2, &info, 2);
        put(header + 8, &address, 8);
        put(header + 16, &left, 4);
        if (is_long)
                put(header + 36, &page, 4);
        log->at += is_long ? 40 : 24;
}

static void write_record(Log *log, uint8_t manager, uint8_t info, const char *data, uint32_t size)
{
        uint32_t total = 24 + 5 + size, sum;
        _cleanup_free_ char *record = xcalloc(1, total);

        put(record, &total, 4);
        put(record + 16, &info, 1);
        put(record + 17, &manager, 1);
        record[24] = (char)254;
        put(record + 25, &size, 4);
        put(record + 29, data, size);
        sum = crc32c_add(crc32c(record + 24, total - 24), record, 20);
        put(record + 20, &sum, 4);
        log->at = (log->at + 7) & ~(size_t)7;
        log->left = 0;
        for (uint32_t i = 0; i < total; i++) {
                log->left = i ? total - i : 0;
                if (log->at % PAGE == 0)
                        begin_page(log);
                log->bytes[log->at++] = record[i];
        }
        log->left = 0;
}

static void write_tablespace(Log *log, uint32_t oid, const char *location)
{
        char data[64];

        put(data, &oid, 4);
        snprintf(data + 4, sizeof(data) - 4, "%s", location);
        write_record(log, 5, 0, data, 4 + (uint32_t)strlen(location) + 1);
}

static void fill(Log *log, size_t until)
{
        static const char nothing[3000];

        while (log->at + 4000 < until)
                write_record(log, 10, 0, nothing, sizeof(nothing));
        while (log->at + 120 < until)
                write_record(log, 10, 0, nothing, 1);
}

/* Records whole, across pages in every way, across segments, of other kinds, and behind the log's end. */
static void test_tablespaces(void **state)
{
        for (size_t shift = 0; shift < 12; shift++) {
                _cleanup_wal_tablespaces_ WalTablespaces tablespaces = { 0 };
                _cleanup_free_ Log *log = xnew(Log);

                write_tablespace(log, 16400, "/one");
                fill(log, PAGE);
                for (size_t i = 0; i < shift; i++)
                        write_record(log, 10, 0, "\0\0\0\0\0\0\0", 1 + i % 8);
                write_tablespace(log, 16401, "/two/across");
                write_tablespace(log, 16402, ""); /* inside the data folder */
                write_record(log, 5, 0x10, "\0\0\0\0/dropped", 13);
                fill(log, SMALL_SEGMENT);
                for (size_t i = 0; i < shift; i++)
                        write_record(log, 10, 0, "\0\0\0\0\0\0\0", 1 + i % 8);
                write_tablespace(log, 16403, "/three");
                log->at = 2 * SMALL_SEGMENT - PAGE; /* an older page that this one was written over */
                write_tablespace(log, 16404, "/of/another/time");
                put(log->bytes + 2 * SMALL_SEGMENT - PAGE + 8, "\0\0\0\0\0\0\0\1", 8);
                wal_tablespaces_read(&tablespaces, SMALL_SEGMENT, log->bytes, SMALL_SEGMENT);
                wal_tablespaces_read(&tablespaces, 2 * SMALL_SEGMENT, log->bytes + SMALL_SEGMENT, SMALL_SEGMENT);
                assert_int_equal(tablespaces.found.length, 3);
                assert_int_equal(tablespaces.found.items[1].oid, 16401);
                assert_string_equal(tablespaces.found.items[1].location, "/two/across");
                assert_string_equal(tablespaces.found.items[2].location, "/three");
        }
}

static void write_transaction(Log *log, uint8_t info, int64_t seconds, uint32_t size)
{
        _cleanup_free_ char *data = xcalloc(1, size);
        int64_t time_us = (seconds - 946684800) * 1000000;

        put(data, &time_us, 8);
        write_record(log, 1, info, data, size);
}

/* Commits and rollbacks of both kinds, across pages and segments; nothing else that has a time, none that is not whole. */
static void test_times(void **state)
{
        static const struct {
                uint8_t info;
                bool counts;
        } kinds[] = { { 0x00, true }, { 0x80, true },  { 0x20, true }, { 0x30, true },
                      { 0x40, true }, { 0x10, false }, { 0x50, false } };

        for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++)
                for (size_t shift = 0; shift < 12; shift++) {
                        _cleanup_free_ Log *log = xnew(Log);
                        WalTimes times = { 0 };

                        write_transaction(log, 0, 1000000000, 8);
                        fill(log, SMALL_SEGMENT);
                        for (size_t i = 0; i < shift; i++)
                                write_record(log, 10, 0, "\0\0\0\0\0\0\0", 1 + i % 8);
                        write_transaction(log, kinds[kind].info, 1100000000, 100 + (uint32_t)shift);
                        wal_times_read(&times, SMALL_SEGMENT, log->bytes, SMALL_SEGMENT);
                        wal_times_read(&times, 2 * SMALL_SEGMENT, log->bytes + SMALL_SEGMENT, SMALL_SEGMENT);
                        assert_true(times.latest_ns ==
                                    (kinds[kind].counts ? 1100000000 : 1000000000) * INT64_C(1000000000));
                        times = (WalTimes){ 0 };
                        log->bytes[log->at - 1] ^= 1;
                        wal_times_read(&times, SMALL_SEGMENT, log->bytes, SMALL_SEGMENT);
                        wal_times_read(&times, 2 * SMALL_SEGMENT, log->bytes + SMALL_SEGMENT, SMALL_SEGMENT);
                        assert_true(times.latest_ns == 1000000000 * INT64_C(1000000000));
                }
}

/* Whatever stands there, nothing is read beyond it. */
static void test_tablespaces_of_rubbish(void **state)
{
        _cleanup_free_ char *bytes = xmalloc(SMALL_SEGMENT);
        uint32_t page = PAGE, seed = 1;

        for (int round = 0; round < 200; round++) {
                _cleanup_wal_tablespaces_ WalTablespaces tablespaces = { 0 };
                uint64_t address = 0;

                for (size_t i = 0; i < SMALL_SEGMENT; i++) {
                        seed = seed * 1664525 + 1013904223;
                        bytes[i] = round % 2 ? (char)(seed >> 24) : (char)(seed >> 24 & (seed >> 16 & 1 ? 0x1f : 0));
                }
                put(bytes + 36, &page, 4);
                for (size_t at = 0; at < SMALL_SEGMENT; at += PAGE, address += PAGE)
                        put(bytes + at + 8, &address, 8);
                wal_tablespaces_read(&tablespaces, 0, bytes, SMALL_SEGMENT);
                wal_times_read(&(WalTimes){ 0 }, 0, bytes, SMALL_SEGMENT);
        }
}

static void test_histories(void **state)
{
        _cleanup_timeline_history_ TimelineHistory history = { 0 };

        assert_int_equal(timeline_history_parse("1\t0/5000028\tno recovery target specified\n\n# a remark\n"
                                                "2\t1/A0\tbefore 2026-11-21\n",
                                                &history, NULL),
                         0);
        assert_int_equal(history.steps.length, 2);
        assert_int_equal(history.steps.items[1].parent, 2);
        assert_true(history.steps.items[1].switch_lsn == UINT64_C(0x1000000A0));
        assert_int_equal(timeline_history_parse("one 0/1\n", &history, NULL), -ERROR_CORRUPT);
}

/* The check value of the catalogue of parametrised CRCs; joins of every split of a text. */
static void test_crc(void **state)
{
        static const char text[] = "123456789, and a little more than that";
        uint32_t whole = crc32c(text, sizeof(text));
        Crc32cJoin join;

        assert_int_equal(crc32c("123456789", 9), 0xe3069283);
        for (size_t i = 0; i <= sizeof(text); i++) {
                crc32c_join_init(&join, sizeof(text) - i);
                assert_int_equal(crc32c_join(&join, crc32c(text, i), crc32c(text + i, sizeof(text) - i)), whole);
                assert_int_equal(crc32c_add(crc32c(text, i), text + i, sizeof(text) - i), whole);
        }
}

/* ---- archives ---- */

typedef struct Seen {
        char text[1024];
        size_t length;
} Seen;

static void see(Seen *seen, const char *data, size_t size)
{
        memcpy(seen->text + seen->length, data, size);
        seen->length += size;
        seen->text[seen->length] = '\0';
}

static int on_entry(void *context, const TarEntry *entry, Error **err)
{
        char line[512];
        int length = snprintf(line, sizeof(line), "%c %o %s %s %llu\n", entry->type, entry->mode, entry->path,
                              entry->target, (unsigned long long)entry->size_bytes);

        see(context, line, (size_t)length);
        return 0;
}

static int on_content(void *context, const char *data, size_t size, Error **err)
{
        see(context, data, size);
        return 0;
}

static int on_end(void *context, Error **err)
{
        see(context, "|\n", 2);
        return 0;
}

static void put_header(char *block, const char *name, char type, const char *target, unsigned size)
{
        unsigned sum = 0;

        memset(block, 0, 512);
        snprintf(block, 100, "%s", name);
        snprintf(block + 100, 8, "%07o", 0600);
        snprintf(block + 108, 8, "%07o", 101);
        snprintf(block + 116, 8, "%07o", 104);
        snprintf(block + 124, 12, "%011o", size);
        snprintf(block + 136, 12, "%011o", 1);
        block[156] = type;
        snprintf(block + 157, 100, "%s", target);
        memcpy(block + 257, "ustar\00000", 8);
        memset(block + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
                sum += (unsigned char)block[i];
        snprintf(block + 148, 8, "%06o", sum);
}

static TarStream stream_of(Seen *seen)
{
        return (TarStream){ .context = seen, .entry = on_entry, .content = on_content, .entry_end = on_end };
}

static void test_archive_in_pieces_of_any_size(void **state)
{
        char archive[512 * 7] = { 0 };

        put_header(archive, "base/", '5', "", 0);
        put_header(archive + 512, "base/1", '0', "", 5);
        memcpy(archive + 1024, "hello", 5);
        put_header(archive + 1536, "./empty", '0', "", 0);
        put_header(archive + 2048, "pg_tblspc/1", '2', "/far", 0);
        for (size_t piece = 1; piece < 1100; piece += 7) {
                Seen seen = { 0 };
                TarStream stream = stream_of(&seen);

                for (size_t i = 0; i < sizeof(archive); i += piece)
                        assert_int_equal(tar_stream_add(&stream, archive + i, MIN(piece, sizeof(archive) - i), NULL),
                                         0);
                assert_int_equal(tar_stream_end(&stream, NULL), 0);
                assert_string_equal(seen.text, "d 600 base  0\nf 600 base/1  5\nhello|\nf 600 empty  0\n|\n"
                                               "l 600 pg_tblspc/1 /far 0\n");
        }
}

static void test_hostile_archives(void **state)
{
        static const char *const names[] = { "/etc/passwd", "../up", "a/../../up", "a/..", ".." };
        char block[1024] = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                Seen seen = { 0 };
                TarStream stream = stream_of(&seen);

                put_header(block, names[i], '0', "", 0);
                assert_int_equal(tar_stream_add(&stream, block, 512, NULL), -ERROR_CORRUPT);
        }
        for (int what = 0; what < 3; what++) {
                Seen seen = { 0 };
                TarStream stream = stream_of(&seen);

                put_header(block, "x", what == 2 ? '3' : '0', "", 600);
                block[5] ^= what == 0; /* the checksum is wrong then */
                assert_int_equal(tar_stream_add(&stream, block, 1024, NULL), what == 0   ? -ERROR_CORRUPT
                                                                             : what == 1 ? 0
                                                                                         : -ERROR_UNSUPPORTED);
                if (what == 1)
                        assert_int_equal(tar_stream_end(&stream, NULL), -ERROR_CORRUPT);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_segments),
                cmocka_unit_test(test_histories),
                cmocka_unit_test(test_tablespaces),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_tablespaces_of_rubbish),
                cmocka_unit_test(test_crc),
                cmocka_unit_test(test_archive_in_pieces_of_any_size),
                cmocka_unit_test(test_hostile_archives),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
