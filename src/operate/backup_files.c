#include "operate/backup_files.h"

#include "base/clock.h"
#include "base/mem.h"
#include "postgres/backup_manifest.h"
#include "postgres/crc32c.h"

#define MANIFEST_NAME        "backup_manifest"
#define LABEL_NAME           "backup_label"
#define LABEL_OF_INCREMENTAL "INCREMENTAL FROM "
#define TELL_NS              (200 * NSEC_PER_MSEC)

void backup_files_done(BackupFiles *files)
{
        VECTOR_FOREACH(item, &files->in_work) {
                free(item->crcs);
                free(item->sent_path);
        }
        vector_done(&files->in_work);
        changed_file_free(files->changed);
        file_list_done(&files->list);
        strbuf_done(&files->manifest);
        free(files->prefix);
}

/* ---- content into chunks ---- */

static FileInWork *current(BackupFiles *files)
{
        return &files->in_work.items[files->in_work.length - 1];
}

void backup_files_begin_content(BackupFiles *files, ListedFile *file)
{
        file->n_chunks = (size_t)((file->size_bytes + files->chunk_bytes - 1) / files->chunk_bytes);
        file->chunks = file->n_chunks ? xnew_array(ChunkId, file->n_chunks) : NULL;
        vector_add(&files->in_work, (FileInWork){ file, xnew_array(uint32_t, MAX(file->n_chunks, (size_t)1)) });
        files->chunk = 0;
        files->filled = 0;
}

char *backup_files_buffer(BackupFiles *files)
{
        if (!files->buffer)
                files->buffer = chunk_pipeline_buffer(files->pipeline);
        return files->buffer;
}

void backup_files_post(BackupFiles *files)
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

        if (files->changed)
                return changed_file_content(files->changed, data, size, err);
        while (size > 0) {
                size_t n = MIN(size, files->chunk_bytes - files->filled);

                if (!backup_files_buffer(files))
                        return chunk_pipeline_finish(files->pipeline, err);
                memcpy(files->buffer + files->filled, data, n);
                files->filled += n;
                data += n;
                size -= n;
                if (files->filled == files->chunk_bytes)
                        backup_files_post(files);
        }
        return 0;
}

/* A server does not start from a label that speaks of another backup; what is in the repository needs none. */
static void make_label_whole(BackupFiles *files)
{
        FileInWork *item = current(files);
        size_t length = 0;

        item->sent_path = xstrdup(item->file->path);
        item->sent_bytes = files->filled;
        item->sent_crc32c = crc32c(files->buffer, files->filled);
        for (char *line = files->buffer, *end = line + files->filled, *next; line < end; line = next) {
                char *feed = memchr(line, '\n', (size_t)(end - line));
                next = feed ? feed + 1 : end;
                if ((size_t)(next - line) >= strlen(LABEL_OF_INCREMENTAL) &&
                    memcmp(line, LABEL_OF_INCREMENTAL, strlen(LABEL_OF_INCREMENTAL)) == 0)
                        continue;
                memmove(files->buffer + length, line, (size_t)(next - line));
                length += (size_t)(next - line);
        }
        item->file->size_bytes = files->filled = length;
}

static int on_entry_end(void *context, Error **err)
{
        BackupFiles *files = context;

        if (files->changed) {
                int r = changed_file_end(files->changed, err);

                changed_file_free(TAKE_PTR(files->changed));
                return r;
        }
        if (files->prior && files->filled && files->chunk == 0 && streq(current(files)->file->path, LABEL_NAME))
                make_label_whole(files);
        if (files->filled)
                backup_files_post(files);
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
        if (entry->type != 'f')
                return 0;
        if (files->prior && changed_path_is(file->path))
                return changed_file_begin(files, file, &files->changed, err);
        backup_files_begin_content(files, file);
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

        if (files->begin.start_lsn || !files->prior) /* else the server is about to refuse, and says why itself */
                progress_warning(files->progress, text);
}

void backup_files_init(BackupFiles *files, PackWriter *writer, const PriorBackup *prior, uint32_t chunk_bytes,
                       const WorkProgress *progress)
{
        *files = (BackupFiles){ .writer = writer, .prior = prior, .progress = progress, .chunk_bytes = chunk_bytes };
        files->tar =
                (TarStream){ .context = files, .entry = on_entry, .content = on_content, .entry_end = on_entry_end };
}

BaseBackupSink backup_files_sink(BackupFiles *files)
{
        return (BaseBackupSink){ files, on_begin, on_archive, on_data, on_manifest, on_warning };
}

/* ---- the end ---- */

int backup_files_add(BackupFiles *files, ListedFile *file, const void *content, Error **err)
{
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        FileInWork *item;

        vector_add(&files->list.files, file);
        backup_files_begin_content(files, file);
        item = current(files);
        for (size_t i = 0; i < file->n_chunks; i++) {
                size_t start = i * files->chunk_bytes,
                       n = (size_t)MIN(file->size_bytes - start, (uint64_t)files->chunk_bytes);
                const char *data = (const char *)content + start;
                int r;

                item->crcs[i] = crc32c(data, n);
                r = pack_writer_add(files->writer, scratch, data, n, item->crcs[i], &file->chunks[i], err);
                if (r < 0)
                        return r;
        }
        file->crc32c = crc32c_join_pieces(item->crcs, file->size_bytes, files->chunk_bytes);
        return 0;
}

ListedFile *backup_files_new(const char *path, size_t size)
{
        ListedFile *file = xnew(ListedFile);

        *file = (ListedFile){ .type = 'f',
                              .mode = 0600,
                              .mtime = clock_realtime_ns() / NSEC_PER_SEC,
                              .size_bytes = size,
                              .path = xstrdup(path) };
        return file;
}

/* As the files are now; without the pipeline, which has ended. */
static int store_manifest(BackupFiles *files, const Strbuf *manifest, Error **err)
{
        return backup_files_add(files, backup_files_new(MANIFEST_NAME, manifest->length), strbuf_text(manifest), err);
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
        VECTOR_FOREACH(item, &files->in_work)
                item->file->crc32c = crc32c_join_pieces(item->crcs, item->file->size_bytes, files->chunk_bytes);
}

/* Everything that the server says it sent has come, and nothing else but the log. */
static int compare_with_manifest(const BackupFiles *files, Error **err)
{
        _cleanup_strmap_ Strmap stated = STRMAP_INIT;
        size_t found = 0;
        int r = backup_manifest_parse(strbuf_text(&files->manifest), files->manifest.length, &stated, err);

        VECTOR_FOREACH(item, &files->in_work) {
                bool altered = item->sent_path != NULL;
                const char *path = altered ? item->sent_path : item->file->path;
                uint64_t size = altered ? item->sent_bytes : item->file->size_bytes;
                const ManifestFile *wanted = strmap_get(&stated, path);

                if (r < 0)
                        break;
                if (!wanted && !startswith(path, "pg_wal/"))
                        return error_set(err, ERROR_CORRUPT, "the server's manifest does not know \"%s\"", path);
                if (wanted && (wanted->size_bytes != size ||
                               wanted->crc32c != (altered ? item->sent_crc32c : item->file->crc32c)))
                        return error_set(err, ERROR_CORRUPT, "\"%s\" did not come as the server sent it", path);
                found += wanted != NULL;
        }
        if (r == 0 && found != stated.length)
                return error_set(err, ERROR_CORRUPT, "%zu of the files in the server's manifest did not come",
                                 stated.length - found);
        return r;
}

static void add_altered(const BackupFiles *files, ManifestChanges *changes)
{
        VECTOR_FOREACH(item, &files->in_work)
                if (item->sent_path)
                        vector_add(&changes->files, (ManifestChange){ item->sent_path,
                                                                      item->file->path,
                                                                      { item->file->size_bytes, item->file->crc32c } });
}

static int keep_manifest(BackupFiles *files, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        ManifestChanges changes = { 0 };
        int r;

        if (!files->prior)
                return store_manifest(files, &files->manifest, err);
        add_altered(files, &changes);
        r = backup_manifest_rewrite(strbuf_text(&files->manifest), files->manifest.length, &changes, &text, err);
        vector_done(&changes.files);
        return r < 0 ? r : store_manifest(files, &text, err);
}

static void write_manifest(const BackupFiles *files, const ServerIdentity *identity, Lsn stop_lsn, Strbuf *ret)
{
        bool first = true;

        backup_manifest_begin(ret, identity->version, identity->system_identifier);
        VECTOR_FOREACH(item, &files->in_work) {
                const ListedFile *file = item->file;

                if (startswith(file->path, "pg_wal/"))
                        continue;
                backup_manifest_add(ret, first, file->path, &(ManifestFile){ file->size_bytes, file->crc32c },
                                    file->mtime);
                first = false;
        }
        backup_manifest_end(ret, files->begin.timeline, files->begin.start_lsn, stop_lsn);
}

int backup_files_finish_read(BackupFiles *files, const ServerIdentity *identity, Lsn stop_lsn, Error **err)
{
        _cleanup_strbuf_ Strbuf manifest = STRBUF_INIT;
        int r;

        join_checksums(files);
        write_manifest(files, identity, stop_lsn, &manifest);
        r = store_manifest(files, &manifest, err);
        order_list(&files->list);
        return r;
}

int backup_files_finish(BackupFiles *files, Error **err)
{
        int r = end_archive(files, err);

        if (r == 0)
                r = chunk_pipeline_finish(files->pipeline, err);
        if (r < 0)
                return r;
        join_checksums(files);
        r = compare_with_manifest(files, err);
        if (r == 0)
                r = keep_manifest(files, err);
        order_list(&files->list);
        return r;
}
