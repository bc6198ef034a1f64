#include "operate/backup_files.h"

#include "base/clock.h"
#include "base/mem.h"
#include "postgres/crc32c.h"
#include "postgres/backup_manifest.h"

#define MANIFEST_NAME "backup_manifest"
#define TELL_NS (200 * NSEC_PER_MSEC)

void backup_files_done(BackupFiles *files)
{
        VECTOR_FOREACH(item, &files->in_work)
                free(item->crcs);
        vector_done(&files->in_work);
        file_list_done(&files->list);
        strbuf_done(&files->manifest);
        free(files->prefix);
}

/* ---- content into chunks ---- */

static FileInWork *current(BackupFiles *files)
{
        return &files->in_work.items[files->in_work.length - 1];
}

static void begin_content(BackupFiles *files, ListedFile *file)
{
        file->n_chunks = (size_t)((file->size_bytes + files->chunk_bytes - 1) / files->chunk_bytes);
        file->chunks = file->n_chunks ? xnew_array(ChunkId, file->n_chunks) : NULL;
        vector_add(&files->in_work, (FileInWork){ file, xnew_array(uint32_t, MAX(file->n_chunks, (size_t)1)) });
        files->chunk = 0;
        files->filled = 0;
}

static void post_chunk(BackupFiles *files)
{
        FileInWork *item = current(files);

        chunk_pipeline_post(files->pipeline, TAKE_PTR(files->buffer), files->filled, &item->file->chunks[files->chunk],
                            &item->crcs[files->chunk]);
        files->chunk++;
        files->filled = 0;
}

static int on_content(void *context, const char *data, size_t size, Error **err)
{
        BackupFiles *files = context;

        while (size > 0) {
                size_t n = MIN(size, files->chunk_bytes - files->filled);

                if (!files->buffer)
                        files->buffer = chunk_pipeline_buffer(files->pipeline);
                if (!files->buffer)
                        return chunk_pipeline_finish(files->pipeline, err);
                memcpy(files->buffer + files->filled, data, n);
                files->filled += n;
                data += n;
                size -= n;
                if (files->filled == files->chunk_bytes)
                        post_chunk(files);
        }
        return 0;
}

static int on_entry_end(void *context, Error **err)
{
        BackupFiles *files = context;

        if (files->filled)
                post_chunk(files);
        return 0;
}

static int on_entry(void *context, const TarEntry *entry, Error **err)
{
        BackupFiles *files = context;
        ListedFile *file;

        if (streq(entry->path, "."))
                return 0; /* the data folder itself */
        file = xnew(ListedFile);
        *file = (ListedFile){
                .type = entry->type,
                .mode = entry->mode,
                .uid = entry->uid,
                .gid = entry->gid,
                .mtime = entry->mtime,
                .size_bytes = entry->size_bytes,
                .path = files->prefix ? xasprintf("%s/%s", files->prefix, entry->path) : xstrdup(entry->path),
                .target = entry->type == 'l' ? xstrdup(entry->target) : NULL,
        };
        vector_add(&files->list.files, file);
        if (entry->type == 'f')
                begin_content(files, file);
        return 0;
}

/* ---- the stream ---- */

static int on_begin(void *context, const BaseBackupBegin *begin, Error **err)
{
        BackupFiles *files = context;

        files->begin = *begin;
        return 0;
}

static int end_archive(BackupFiles *files, Error **err)
{
        int r = files->in_archive ? tar_stream_end(&files->tar, err) : 0;

        files->in_archive = false;
        return r;
}

static int on_archive(void *context, const char *oid, const char *location, Error **err)
{
        BackupFiles *files = context;
        int r = end_archive(files, err);

        free_and_replace(&files->prefix, oid ? xasprintf("pg_tblspc/%s", oid) : NULL);
        files->in_archive = true;
        return r;
}

static int on_data(void *context, const char *data, size_t size, Error **err)
{
        BackupFiles *files = context;
        int64_t now_ns = clock_monotonic_ns();

        files->received_bytes += size;
        if (now_ns - files->told_ns > TELL_NS) {
                files->told_ns = now_ns;
                progress_bytes(files->progress, "base backup", files->received_bytes,
                               MAX(files->begin.total_bytes, files->received_bytes));
        }
        return tar_stream_add(&files->tar, data, size, err);
}

static int on_manifest(void *context, const char *data, size_t size, Error **err)
{
        BackupFiles *files = context;

        strbuf_add(&files->manifest, data, size);
        return 0;
}

static void on_warning(void *context, const char *text)
{
        BackupFiles *files = context;

        progress_warning(files->progress, text);
}

void backup_files_init(BackupFiles *files, ChunkPipeline *pipeline, uint32_t chunk_bytes, const WorkProgress *progress)
{
        *files = (BackupFiles){ .pipeline = pipeline, .progress = progress, .chunk_bytes = chunk_bytes };
        files->tar = (TarStream){ .context = files,
                                  .entry = on_entry,
                                  .content = on_content,
                                  .entry_end = on_entry_end };
}

BaseBackupSink backup_files_sink(BackupFiles *files)
{
        return (BaseBackupSink){ files, on_begin, on_archive, on_data, on_manifest, on_warning };
}

/* ---- the end ---- */

static int store_manifest(BackupFiles *files, Error **err)
{
        const TarEntry entry = { .type = 'f',
                                 .mode = 0600,
                                 .mtime = clock_realtime_ns() / NSEC_PER_SEC,
                                 .size_bytes = files->manifest.length,
                                 .path = MANIFEST_NAME };
        int r;

        free_and_replace(&files->prefix, NULL);
        r = on_entry(files, &entry, err);
        if (r == 0)
                r = on_content(files, strbuf_text(&files->manifest), files->manifest.length, err);
        return r < 0 ? r : on_entry_end(files, err);
}

/* Servers send tablespaces first: what is in them comes behind the links that lead there. */
static void order_list(FileList *list)
{
        FileList ordered = { 0 };

        for (int inside = 0; inside < 2; inside++)
                VECTOR_FOREACH(file, &list->files) {
                        const char *rest = startswith((*file)->path, "pg_tblspc/");
                        if (inside == (rest && strchr(rest, '/')))
                                vector_add(&ordered.files, *file);
                }
        vector_done(&list->files);
        *list = ordered;
}

static void join_checksums(BackupFiles *files)
{
        Crc32cJoin whole, last;

        crc32c_join_init(&whole, files->chunk_bytes);
        VECTOR_FOREACH(item, &files->in_work) {
                ListedFile *file = item->file;
                size_t rest = (size_t)(file->size_bytes % files->chunk_bytes);

                file->crc32c = item->crcs[0];
                if (file->n_chunks > 1 && rest)
                        crc32c_join_init(&last, rest);
                for (size_t i = 1; i < file->n_chunks; i++)
                        file->crc32c = crc32c_join(i + 1 == file->n_chunks && rest ? &last : &whole, file->crc32c,
                                                   item->crcs[i]);
        }
}

/* Everything that the server says it sent has come, and nothing else but the log and the manifest. */
static int compare_with_manifest(const BackupFiles *files, Error **err)
{
        _cleanup_strmap_ Strmap stated = STRMAP_INIT;
        size_t found = 0;
        int r = backup_manifest_parse(strbuf_text(&files->manifest), files->manifest.length, &stated, err);

        VECTOR_FOREACH(item, &files->in_work) {
                const ManifestFile *wanted = strmap_get(&stated, item->file->path);

                if (r < 0)
                        break;
                if (!wanted && !startswith(item->file->path, "pg_wal/") && !streq(item->file->path, MANIFEST_NAME))
                        return error_set(err, ERROR_CORRUPT, "the server's manifest does not know \"%s\"", item->file->path);
                if (wanted && (wanted->size_bytes != item->file->size_bytes || wanted->crc32c != item->file->crc32c))
                        return error_set(err, ERROR_CORRUPT, "\"%s\" did not come as the server sent it", item->file->path);
                found += wanted != NULL;
        }
        if (r == 0 && found != stated.length)
                return error_set(err, ERROR_CORRUPT, "%zu of the files in the server's manifest did not come",
                                 stated.length - found);
        return r;
}

int backup_files_finish(BackupFiles *files, Error **err)
{
        int r = end_archive(files, err);

        if (r == 0)
                r = store_manifest(files, err);
        if (r == 0)
                r = chunk_pipeline_finish(files->pipeline, err);
        if (r < 0)
                return r;
        order_list(&files->list);
        join_checksums(files);
        return compare_with_manifest(files, err);
}
