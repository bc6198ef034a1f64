#include "repository/prune.h"
#include "sample.h"

#define DAY (INT64_C(86400) * NSEC_PER_SEC)

static PruneOptions at_day(unsigned day, RetentionPolicy policy)
{
        return (PruneOptions){ .policy = policy, .now_ns = SAMPLE_EPOCH + day * DAY + 3600 * NSEC_PER_SEC };
}

static void test_expired_go_with_what_was_theirs_alone(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;
        PruneOptions options = at_day(2, (RetentionPolicy){ .last = 1 });
        Storage *storage;

        sample_begin(&sample);
        storage = sample.repository->storage;
        a = sample_backup(&sample, 0, 0, 8);
        b = sample_backup(&sample, 1, 100, 4); /* nothing in common */
        c = sample_backup(&sample, 2, 0, 8);   /* the same as the first */
        for (unsigned n = 1; n < 6; n++)
                sample_segment(&sample, n);
        assert_ok(prune_run(sample.repository, &options, &quiet, &report, err));
        assert_int_equal(strv_length(report.backups), 2);
        assert_string_equal(report.backups[0], a);
        assert_int_equal(report.segments, 2); /* the third backup begins in the third one */
        assert_int_equal(report.packs_removed, 1);
        assert_int_equal(report.packs_rewritten, 0);
        assert_true(report.freed_bytes > 4 * SAMPLE_CHUNK);
        assert_int_equal(sample_count(storage, "packs", ".pack", NULL), 1);
        assert_int_equal(sample_count(storage, "wal", ".zst", NULL), 3);
        assert_true(sample_backup_is_whole(sample.repository, c));
        assert_false(sample_backup_is_whole(sample.repository, b));
}

static void test_dry_run_removes_nothing(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL;
        PruneOptions options = at_day(2, (RetentionPolicy){ .last = 1 });

        sample_begin(&sample);
        a = sample_backup(&sample, 0, 0, 2);
        b = sample_backup(&sample, 1, 10, 2);
        sample_segment(&sample, 1);
        options.dry_run = true;
        assert_ok(prune_run(sample.repository, &options, &quiet, &report, err));
        assert_int_equal(strv_length(report.backups), 1);
        assert_int_equal(report.segments, 1);
        assert_true(sample_backup_is_whole(sample.repository, a));
        assert_true(sample_backup_is_whole(sample.repository, b));
        assert_int_equal(sample_count(sample.repository->storage, "wal", ".zst", NULL), 1);
}

/* A pack of which a kept backup needs a quarter. */
static char *half_empty(Sample *sample, char **ret_old)
{
        sample_begin(sample);
        *ret_old = sample_backup(sample, 0, 0, 16);
        return sample_backup(sample, 1, 0, 4);
}

static void test_half_empty_packs_are_rewritten(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = half_empty(&sample, &a);
        PruneOptions options = at_day(1, (RetentionPolicy){ .last = 1 });

        assert_ok(prune_run(sample.repository, &options, &quiet, &report, err));
        assert_int_equal(report.packs_rewritten, 1);
        assert_true(report.freed_bytes >= 12 * SAMPLE_CHUNK);
        assert_int_equal(sample_count(sample.repository->storage, "packs", "", NULL), 2);
        assert_true(sample_backup_is_whole(sample.repository, b));
}

/* ---- killed at every change ---- */

typedef struct Flaky {
        StorageOperations operations;
        const StorageOperations *real;
        unsigned left; /* changes until it fails for good */
} Flaky;

static Flaky flaky;

static int refuse(Error **err)
{
        return error_set(err, ERROR_IO, "the power is gone");
}

static bool spent(void)
{
        return flaky.left == 0 || flaky.left-- == 0;
}

static int flaky_commit(StorageWriter *writer, Error **err)
{
        if (!spent())
                return flaky.real->write_commit(writer, err);
        flaky.real->write_abort(writer);
        return refuse(err);
}

static int flaky_remove(Storage *storage, const char *key, Error **err)
{
        return spent() ? refuse(err) : flaky.real->remove(storage, key, err);
}

static void make_flaky(Storage *storage, unsigned changes)
{
        flaky = (Flaky){ *storage->operations, storage->operations, changes };
        flaky.operations.write_commit = flaky_commit;
        flaky.operations.remove = flaky_remove;
        storage->operations = &flaky.operations;
}

static void test_killed_anywhere(void **state)
{
        unsigned changes = 0;

        for (bool done = false; !done; changes++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_prune_report_ PruneReport report = { 0 }, again = { 0 };
                _cleanup_free_ char *a = NULL, *b = half_empty(&sample, &a), *c = sample_backup(&sample, 2, 50, 3);
                PruneOptions options = at_day(2, (RetentionPolicy){ .last = 2 });

                sample_segment(&sample, 1);
                make_flaky(sample.repository->storage, changes);
                done = prune_run(sample.repository, &options, &quiet, &report, NULL) == 0;
                sample.repository->storage->operations = flaky.real;
                assert_true(sample_backup_is_whole(sample.repository, b));
                assert_true(sample_backup_is_whole(sample.repository, c));
                assert_ok(prune_run(sample.repository, &options, &quiet, &again, err));
                assert_true(sample_backup_is_whole(sample.repository, b));
                assert_true(sample_backup_is_whole(sample.repository, c));
                assert_int_equal(sample_count(sample.repository->storage, "packs", "", NULL), 4);
                assert_int_equal(sample_count(sample.repository->storage, "backups", "", NULL), 4);
                assert_int_equal(sample_count(sample.repository->storage, "wal", "", NULL), 0);
        }
        assert_true(changes >= 7); /* record, list, segment, pack, index, index, pack */
}

static void test_leftovers_go(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_prune_report_ PruneReport report = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL, *record = NULL;
        PruneOptions options = at_day(1, (RetentionPolicy){ .last = 9 });
        Storage *storage;

        sample_begin(&sample);
        storage = sample.repository->storage;
        a = sample_backup(&sample, 0, 0, 4);
        b = sample_backup(&sample, 1, 10, 4);
        record = xasprintf("backups/%s/backup.json", a);
        assert_ok(storage_put(storage, "damaged/20261021T000000Z/packs/a.pack", "damaged", 7,
                              err)); /* thirty-one days ago */
        assert_ok(storage_put(storage, "damaged/20261023T000000Z/packs/b.pack", "damaged", 7, err));
        assert_ok(storage->operations->remove(storage, record, err));
        assert_ok(storage_put(storage, "packs/00000000000000000000000000000000.pack", "x", 1, err));
        assert_ok(prune_run(sample.repository, &options, &quiet, &report, err));
        assert_int_equal(report.leftovers,
                         3); /* a list without record, a pack without index, a damaged pack of long ago */
        assert_int_equal(sample_count(storage, "damaged", "", NULL), 1);
        assert_true(storage_has(storage, "damaged/20261023T000000Z/packs/b.pack"));
        assert_int_equal(report.packs_removed, 1);
        assert_int_equal(sample_count(storage, "packs", "", NULL), 2);
        assert_int_equal(sample_count(storage, "backups", "", NULL), 2);
        assert_true(sample_backup_is_whole(sample.repository, b));
}

/* What a backup needs is not known while its list cannot be read: then nothing goes. */
static void test_unreadable_list_or_record_stops_it(void **state)
{
        static const char *const files[] = { "files.zst", "backup.json" };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_prune_report_ PruneReport report = { 0 };
                _cleanup_error_ Error *failure = NULL;
                _cleanup_free_ char *a = NULL, *b = NULL, *key = NULL;

                sample_begin(&sample);
                a = sample_backup(&sample, 0, 0, 4);
                b = sample_backup(&sample, 1, 10, 4);
                key = xasprintf("backups/%s/%s", a, files[i]);
                sample_damage(&sample, key, 20, -1);
                assert_int_equal(prune_chunks(sample.repository, &quiet, &report, &failure), -ERROR_CORRUPT);
                assert_non_null(strstr(failure->message, a));
                assert_non_null(failure->hint);
                assert_int_equal(sample_count(sample.repository->storage, "packs", "", NULL), 4);
        }
}

/* A damaged chunk of a half-empty pack, and a pack that lost its end, are left as they are: another copy may mend them. */
static void test_damaged_packs_stay(void **state)
{
        for (unsigned cut = 0; cut < 2; cut++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_prune_report_ PruneReport report = { 0 };
                _cleanup_free_ char *a = NULL, *b = half_empty(&sample, &a), *pack = NULL;
                PruneOptions options = at_day(1, (RetentionPolicy){ .last = 1 });

                sample_count(sample.repository->storage, "packs", ".pack", &pack);
                sample_damage(&sample, pack, cut ? SAMPLE_CHUNK : -1, cut ? -1 : 1000);
                assert_ok(prune_run(sample.repository, &options, &quiet, &report, err));
                assert_int_equal(report.packs_removed + report.packs_rewritten, 0);
                assert_true(storage_has(sample.repository->storage, pack));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_expired_go_with_what_was_theirs_alone),
                cmocka_unit_test(test_dry_run_removes_nothing),
                cmocka_unit_test(test_half_empty_packs_are_rewritten),
                cmocka_unit_test(test_killed_anywhere),
                cmocka_unit_test(test_leftovers_go),
                cmocka_unit_test(test_unreadable_list_or_record_stops_it),
                cmocka_unit_test(test_damaged_packs_stay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
