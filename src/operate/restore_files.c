#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/restore_private.h"
#include "postgres/crc32c.h"
#include "repository/pack.h"

#define MAX_THREADS 4
#define RUN_CHUNKS  128 /* 8 MiB of one file are one piece of work */
#define TELL_NS     (200 * NSEC_PER_MSEC)
#define PUSH_BYTES  (8u << 20)

typedef struct Laying {
        Repository *repository;
        const FileList *list;
        const RestoreOptions *options;
        const WorkProgress *progress;
        ChunkIndex index;
        int dir_fd;
        pthread_mutex_t lock; /* of all below */
        size_t file, chunk;   /* what nobody has begun yet */
        uint64_t done_bytes, total_bytes;
        int64_t told_ns;
        int result;
        Error *error;
} Laying;

/* Chunks are read by what the packs' indexes say of them: together that has to be the file of the list, or an index names
 * something else. Nothing is read for it. */
static int compare_checksum(const Laying *laying, const ListedFile *file, Error **err)
{
        _cleanup_free_ uint32_t *crcs = xnew_array(uint32_t, MAX(file->n_chunks, (size_t)1));

        for (size_t i = 0; i < file->n_chunks; i++) {
                const ChunkPlace *place = chunk_index_find(&laying->index, &file->chunks[i]);
                if (!place)
                        return 0; /* reading says what is lost */
                crcs[i] = place->crc32c;
        }
        if (file->type == 'f' && file->n_chunks &&
            crc32c_join_pieces(crcs, file->size_bytes, laying->repository->chunk_bytes) != file->crc32c)
                return error_set(err, ERROR_CORRUPT, "the indexes of the packs do not fit \"%s\"", file->path);
        return 0;
}

/* ---- content ---- */

typedef struct Run {
        const ListedFile *file;
        size_t first, n;
} Run;

static bool take_run(Laying *laying, Run *ret)
{
        bool found = false;

        pthread_mutex_lock(&laying->lock);
        while (laying->result == 0 && laying->file < laying->list->files.length) {
                const ListedFile *file = laying->list->files.items[laying->file];

                if (laying->chunk < file->n_chunks) {
                        *ret = (Run){ file, laying->chunk, MIN((size_t)RUN_CHUNKS, file->n_chunks - laying->chunk) };
                        laying->chunk += ret->n;
                        found = true;
                        break;
                }
                laying->file++;
                laying->chunk = 0;
        }
        pthread_mutex_unlock(&laying->lock);
        return found;
}

static size_t size_of_chunk(const Laying *laying, const ListedFile *file, size_t number)
{
        uint32_t chunk_bytes = laying->repository->chunk_bytes;

        return (size_t)MIN(file->size_bytes - (uint64_t)number * chunk_bytes, (uint64_t)chunk_bytes);
}

/* From the copy elsewhere where it is damaged here. */
static int read_chunk(Laying *laying, const ChunkId *id, size_t size, PackScratch *scratch, char *buffer, Error **err)
{
        const ChunkPlace *found = chunk_index_find(&laying->index, id);
        _cleanup_error_ Error *failure = NULL;
        int r;

        if (found && found->raw_bytes != size)
                r = error_set(&failure, ERROR_CORRUPT, "packs/%s.pack has a chunk of the wrong size",
                              laying->index.packs[found->pack]);
        else
                r = pack_read_chunk(laying->repository->storage, &laying->index, id, scratch, buffer, &failure);
        if (r == 0 || rescue_chunk(laying->options->rescue, failure, id, buffer, size))
                return 0;
        return error_move(err, &failure, r);
}

static int write_run(Laying *laying, const Run *run, PackScratch *scratch, char *buffer, uint64_t *ret_bytes,
                     Error **err)
{
        _cleanup_free_ char *place = restore_place(run->file);
        _cleanup_close_ int fd = openat(laying->dir_fd, place, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        off_t start = (off_t)(run->first * laying->repository->chunk_bytes), position = start;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", place);
        for (size_t i = run->first; i < run->first + run->n; i++) {
                size_t size = size_of_chunk(laying, run->file, i);
                int r = read_chunk(laying, &run->file->chunks[i], size, scratch, buffer, err);

                if (r < 0)
                        return error_prefix(err, r, "\"%s\"", run->file->path);
                if (pwrite(fd, buffer, size, position) != (ssize_t)size)
                        return error_set_errno(err, errno ? errno : ENOSPC, "write \"%s\"", place);
                position += (off_t)size;
        }
        sync_file_range(fd, start, position - start, SYNC_FILE_RANGE_WRITE);
        *ret_bytes = (uint64_t)(position - start);
        return 0;
}

static void note_run(Laying *laying, uint64_t bytes, int result, Error **error)
{
        int64_t now_ns = clock_monotonic_ns();

        pthread_mutex_lock(&laying->lock);
        laying->done_bytes += bytes;
        if (result < 0 && laying->result == 0) {
                laying->result = result;
                laying->error = TAKE_PTR(*error);
        }
        if (laying->result == 0 && progress_cancelled(laying->progress))
                laying->result = error_set(&laying->error, ERROR_CANCELLED, "cancelled");
        if (now_ns - laying->told_ns > TELL_NS) {
                laying->told_ns = now_ns;
                progress_bytes(laying->progress, "restore", laying->done_bytes, laying->total_bytes);
        }
        pthread_mutex_unlock(&laying->lock);
}

static void *work(void *context)
{
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        Laying *laying = context;
        _cleanup_free_ char *buffer = xmalloc(laying->repository->chunk_bytes);
        Run run;

        while (take_run(laying, &run)) {
                _cleanup_error_ Error *error = NULL;
                uint64_t bytes = 0;
                int r = write_run(laying, &run, scratch, buffer, &bytes, &error);

                note_run(laying, bytes, r, &error);
        }
        return NULL;
}

static int write_all(Laying *laying, Error **err)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned wanted = laying->options->threads ? laying->options->threads : (unsigned)MAX(processors, 1), n = 0;
        pthread_t threads[MAX_THREADS];

        for (; n < MIN(wanted, (unsigned)MAX_THREADS); n++)
                if (pthread_create(&threads[n], NULL, work, laying) != 0)
                        break;
        if (n == 0)
                work(laying);
        while (n > 0)
                pthread_join(threads[--n], NULL);
        return error_move(err, &laying->error, laying->result);
}

/* Where there is a copy to read from, a damaged index is one more thing to take from there. */
static int load_index(Laying *laying, Error **err)
{
        Storage *storage = laying->repository->storage;
        _cleanup_strv_ char **damaged = NULL;

        return laying->options->rescue ? chunk_index_load_sound(&laying->index, storage, &damaged, err)
                                       : chunk_index_load(&laying->index, storage, err);
}

int restore_files(Repository *repository, const FileList *list, int dir_fd, const RestoreOptions *options,
                  const WorkProgress *progress, Error **err)
{
        Laying laying = {
                .repository = repository, .list = list, .options = options, .progress = progress, .dir_fd = dir_fd
        };
        int r = load_index(&laying, err);

        pthread_mutex_init(&laying.lock, NULL);
        VECTOR_FOREACH(file, &list->files) {
                if (r < 0)
                        break;
                r = compare_checksum(&laying, *file, err);
                if (r == 0)
                        r = restore_make_entry(dir_fd, *file, options, err);
                laying.total_bytes += (*file)->type == 'f' ? (*file)->size_bytes : 0;
        }
        if (r == 0)
                r = write_all(&laying, err);
        if (r == 0)
                progress_bytes(progress, "restore", laying.total_bytes, laying.total_bytes);
        pthread_mutex_destroy(&laying.lock);
        chunk_index_done(&laying.index);
        return r;
}
