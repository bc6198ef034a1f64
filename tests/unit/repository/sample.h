/* A repository with backups of made-up files, in a temporary folder. */
#ifndef BERTH_TESTS_REPOSITORY_SAMPLE_H
#define BERTH_TESTS_REPOSITORY_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/strv.h"
#include "postgres/crc32c.h"
#include "repository/backup_record.h"
#include "repository/file_list.h"
#include "repository/pack.h"
#include "repository/wal_archive.h"

#define SAMPLE_SEGMENT (UINT32_C(1) << 20)
#define SAMPLE_CHUNK   REPOSITORY_CHUNK_BYTES
#define SAMPLE_EPOCH   INT64_C(1795132800000000000) /* 2026-11-20T00:00:00Z */

#define assert_ok(call)                                               \
        do {                                                          \
                _cleanup_error_ Error *failure_ = NULL;               \
                Error **err = &failure_;                              \
                if ((call) < 0)                                       \
                        fail_msg("%s: %s", #call, failure_->message); \
        } while (0)

static const WorkProgress quiet = { .cancel_fd = -1 };

typedef struct Sample {
        char folder[64];
        Repository *repository;
} Sample;

static inline void sample_begin(Sample *sample)
{
        snprintf(sample->folder, sizeof(sample->folder), "%s/berth-repository-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* in memory a sync costs nothing */
        assert_non_null(mkdtemp(sample->folder));
        assert_ok(repository_create(sample->folder, "shop", "db", 7412345678901234567, &sample->repository, err));
}

static inline void sample_end(Sample *sample)
{
        repository_free(sample->repository);
        fs_remove_tree(AT_FDCWD, sample->folder, NULL);
}
#define _cleanup_sample_ _cleanup_(sample_end)

/* Content that does not compress, the same for the same number. */
static inline void sample_fill(unsigned char *chunk, unsigned number)
{
        uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

        for (size_t i = 0; i < SAMPLE_CHUNK; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                chunk[i] = (unsigned char)x;
        }
}

/* A backup of one file with the chunks first … first + count - 1, that ended day days after SAMPLE_EPOCH and begins in
 * segment day + 1. Returns its id. */
static inline char *sample_backup(Sample *sample, unsigned day, unsigned first, unsigned count)
{
        _cleanup_chunk_index_ ChunkIndex index = { 0 };
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        _cleanup_(pack_writer_freep) PackWriter *writer = NULL;
        _cleanup_file_list_ FileList list = { 0 };
        _cleanup_free_ unsigned char *chunk = xmalloc(SAMPLE_CHUNK);
        ListedFile *file = xnew(ListedFile);
        int64_t time_ns = SAMPLE_EPOCH + day * INT64_C(86400) * NSEC_PER_SEC;
        _cleanup_free_ char *sha256 = NULL, *id = backup_id_new(sample->repository, time_ns);
        PackTotals totals;

        assert_ok(chunk_index_load(&index, sample->repository->storage, err));
        writer = pack_writer_create(sample->repository, &index, 1);
        *file = (ListedFile){ .type = 'f',
                              .mode = 0600,
                              .size_bytes = (uint64_t)count * SAMPLE_CHUNK,
                              .path = xstrdup("base/1/1259"),
                              .chunks = xnew_array(ChunkId, count),
                              .n_chunks = count };
        vector_add(&list.files, file);
        for (unsigned i = 0; i < count; i++) {
                sample_fill(chunk, first + i);
                assert_ok(pack_writer_add(writer, scratch, chunk, SAMPLE_CHUNK, crc32c(chunk, SAMPLE_CHUNK),
                                          &file->chunks[i], err));
        }
        assert_ok(pack_writer_finish(writer, &totals, err));
        assert_ok(file_list_write(sample->repository, id, &list, &sha256, err));
        assert_ok(backup_record_save(sample->repository,
                                     &(BackupRecord){ .id = id,
                                                      .started_ns = time_ns,
                                                      .finished_ns = time_ns,
                                                      .kind = (char *)"full",
                                                      .server_version = 150020,
                                                      .timeline = 1,
                                                      .start_lsn = (Lsn)(day + 1) * SAMPLE_SEGMENT + 40,
                                                      .stop_lsn = (Lsn)(day + 1) * SAMPLE_SEGMENT + 400,
                                                      .segment_bytes = SAMPLE_SEGMENT,
                                                      .files = 1,
                                                      .files_sha256 = sha256 },
                                     err));
        return TAKE_PTR(id);
}

static inline void sample_segment_on(Sample *sample, uint32_t timeline, unsigned number)
{
        _cleanup_free_ unsigned char *data = xcalloc(1, SAMPLE_SEGMENT);
        uint16_t magic[] = { 0xD110, 0x0002 };
        uint64_t address = (uint64_t)number * SAMPLE_SEGMENT;
        _cleanup_free_ char *partial = NULL, *folder = NULL;
        char name[WAL_NAME_SIZE];

        sample_fill(data, 100000 + number);
        memcpy(data, magic, 4);
        memcpy(data + 4, &timeline, 4);
        memcpy(data + 8, &address, 8);
        memcpy(data + 24, &sample->repository->system_identifier, 8);
        wal_segment_name(timeline, (Lsn)number * SAMPLE_SEGMENT, SAMPLE_SEGMENT, name);
        partial = wal_partial_path(sample->repository, name);
        folder = path_dirname(partial);
        assert_ok(fs_make_directories(folder, 0700, err));
        assert_ok(fs_write_file(AT_FDCWD, partial, data, SAMPLE_SEGMENT, 0600, err));
        assert_ok(wal_file_segment(sample->repository, name, SAMPLE_SEGMENT, err));
}

static inline void sample_segment(Sample *sample, unsigned number)
{
        sample_segment_on(sample, 1, number);
}

/* Whether every chunk of the backup can be read and is right. */
static inline bool sample_backup_is_whole(Repository *repository, const char *id)
{
        _cleanup_chunk_index_ ChunkIndex index = { 0 };
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        _cleanup_(backup_record_freep) BackupRecord *record = NULL;
        _cleanup_file_list_ FileList list = { 0 };
        _cleanup_free_ unsigned char *chunk = xmalloc(SAMPLE_CHUNK);

        if (chunk_index_load(&index, repository->storage, NULL) < 0 ||
            backup_record_load(repository, id, &record, NULL) < 0 ||
            file_list_read(repository, id, record->files_sha256, &list, NULL) < 0)
                return false;
        VECTOR_FOREACH(file, &list.files)
                for (size_t i = 0; i < (*file)->n_chunks; i++)
                        if (pack_read_chunk(repository->storage, &index, &(*file)->chunks[i], scratch, chunk, NULL) < 0)
                                return false;
        return true;
}

/* How many objects below folder end so; *ret_key (may be NULL) is the first one's, the caller's. */
static inline size_t sample_count(Storage *storage, const char *folder, const char *suffix, char **ret_key)
{
        _cleanup_storage_list_ StorageList list = { 0 };
        size_t n = 0;

        assert_ok(storage->operations->list(storage, folder, &list, err));
        VECTOR_FOREACH(entry, &list.entries)
                if (endswith(entry->key, suffix) && n++ == 0 && ret_key)
                        *ret_key = xstrdup(entry->key);
        return n;
}

/* Changes an object in the folder behind the repository's back: its size to size (-1: as it is), the byte at offset flipped
 * (-1: none). */
static inline void sample_damage(const Sample *sample, const char *key, off_t size, off_t offset)
{
        _cleanup_free_ char *path = path_join(sample->repository->path, key);
        _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
        unsigned char byte;

        assert_true(fd >= 0);
        if (size >= 0)
                assert_int_equal(ftruncate(fd, size), 0);
        if (offset < 0)
                return;
        assert_int_equal(pread(fd, &byte, 1, offset), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

#endif
