/* How far the log leads: gaps, partial segments, timelines. */
#include "repository/caught_up.h"
#include "sample.h"

static void history(Sample *sample, uint32_t timeline, const char *text)
{
        assert_ok(wal_store_history(sample->repository, timeline, text, strlen(text), err));
}

static WalRange range_from(Sample *sample, uint32_t timeline, unsigned segment, uint32_t target)
{
        _cleanup_wal_list_ WalList list = { 0 };
        WalRange range = { 0 };

        assert_ok(wal_list_load(sample->repository, SAMPLE_SEGMENT, &list, err));
        assert_ok(wal_range_find(sample->repository, &list, timeline, (Lsn)segment * SAMPLE_SEGMENT + 9, SAMPLE_SEGMENT,
                                 target, &range, err));
        return range;
}

static void check(Sample *sample, uint32_t timeline, unsigned segment, uint32_t target, Lsn end, uint32_t end_timeline)
{
        _cleanup_wal_range_ WalRange range = range_from(sample, timeline, segment, target);

        assert_true(range.end == end);
        assert_int_equal(range.timeline, end_timeline);
}

static void test_a_gap_ends_it(void **state)
{
        _cleanup_sample_ Sample place = { 0 };
        Sample *sample = &place;

        sample_begin(sample);
        for (unsigned i = 2; i < 9; i++)
                if (i != 6)
                        sample_segment(sample, i);
        check(sample, 1, 2, 0, (Lsn)6 * SAMPLE_SEGMENT, 1);
        check(sample, 1, 7, 0, (Lsn)9 * SAMPLE_SEGMENT, 1);
        check(sample, 1, 6, 0, (Lsn)6 * SAMPLE_SEGMENT + 9, 1); /* nothing at all */
}

static void test_a_partial_segment_leads_as_far_as_it_came(void **state)
{
        _cleanup_sample_ Sample place = { 0 };
        Sample *sample = &place;
        char name[WAL_NAME_SIZE];
        _cleanup_free_ char *path = NULL;

        sample_begin(sample);
        sample_segment(sample, 2);
        path = wal_partial_path(sample->repository, wal_segment_name(1, (Lsn)3 * SAMPLE_SEGMENT, SAMPLE_SEGMENT, name));
        assert_ok(fs_write_file(AT_FDCWD, path, "hello", 5, 0600, err));
        check(sample, 1, 2, 0, (Lsn)3 * SAMPLE_SEGMENT + 5, 1);
}

/* 1 was left in segment 4 for 2, and in segment 3 for 3; 2 went on to 6, 3 to 8. */
static void test_timelines(void **state)
{
        _cleanup_sample_ Sample place = { 0 };
        Sample *sample = &place;
        _cleanup_free_ char *second = xasprintf("1\t0/%X\tx\n", 4 * SAMPLE_SEGMENT + 100);
        _cleanup_free_ char *third = xasprintf("1\t0/%X\tx\n", 3 * SAMPLE_SEGMENT + 100);
        _cleanup_wal_list_ WalList list = { 0 };
        WalRange range = { 0 };

        sample_begin(sample);
        for (unsigned i = 2; i < 6; i++)
                sample_segment_on(sample, 1, i);
        for (unsigned i = 4; i < 6; i++)
                sample_segment_on(sample, 2, i);
        for (unsigned i = 3; i < 8; i++)
                sample_segment_on(sample, 3, i);
        history(sample, 2, second);
        history(sample, 3, third);
        check(sample, 1, 2, 0, (Lsn)8 * SAMPLE_SEGMENT, 3);
        check(sample, 1, 2, 1, (Lsn)6 * SAMPLE_SEGMENT, 1);
        check(sample, 1, 2, 2, (Lsn)6 * SAMPLE_SEGMENT, 2);
        /* What begins behind the place where a timeline was left does not lead along that one. */
        check(sample, 1, 5, 0, (Lsn)6 * SAMPLE_SEGMENT, 1);
        assert_ok(wal_list_load(sample->repository, SAMPLE_SEGMENT, &list, err));
        assert_int_equal(
                wal_range_find(sample->repository, &list, 1, (Lsn)5 * SAMPLE_SEGMENT, SAMPLE_SEGMENT, 2, &range, NULL),
                -ERROR_NOT_FOUND);
}

/* A moment counts where the log leads as far as it says, on that timeline. */
static void test_moments_of_rest(void **state)
{
        _cleanup_sample_ Sample place = { 0 };
        Sample *sample = &place;
        const struct {
                CaughtUp moment;
                bool counts;
        } rows[] = {
                { { 1, (Lsn)4 * SAMPLE_SEGMENT, INT64_MAX / 2 }, true },
                { { 1, (Lsn)4 * SAMPLE_SEGMENT + 1, INT64_MAX / 2 }, false },
                { { 2, (Lsn)4 * SAMPLE_SEGMENT, INT64_MAX / 2 }, false },
                { { 1, (Lsn)3 * SAMPLE_SEGMENT, 17 }, true }, /* whatever the time of the files is */
        };

        sample_begin(sample);
        for (unsigned i = 2; i < 4; i++)
                sample_segment(sample, i);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_wal_range_ WalRange range = { 0 };

                assert_ok(caught_up_write(sample->repository, &rows[i].moment, err));
                range = range_from(sample, 1, 2, 0);
                assert_true(range.known_ns == (rows[i].counts ? rows[i].moment.at_ns : 0));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_gap_ends_it),
                cmocka_unit_test(test_a_partial_segment_leads_as_far_as_it_came),
                cmocka_unit_test(test_timelines),
                cmocka_unit_test(test_moments_of_rest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
