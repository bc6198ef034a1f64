#include "repository/caught_up.h"
#include "repository/copy.h"
#include "repository/prune.h"
#include "repository/storage_sealed.h"
#include "repository/verify.h"
#include "sample.h"

#define DAY (INT64_C(86400) * NSEC_PER_SEC)

static char *place_of(const Sample *sample)
{
        return xasprintf("%s/elsewhere", sample->folder);
}

static Repository *open_copy(const Sample *sample, const BackupKey *key)
{
        _cleanup_free_ char *path = place_of(sample);
        Storage *storage, *again;
        Repository *copy;

        assert_ok(storage_folder_create(path, &storage, err));
        if (!storage_has(storage, "repository.json"))
                assert_ok(repository_begin_elsewhere(storage, key, sample->repository, err));
        assert_ok(storage_folder_create(path, &again, err));
        storage_free(storage);
        assert_ok(repository_open_elsewhere(again, key, &copy, err));
        return copy;
}

static CopyReport copy_at(const Sample *sample, Repository *copy, RetentionPolicy policy, unsigned day)
{
        CopyOptions options = { .policy = policy, .now_ns = SAMPLE_EPOCH + day * DAY + 3600 * NSEC_PER_SEC };
        CopyReport report = { 0 };

        assert_ok(repository_copy(sample->repository, copy, &options, &quiet, &report, err));
        return report;
}

static void expect_sound(Repository *copy, unsigned backups)
{
        _cleanup_verify_report_ VerifyReport report = { 0 };

        assert_ok(verify_run(copy, 1, &quiet, &report, err));
        for (size_t i = 0; i < report.faults.length; i++)
                fail_msg("%s: %s", report.faults.items[i].object, report.faults.items[i].message);
        assert_int_equal(report.backups, backups);
}

static const RetentionPolicy everything = { .keep_ns = 1000 * DAY };

static void test_all_of_it_and_then_what_is_new(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        _cleanup_free_ char *a = NULL, *b = NULL;
        CopyReport report;

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        report = copy_at(&sample, copy, everything, 0);
        assert_int_equal(report.bytes, 0); /* nothing to do yet */
        a = sample_backup(&sample, 0, 0, 6);
        sample_segment(&sample, 1);
        sample_segment(&sample, 2);
        report = copy_at(&sample, copy, everything, 0);
        assert_int_equal(report.backups, 1);
        assert_int_equal(report.packs, 1);
        assert_int_equal(report.segments, 2);
        expect_sound(copy, 1);
        report = copy_at(&sample, copy, everything, 0);
        assert_int_equal(report.bytes, 0);
        b = sample_backup(&sample, 1, 3, 6);
        sample_segment(&sample, 3);
        report = copy_at(&sample, copy, everything, 1);
        assert_int_equal(report.backups, 1);
        assert_int_equal(report.packs, 1); /* shared chunks are there */
        assert_int_equal(report.segments, 1);
        expect_sound(copy, 2);
}

static void test_sealed_copy_and_back(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(backup_key_freep) BackupKey *key = NULL;
        _cleanup_(repository_freep) Repository *copy = NULL, *machine = NULL;
        _cleanup_free_ char *a = NULL, *path = NULL, *empty = NULL;
        CopyOptions options = { .policy = everything, .now_ns = SAMPLE_EPOCH + DAY };
        CopyReport report = { 0 };

        sample_begin(&sample);
        path = xasprintf("%s/key.json", sample.folder);
        assert_ok(backup_key_create(path, "shop", &key, err));
        copy = open_copy(&sample, key);
        a = sample_backup(&sample, 0, 0, 6);
        sample_segment(&sample, 1);
        copy_at(&sample, copy, everything, 0);
        expect_sound(copy, 1);
        /* An empty machine takes it back. */
        empty = xasprintf("%s/empty", sample.folder);
        assert_ok(repository_create(empty, "shop", "db", copy->system_identifier, &machine, err));
        assert_ok(repository_copy(copy, machine, &options, &quiet, &report, err));
        expect_sound(machine, 1);
        assert_true(sample_backup_is_whole(machine, a));
}

static void fill(unsigned char *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                data[i] = (unsigned char)(i * 31 + i / 251);
}

static void write_partial(const Sample *sample, unsigned number, size_t size)
{
        _cleanup_free_ unsigned char *data = xmalloc(size);
        char name[WAL_NAME_SIZE];
        _cleanup_free_ char *key = NULL;

        fill(data, size);
        wal_segment_name(1, (Lsn)number * SAMPLE_SEGMENT, SAMPLE_SEGMENT, name);
        key = xasprintf("wal/%.8s/%s.partial", name, name);
        assert_ok(storage_put(sample->repository->storage, key, data, size, err));
}

/* Listed with the length that was written, and read as what was written. */
static void expect_partial(Repository *repository, unsigned number, size_t size)
{
        _cleanup_free_ unsigned char *content = xmalloc(SAMPLE_SEGMENT), *wanted = xmalloc(size);
        _cleanup_wal_list_ WalList list = { 0 };
        char name[WAL_NAME_SIZE];

        fill(wanted, size);
        wal_segment_name(1, (Lsn)number * SAMPLE_SEGMENT, SAMPLE_SEGMENT, name);
        assert_ok(wal_list_load(repository, SAMPLE_SEGMENT, &list, err));
        assert_int_equal(list.segments.length, 1);
        assert_true(list.segments.items[0].partial);
        assert_int_equal(list.segments.items[0].stored_bytes, size);
        assert_ok(wal_read_segment(repository, name, SAMPLE_SEGMENT, content, err));
        assert_memory_equal(content, wanted, size);
        for (size_t i = size; i < SAMPLE_SEGMENT; i++)
                assert_int_equal(content[i], 0);
}

static size_t pieces_of(Repository *repository)
{
        _cleanup_wal_list_ WalList list = { 0 };

        assert_ok(wal_list_load(repository, SAMPLE_SEGMENT, &list, err));
        return list.pieces.length;
}

static void test_partial_segments_grow(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        _cleanup_free_ char *a = NULL, *partial = NULL;
        char name[WAL_NAME_SIZE];

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        a = sample_backup(&sample, 0, 0, 1);
        write_partial(&sample, 1, 1000);
        assert_int_equal(copy_at(&sample, copy, everything, 0).segments, 1);
        assert_int_equal(copy_at(&sample, copy, everything, 0).segments, 0);
        write_partial(&sample, 1, 5000);
        assert_int_equal(copy_at(&sample, copy, everything, 0).bytes, 4000);
        expect_partial(copy, 1, 5000);
        write_partial(&sample, 1, 3000); /* the receiver begins it again */
        assert_int_equal(copy_at(&sample, copy, everything, 0).segments, 0);
        expect_partial(copy, 1, 5000);
        sample_segment(&sample, 1);
        partial = wal_partial_path(sample.repository, wal_segment_name(1, SAMPLE_SEGMENT, SAMPLE_SEGMENT, name));
        unlink(partial);
        assert_int_equal(copy_at(&sample, copy, everything, 0).segments, 1);
        assert_int_equal(sample_count(copy->storage, "wal", ".partial", NULL), 0);
        assert_int_equal(pieces_of(copy), 0);
        assert_int_equal(sample_count(copy->storage, "wal", ".zst", NULL), 1);
}

/* A server that hardly does anything, every minute for a day, sealed: few pieces, and no byte is sent often. */
static void test_a_slow_partial_segment_costs_little(void **state)
{
        enum { STEPS = 300, STEP = 200 };
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL, *back = NULL;
        _cleanup_(backup_key_freep) BackupKey *key = NULL;
        _cleanup_free_ char *a = NULL, *key_path = NULL, *folder = NULL;
        CopyOptions options = { .policy = everything, .now_ns = SAMPLE_EPOCH };
        CopyReport report = { 0 };
        uint64_t sent = 0;

        sample_begin(&sample);
        key_path = xasprintf("%s/key", sample.folder);
        assert_ok(backup_key_create(key_path, "sample", &key, err));
        copy = open_copy(&sample, key);
        a = sample_backup(&sample, 0, 0, 1);
        write_partial(&sample, 1, 400000);
        copy_at(&sample, copy, everything, 0);
        for (size_t i = 1; i <= STEPS; i++) {
                write_partial(&sample, 1, 400000 + i * STEP);
                sent += copy_at(&sample, copy, everything, 0).bytes;
                assert_true(pieces_of(copy) <= 12);
        }
        assert_true(sent < (uint64_t)STEPS * STEP * 12);
        expect_partial(copy, 1, 400000 + STEPS * STEP);
        folder = xasprintf("%s/back", sample.folder);
        assert_ok(repository_create(folder, "shop", "db", copy->system_identifier, &back, err));
        assert_ok(repository_copy(copy, back, &options, &quiet, &report, err));
        expect_partial(back, 1, 400000 + STEPS * STEP);
        assert_int_equal(pieces_of(back), 0);
}

/* What the copy's own policy has given up does not come back, whatever is kept here. */
static void test_expired_is_not_sent_again(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        _cleanup_prune_report_ PruneReport pruned = { 0 };
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;
        const RetentionPolicy one = { .last = 1 };
        PruneOptions prune = { .policy = one, .now_ns = SAMPLE_EPOCH + 3 * DAY };

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        a = sample_backup(&sample, 0, 0, 8);
        b = sample_backup(&sample, 1, 100, 4);
        for (unsigned n = 1; n < 5; n++)
                sample_segment(&sample, n);
        assert_int_equal(copy_at(&sample, copy, one, 1).backups, 1);
        c = sample_backup(&sample, 2, 200, 4);
        assert_int_equal(copy_at(&sample, copy, one, 2).backups, 1);
        assert_ok(prune_run(copy, &prune, &quiet, &pruned, err));
        assert_int_equal(strv_length(pruned.backups), 1);
        assert_string_equal(pruned.backups[0], b);
        assert_int_equal(copy_at(&sample, copy, one, 3).bytes, 0);
        assert_int_equal(sample_count(copy->storage, "packs", ".pack", NULL), 1);
        assert_int_equal(sample_count(copy->storage, "wal", ".zst", NULL), 2);
        expect_sound(copy, 1);
}

/* ---- completed while it is sent ---- */

static StorageOperations completing;
static const StorageOperations *patient;
static Sample *completed;

static int completing_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size,
                           size_t *ret_size, Error **err)
{
        if (completed && endswith(key, ".partial")) {
                sample_segment(completed, 1); /* takes the partial one's place */
                completed = NULL;
        }
        return patient->read(storage, key, offset, buffer, size, ret_size, err);
}

static void copy_while_completed(Sample *sample, Repository *copy)
{
        Storage *storage = sample->repository->storage;
        CopyOptions options = { .policy = everything, .now_ns = SAMPLE_EPOCH, .log_only = true };
        CopyReport report = { 0 };

        completed = sample;
        patient = storage->operations;
        completing = *patient;
        completing.read = completing_read;
        storage->operations = &completing;
        assert_ok(repository_copy(sample->repository, copy, &options, &quiet, &report, err));
        storage->operations = patient;
        assert_int_equal(report.copied_lsn, SAMPLE_SEGMENT + 9000);
        assert_int_equal(sample_count(copy->storage, "wal", ".zst", NULL), 1);
        assert_int_equal(sample_count(copy->storage, "wal", ".partial", NULL), 0);
        assert_int_equal(pieces_of(copy), 0);
}

/* A moment that a wrong clock noted does not stay when the right one has noted more; what is further in the log does. */
static void test_moments(void **state)
{
        static const struct {
                CaughtUp moment;
                Lsn stays;
        } rows[] = {
                { { 1, 1000, SAMPLE_EPOCH + 300 * DAY }, 1000 },
                { { 1, 2000, SAMPLE_EPOCH }, 2000 },
                { { 1, 1500, SAMPLE_EPOCH + DAY }, 2000 },
                { { 2, 1200, SAMPLE_EPOCH + DAY }, 1200 },
        };
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        _cleanup_free_ char *a = NULL;

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        a = sample_backup(&sample, 0, 0, 1);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                CaughtUp there;

                assert_ok(caught_up_write(sample.repository, &rows[i].moment, err));
                copy_at(&sample, copy, everything, 0);
                assert_true(caught_up_read(copy, &there));
                assert_true(there.lsn == rows[i].stays);
        }
}

/* What the report says is there is there, by the other name. */
static void test_completed_while_it_is_sent(void **state)
{
        for (int grown = 0; grown < 2; grown++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_(repository_freep) Repository *copy = NULL;
                _cleanup_free_ char *a = NULL;

                sample_begin(&sample);
                copy = open_copy(&sample, NULL);
                a = sample_backup(&sample, 0, 0, 1);
                for (int i = 0; grown && i < 3; i++) {
                        write_partial(&sample, 1, 5000 + (size_t)i * 1000);
                        copy_at(&sample, copy, everything, 0);
                }
                write_partial(&sample, 1, 9000);
                copy_while_completed(&sample, copy);
        }
}

/* ---- cut off at every change ---- */

static StorageOperations failing;
static const StorageOperations *real;
static unsigned left;

static int failing_commit(StorageWriter *writer, Error **err)
{
        if (left && left--)
                return real->write_commit(writer, err);
        real->write_abort(writer);
        return error_set(err, ERROR_UNAVAILABLE, "the line is cut");
}

static void test_cut_off_anywhere(void **state)
{
        unsigned changes = 0;

        for (bool done = false; !done; changes++) {
                _cleanup_sample_ Sample sample = { 0 };
                _cleanup_(repository_freep) Repository *copy = NULL;
                _cleanup_free_ char *a = NULL, *b = NULL;
                _cleanup_backup_list_ BackupList list = { 0 };
                CopyOptions options = { .policy = everything, .now_ns = SAMPLE_EPOCH + 2 * DAY };
                CopyReport report = { 0 };

                sample_begin(&sample);
                copy = open_copy(&sample, NULL);
                a = sample_backup(&sample, 0, 0, 4);
                b = sample_backup(&sample, 1, 2, 4);
                sample_segment(&sample, 1);
                sample_segment(&sample, 2);
                left = changes;
                real = copy->storage->operations;
                failing = *real;
                failing.write_commit = failing_commit;
                copy->storage->operations = &failing;
                done = repository_copy(sample.repository, copy, &options, &quiet, &report, NULL) == 0;
                copy->storage->operations = real;
                assert_ok(backup_list_load(copy, &list, err));
                assert_int_equal(list.records.length, report.backups);
                VECTOR_FOREACH(record, &list.records)
                        assert_true(sample_backup_is_whole(copy, (*record)->id));
                copy_at(&sample, copy, everything, 2);
                expect_sound(copy, 2);
        }
        assert_int_equal(changes, 2 + 2 * 2 + 2 * 2 + 1); /* segments, packs, records, and once without */
}

/* A chunk that cannot be found here: the backup waits, the others go. */
static void test_incomplete_backup_is_not_sent(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        _cleanup_free_ char *a = NULL, *b = NULL, *pack = NULL;
        CopyReport report;

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        a = sample_backup(&sample, 0, 0, 4);
        sample_count(sample.repository->storage, "packs", ".pack", &pack);
        assert_ok(sample.repository->storage->operations->remove(sample.repository->storage, pack, err));
        b = sample_backup(&sample, 1, 50, 4);
        report = copy_at(&sample, copy, everything, 1);
        assert_int_equal(report.postponed, 1);
        assert_int_equal(report.backups, 1);
        expect_sound(copy, 1);
        assert_true(sample_backup_is_whole(copy, b));
}

static void test_another_cluster_is_refused(void **state)
{
        _cleanup_sample_ Sample sample = { 0 };
        _cleanup_(repository_freep) Repository *copy = NULL;
        CopyOptions options = { .policy = everything };
        CopyReport report = { 0 };

        sample_begin(&sample);
        copy = open_copy(&sample, NULL);
        sample.repository->system_identifier++;
        assert_int_equal(repository_copy(sample.repository, copy, &options, &quiet, &report, NULL), -ERROR_CONFLICT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_of_it_and_then_what_is_new),
                cmocka_unit_test(test_sealed_copy_and_back),
                cmocka_unit_test(test_partial_segments_grow),
                cmocka_unit_test(test_a_slow_partial_segment_costs_little),
                cmocka_unit_test(test_expired_is_not_sent_again),
                cmocka_unit_test(test_moments),
                cmocka_unit_test(test_completed_while_it_is_sent),
                cmocka_unit_test(test_cut_off_anywhere),
                cmocka_unit_test(test_incomplete_backup_is_not_sent),
                cmocka_unit_test(test_another_cluster_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
