#include "operate/backup_read.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/parallel.h"
#include "postgres/crc32c.h"
#include "postgres/data_files.h"
#include "postgres/page.h"
#include "repository/pack.h"

#define MAX_THREADS  4
#define RUN_CHUNKS   64 /* 4 MiB of one file are one piece of work */
#define TELL_NS      (200 * NSEC_PER_MSEC)
#define PAUSE_NS     (50 * NSEC_PER_MSEC)
#define PAGE_TRIES   5
#define PAGE_WAIT_NS (10 * NSEC_PER_MSEC)
#define WARNINGS_MAX 20

/* Some chunks of one file. */
typedef struct Run {
        size_t item; /* of files->in_work */
        size_t first, n;
} Run;

/* What one thread works with. */
typedef struct Desk {
        struct Desk *next;
        PackScratch *scratch;
        char *buffer; /* of two chunks */
} Desk;

typedef struct Reading {
        BackupFiles *files;
        const ClusterFolder *folder;
        const BackupReadOptions *options;
        VECTOR(Run) runs;
        uint64_t total_bytes;
        int64_t started_ns;
        pthread_mutex_t lock; /* of all below */
        Desk *desks;          /* that nobody uses */
        bool *gone;           /* by item */
        uint64_t done_bytes, damaged_pages;
        int result; /* of the first that failed */
        Error *error;
} Reading;

static Desk *take_desk(Reading *reading)
{
        Desk *desk;

        pthread_mutex_lock(&reading->lock);
        desk = reading->desks;
        if (desk)
                reading->desks = desk->next;
        pthread_mutex_unlock(&reading->lock);
        if (desk)
                return desk;
        desk = xnew(Desk);
        *desk = (Desk){ .scratch = pack_scratch_create(), .buffer = xmalloc((size_t)2 * reading->files->chunk_bytes) };
        return desk;
}

static void give_back(Reading *reading, Desk *desk)
{
        pthread_mutex_lock(&reading->lock);
        desk->next = reading->desks;
        reading->desks = desk;
        pthread_mutex_unlock(&reading->lock);
}

static void reading_done(Reading *reading)
{
        for (Desk *desk; (desk = reading->desks);) {
                reading->desks = desk->next;
                pack_scratch_free(desk->scratch);
                free(desk->buffer);
                free(desk);
        }
        vector_done(&reading->runs);
        free(reading->gone);
        error_free(reading->error);
        pthread_mutex_destroy(&reading->lock);
}

static bool is_over(Reading *reading)
{
        bool over;

        pthread_mutex_lock(&reading->lock);
        if (reading->result == 0 && progress_cancelled(reading->files->progress))
                reading->result = error_set(&reading->error, ERROR_CANCELLED, "cancelled");
        over = reading->result < 0;
        pthread_mutex_unlock(&reading->lock);
        return over;
}

static void note_failure(Reading *reading, int result, Error **error)
{
        pthread_mutex_lock(&reading->lock);
        if (reading->result == 0) {
                reading->result = result;
                reading->error = TAKE_PTR(*error);
        }
        pthread_mutex_unlock(&reading->lock);
}

static void note_bytes(Reading *reading, uint64_t bytes)
{
        BackupFiles *files = reading->files;
        int64_t now_ns = clock_monotonic_ns();

        pthread_mutex_lock(&reading->lock);
        reading->done_bytes += bytes;
        if (now_ns - files->told_ns > TELL_NS) {
                files->told_ns = now_ns;
                progress_bytes(files->progress, reading->options->name, reading->done_bytes, reading->total_bytes);
        }
        pthread_mutex_unlock(&reading->lock);
}

/* Waits until bytes more are allowed. False where the backup is over meanwhile. */
static bool keep_pace(Reading *reading)
{
        const struct timespec pause = { .tv_nsec = PAUSE_NS };
        int64_t rate = reading->options->max_rate_kib * 1024;

        while (rate) {
                int64_t due_ns;

                pthread_mutex_lock(&reading->lock);
                due_ns = (int64_t)((double)reading->done_bytes / (double)rate * (double)NSEC_PER_SEC);
                pthread_mutex_unlock(&reading->lock);
                if (clock_monotonic_ns() - reading->started_ns >= due_ns)
                        break;
                if (is_over(reading))
                        return false;
                nanosleep(&pause, NULL);
        }
        return true;
}

/* ---- pages ---- */

static void note_damage(Reading *reading, const char *path, uint64_t block)
{
        pthread_mutex_lock(&reading->lock);
        if (reading->damaged_pages++ < WARNINGS_MAX) {
                _cleanup_free_ char *text = xasprintf("block %" PRIu64 " of \"%s\" fails its checksum", block, path);
                progress_warning(reading->files->progress, text);
        }
        pthread_mutex_unlock(&reading->lock);
}

/* The server may be writing it at this moment, so it is looked at again; one that was written since the backup began comes
 * whole out of the log. */
static bool becomes_sound(const Reading *reading, int fd, off_t position, char *page, uint32_t block)
{
        const struct timespec pause = { .tv_nsec = PAGE_WAIT_NS };

        for (int i = 0; i < PAGE_TRIES; i++) {
                if (i)
                        nanosleep(&pause, NULL);
                if (pread(fd, page, PAGE_SIZE_BYTES, position) != PAGE_SIZE_BYTES)
                        return true; /* cut off meanwhile */
                if (page_is_sound(page, block, reading->options->start_lsn))
                        return true;
        }
        return false;
}

static void check_pages(Reading *reading, const ListedFile *file, int fd, off_t position, size_t size, char *buffer)
{
        const char *name = strrchr(file->path, '/');
        uint64_t segment_blocks = cluster_folder_segment_blocks(reading->folder);
        RelationFile relation;

        relation_file_parse(name + 1, &relation); /* it was one already, see has_pages */
        for (size_t i = 0; i + PAGE_SIZE_BYTES <= size; i += PAGE_SIZE_BYTES) {
                uint64_t block = ((uint64_t)position + i) / PAGE_SIZE_BYTES;
                uint32_t number = (uint32_t)(relation.segment * segment_blocks + block);

                if (!page_is_sound(buffer + i, number, reading->options->start_lsn) &&
                    !becomes_sound(reading, fd, position + (off_t)i, buffer + i, number))
                        note_damage(reading, file->path, block);
        }
}

static bool has_pages(const Reading *reading, const ListedFile *file)
{
        const char *name = strrchr(file->path, '/');
        _cleanup_free_ char *folder = name ? xstrndup(file->path, (size_t)(name - file->path)) : NULL;
        RelationFile relation;

        return reading->options->check_pages && name && data_folder_has_relations(folder) &&
               relation_file_parse(name + 1, &relation);
}

/* ---- content ---- */

static size_t size_of_chunk(const BackupFiles *files, const ListedFile *file, size_t number)
{
        return (size_t)MIN(file->size_bytes - (uint64_t)number * files->chunk_bytes, (uint64_t)files->chunk_bytes);
}

static int read_fully(int fd, char *buffer, size_t size, off_t position)
{
        size_t got = 0;

        while (got < size) {
                ssize_t n = pread(fd, buffer + got, size - got, position + (off_t)got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                got += (size_t)n;
        }
        memset(buffer + got, 0, size - got);
        return 0;
}

/* n chunks, one or two, from the desk's buffer. */
static int store_chunks(const BackupFiles *files, FileInWork *item, size_t first, size_t n, const Desk *desk,
                        Error **err)
{
        ChunkId *ids = item->file->chunks + first;
        Sha256Piece pieces[2];
        int r = 0;

        for (size_t i = 0; i < n; i++)
                pieces[i] = (Sha256Piece){ desk->buffer + i * files->chunk_bytes,
                                           size_of_chunk(files, item->file, first + i) };
        chunk_ids_compute(pieces, n, (ChunkId *[]){ &ids[0], &ids[n - 1] });
        for (size_t i = 0; i < n && r == 0; i++) {
                uint32_t *crc = &item->crcs[first + i];

                *crc = crc32c(pieces[i].data, pieces[i].size);
                r = pack_writer_add_named(files->writer, desk->scratch, pieces[i].data, pieces[i].size, *crc, &ids[i],
                                          err);
        }
        return r;
}

static int read_run(Reading *reading, const Run *run, Desk *desk, int fd, Error **err)
{
        BackupFiles *files = reading->files;
        FileInWork *item = &files->in_work.items[run->item];
        bool with_pages = has_pages(reading, item->file);

        for (size_t i = run->first, n; i < run->first + run->n; i += n) {
                off_t position = (off_t)(i * files->chunk_bytes);
                size_t size;
                int r;

                n = MIN((size_t)2, run->first + run->n - i);
                size = (n - 1) * files->chunk_bytes + size_of_chunk(files, item->file, i + n - 1);
                if (!keep_pace(reading))
                        return 0;
                r = read_fully(fd, desk->buffer, size, position);
                if (r < 0)
                        return error_set_errno(err, -r, "read \"%s\"", item->file->path);
                if (with_pages)
                        check_pages(reading, item->file, fd, position, size, desk->buffer);
                r = store_chunks(files, item, i, n, desk, err);
                if (r < 0)
                        return r;
                note_bytes(reading, size);
        }
        return 0;
}

static void run_step(void *context, size_t number)
{
        Reading *reading = context;
        const Run *run = &reading->runs.items[number];
        const ListedFile *file = reading->files->in_work.items[run->item].file;
        _cleanup_close_ int fd = -1;
        _cleanup_error_ Error *error = NULL;
        Desk *desk;
        int r;

        if (is_over(reading))
                return;
        fd = cluster_folder_open_file(reading->folder, file->path);
        if (fd == -ENOENT) {
                __atomic_store_n(&reading->gone[run->item], true, __ATOMIC_RELAXED);
                return;
        }
        desk = take_desk(reading);
        r = fd < 0 ? error_set_errno(&error, -fd, "open \"%s\"", file->path) : read_run(reading, run, desk, fd, &error);
        give_back(reading, desk);
        if (r < 0)
                note_failure(reading, r, &error);
}

/* ---- all ---- */

static void plan_runs(Reading *reading, size_t first)
{
        BackupFiles *files = reading->files;

        for (size_t i = first; i < files->list.files.length; i++) {
                ListedFile *file = files->list.files.items[i];

                if (file->type != 'f')
                        continue;
                backup_files_begin_content(files, file);
                reading->total_bytes += file->size_bytes;
                for (size_t chunk = 0; chunk < file->n_chunks; chunk += RUN_CHUNKS)
                        vector_add(&reading->runs, (Run){ files->in_work.length - 1, chunk,
                                                          MIN((size_t)RUN_CHUNKS, file->n_chunks - chunk) });
        }
        reading->gone = xnew_array(bool, MAX(files->in_work.length, (size_t)1));
}

static void forget_gone(Reading *reading, size_t first, size_t first_item)
{
        BackupFiles *files = reading->files;
        size_t kept = first, kept_items = first_item, item = first_item;

        for (size_t i = first; i < files->list.files.length; i++) {
                ListedFile *file = files->list.files.items[i];
                bool gone = file->type == 'f' && reading->gone[item];

                if (file->type == 'f') {
                        if (gone)
                                free(files->in_work.items[item].crcs);
                        else
                                files->in_work.items[kept_items++] = files->in_work.items[item];
                        item++;
                }
                if (gone)
                        listed_file_free(file);
                else
                        files->list.files.items[kept++] = file;
        }
        files->list.files.length = kept;
        files->in_work.length = kept_items;
}

int backup_read(BackupFiles *files, const ClusterFolder *folder, size_t first, const BackupReadOptions *options,
                Error **err)
{
        _cleanup_(reading_done) Reading reading = {
                .files = files, .folder = folder, .options = options, .started_ns = clock_monotonic_ns()
        };
        size_t first_item = files->in_work.length,
               threads = options->threads ? options->threads : parallel_processors();

        pthread_mutex_init(&reading.lock, NULL);
        plan_runs(&reading, first);
        parallel_run(reading.runs.length, MIN(threads, (size_t)MAX_THREADS), run_step, &reading);
        if (reading.result < 0)
                return error_move(err, &reading.error, reading.result);
        progress_bytes(files->progress, options->name, reading.total_bytes, reading.total_bytes);
        forget_gone(&reading, first, first_item);
        return reading.damaged_pages
                       ? error_set(err, ERROR_CORRUPT, "%" PRIu64 " pages fail their checksum", reading.damaged_pages)
                       : 0;
}
