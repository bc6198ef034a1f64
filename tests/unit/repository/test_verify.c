#include "repository/verify.h"
#include "sample.h"

/* Two backups that share chunks, and log from the first of them on. */
static void make_whole(Sample *sample, char **ret_first, char **ret_second)
{
        sample_begin(sample);
        *ret_first = sample_backup(sample, 0, 0, 6);
        *ret_second = sample_backup(sample, 1, 3, 6);
        for (unsigned n = 1; n < 6; n++)
                sample_segment(sample, n);
}

static void verify(const Sample *sample, VerifyReport *ret)
{
        assert_ok(verify_run(sample->repository, 2, &quiet, ret, err));
}

static const VerifyFault *fault_of(const VerifyReport *report, const char *object)
{
        VECTOR_FOREACH(fault, &report->faults)
                if (streq(fault->object, object))
                        return fault;
        return NULL;
}

static void test_whole(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL;

        make_whole(&sample, &a, &b);
        verify(&sample, &report);
        for (size_t i = 0; i < report.faults.length; i++)
                fail_msg("%s: %s", report.faults.items[i].object, report.faults.items[i].message);
        assert_int_equal(report.backups, 2);
        assert_int_equal(report.packs, 2);
        assert_int_equal(report.chunks, 9);
        assert_int_equal(report.segments, 5);
        assert_true(report.bytes > 9 * SAMPLE_CHUNK);
        assert_null(report.damaged);
}

/* Every object, and for each: a flipped bit, cut off in the middle, cut off to nothing, missing. */
static void test_every_damage_of_every_object_is_named(void **state)
{
        enum { FLIP, TEAR, EMPTY, MISSING, N_DAMAGES };
        static const char *const folders[] = { "packs", "backups", "wal" };
        size_t tried = 0;

        for (size_t f = 0; f < ARRAY_SIZE(folders); f++)
                for (size_t i = 0;; i++) {
                        size_t n_objects = 0;

                        for (int damage = FLIP; damage < N_DAMAGES; damage++) {
                                _cleanup_sample_ Sample sample = { 0 };
                                _cleanup_verify_report_ VerifyReport report = { 0 };
                                _cleanup_storage_list_ StorageList list = { 0 };
                                _cleanup_free_ char *a = NULL, *b = NULL;
                                const StorageEntry *entry;
                                Storage *storage;
                                bool named = false;

                                make_whole(&sample, &a, &b);
                                storage = sample.repository->storage;
                                assert_ok(storage->operations->list(storage, folders[f], &list, err));
                                n_objects = list.entries.length;
                                if (i >= n_objects)
                                        break;
                                entry = &list.entries.items[i];
                                if (damage == MISSING &&
                                    (endswith(entry->key, ".index") || endswith(entry->key, "01.zst") ||
                                     endswith(entry->key, "05.zst")))
                                        continue; /* shows otherwise, or is the log's beginning or end */
                                if (damage == MISSING && endswith(entry->key, "backup.json"))
                                        continue; /* it is no backup then */
                                if (damage == FLIP)
                                        sample_damage(&sample, entry->key, -1, (off_t)entry->size_bytes / 2);
                                else if (damage == MISSING)
                                        assert_ok(storage->operations->remove(storage, entry->key, err));
                                else
                                        sample_damage(&sample, entry->key,
                                                      damage == EMPTY ? 0 : (off_t)entry->size_bytes / 2, -1);
                                verify(&sample, &report);
                                VECTOR_FOREACH(fault, &report.faults)
                                        named |= streq(fault->object, entry->key) ||
                                                 (startswith(entry->key, fault->object) && damage == MISSING);
                                if (!named)
                                        fail_msg("damage %d of %s was not found", damage, entry->key);
                                if (f < 2 && !report.damaged)
                                        fail_msg("damage %d of %s hurts no backup", damage, entry->key);
                                tried++;
                        }
                        if (i >= n_objects)
                                break;
                }
        assert_int_equal(tried, 2 * 4 + 2 * 3 + 2 * 4 + 2 * 3 + 3 * 4 + 2 * 3);
}

/* Chunks are looked at in pairs: whichever of the seven is damaged, or has a wrong name, it is the one that is named. */
static void test_every_chunk_is_judged_by_itself(void **state)
{
        enum { CHUNKS = 7 };

        for (unsigned i = 0; i < CHUNKS; i++)
                for (int by_name = 0; by_name < 2; by_name++) {
                        _cleanup_sample_ Sample sample = { 0 };
                        _cleanup_verify_report_ VerifyReport report = { 0 };
                        _cleanup_free_ char *a = NULL, *index = NULL, *pack = NULL, *expected = NULL;
                        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
                        const VerifyFault *fault;
                        const char *line;
                        long offset;

                        sample_begin(&sample);
                        a = sample_backup(&sample, 0, 0, CHUNKS);
                        sample_count(sample.repository->storage, "packs", ".index", &index);
                        sample_count(sample.repository->storage, "packs", ".pack", &pack);
                        assert_ok(storage_get(sample.repository->storage, index, CHUNK_INDEX_LIMIT, &text, err));
                        line = text.data;
                        for (unsigned n = 0; n < i; n++)
                                line = strchr(line, '\n') + 1;
                        offset = strtol(strchr(line, ' '), NULL, 10);
                        if (by_name) {
                                text.data[line - text.data] = *line == '0' ? '1' : '0';
                                assert_ok(storage_put(sample.repository->storage, index, text.data, text.length, err));
                        } else {
                                sample_damage(&sample, pack, -1, offset + 1000);
                        }
                        verify(&sample, &report);
                        fault = fault_of(&report, pack);
                        expected = xasprintf("1 of 7 chunks are damaged, the first at %ld: %s", offset,
                                             by_name ? "the content is not what its name says"
                                                     : "it cannot be decompressed");
                        assert_non_null(fault);
                        assert_string_equal(fault->message, expected);
                        assert_int_equal(report.chunks, CHUNKS);
                }
}

static void test_missing_index_hurts_backups(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL, *index = NULL, *object = NULL;

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 6);
        sample_count(sample.repository->storage, "packs", ".index", &index);
        assert_ok(sample.repository->storage->operations->remove(sample.repository->storage, index, err));
        b = sample_backup(&sample, 1, 50, 6);
        verify(&sample, &report);
        object = xasprintf("backups/%s", a);
        assert_int_equal(report.faults.length, 1);
        assert_string_equal(report.faults.items[0].object, object);
        assert_non_null(strstr(report.faults.items[0].message, "base/1/1259"));
        assert_int_equal(strv_length(report.damaged), 1);
        assert_string_equal(report.damaged[0], a);
}

/* An index that lost whole lines reads well. */
static void test_index_cut_at_a_line(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *a = NULL, *index = NULL;

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 6);
        sample_count(sample.repository->storage, "packs", ".index", &index);
        assert_ok(storage_get(sample.repository->storage, index, CHUNK_INDEX_LIMIT, &text, err));
        sample_damage(&sample, index, strchr(text.data, '\n') + 1 - text.data, -1);
        verify(&sample, &report);
        assert_non_null(fault_of(&report, index));
        assert_string_equal(report.damaged[0], a);
}

static void test_gaps_are_told(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL;
        const VerifyFault *fault;

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 1);
        sample_segment(&sample, 1);
        sample_segment(&sample, 4);
        sample_segment(&sample, 5);
        verify(&sample, &report);
        fault = fault_of(&report, "wal/00000001");
        assert_non_null(fault);
        assert_string_equal(fault->message,
                            "gap: segments 000000010000000000000002 to 000000010000000000000003 are missing "
                            "(0/200000 to 0/400000)");
        assert_null(report.damaged);
}

static void test_gap_behind_the_newest_backup(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL;

        sample_begin(&sample);
        a = sample_backup(&sample, 2, 0, 1); /* begins in segment 3 */
        sample_segment(&sample, 4);
        verify(&sample, &report);
        assert_non_null(fault_of(&report, "wal/00000001"));
}

static void test_gap_at_a_switch_of_timelines(void **state)
{
        static const char history[] = "1\t0/380000\tbefore 2026-11-20 00:00:00+00\n";

        for (unsigned last = 2; last <= 3; last++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_verify_report_ VerifyReport report = { 0 };
                _cleanup_free_ char *a = NULL;

                sample_begin(&sample);
                a = sample_backup(&sample, 0, 0, 1);
                for (unsigned n = 1; n <= last - 1; n++)
                        sample_segment(&sample, n);
                sample_segment_on(&sample, 2, 3);
                assert_ok(wal_store_history(sample.repository, 2, history, strlen(history), err));
                verify(&sample, &report);
                assert_int_equal(report.faults.length, last == 2);
        }
}

static void test_missing_history(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL;

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 1);
        sample_segment(&sample, 1);
        sample_segment_on(&sample, 2, 2);
        verify(&sample, &report);
        assert_non_null(fault_of(&report, "wal/00000002.history"));
}

/* A segment under another's name is whole, but wrong. */
static void test_segments_of_others_are_refused(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_free_ char *a = NULL, *from = NULL, *to = NULL;

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 1);
        sample.repository->system_identifier++;
        sample_segment(&sample, 1);
        sample.repository->system_identifier--;
        sample_segment(&sample, 2);
        from = path_join(sample.repository->path, "wal/00000001/000000010000000000000002.zst");
        to = path_join(sample.repository->path, "wal/00000001/000000010000000000000003.zst");
        assert_int_equal(link(from, to), 0);
        verify(&sample, &report);
        assert_string_equal(fault_of(&report, "wal/00000001/000000010000000000000001.zst")->message,
                            "it is of another cluster");
        assert_string_equal(fault_of(&report, "wal/00000001/000000010000000000000003.zst")->message,
                            "it is another segment");
        assert_int_equal(report.faults.length, 2);
}

static void test_report_is_kept(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_verify_report_ VerifyReport report = { 0 }, loaded = { 0 };
        _cleanup_free_ char *a = NULL, *pack = NULL;

        sample_begin(&sample);
        assert_int_equal(verify_report_load(sample.repository, &loaded, NULL), -ERROR_NOT_FOUND);
        a = sample_backup(&sample, 0, 0, 3);
        sample_count(sample.repository->storage, "packs", ".pack", &pack);
        sample_damage(&sample, pack, -1, 100);
        verify(&sample, &report);
        assert_ok(verify_report_save(sample.repository, &report, err));
        assert_ok(verify_report_load(sample.repository, &loaded, err));
        assert_int_equal(loaded.faults.length, 2); /* the pack, and the backup that needs it */
        assert_string_equal(loaded.faults.items[1].object, pack);
        assert_string_equal(loaded.damaged[0], a);
        assert_int_equal(loaded.chunks, 3);
        assert_int_equal(loaded.finished_ns, report.finished_ns);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole),
                cmocka_unit_test(test_every_damage_of_every_object_is_named),
                cmocka_unit_test(test_every_chunk_is_judged_by_itself),
                cmocka_unit_test(test_missing_index_hurts_backups),
                cmocka_unit_test(test_index_cut_at_a_line),
                cmocka_unit_test(test_gaps_are_told),
                cmocka_unit_test(test_gap_behind_the_newest_backup),
                cmocka_unit_test(test_gap_at_a_switch_of_timelines),
                cmocka_unit_test(test_missing_history),
                cmocka_unit_test(test_segments_of_others_are_refused),
                cmocka_unit_test(test_report_is_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
