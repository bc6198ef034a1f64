#include "operate/backup_changed.h"

#include "base/mem.h"
#include "base/strv.h"
#include "operate/backup_files.h"
#include "postgres/crc32c.h"

#define PREFIX       "INCREMENTAL."
#define MAGIC        0xd3ae1f0du
#define FIXED_BYTES  (3 * sizeof(uint32_t))
#define BLOCKS_LIMIT (1u << 24) /* of one file: segments have 131072 */

struct ChangedFile {
        BackupFiles *files;
        ListedFile *file;
        const ListedFile *prior;
        char *sent_path;
        uint64_t sent_bytes;
        uint32_t sent_crc32c;
        Strbuf header;           /* as far as it came */
        uint32_t *blocks;        /* numbers of those that come, ascending; NULL: the header is not complete */
        uint32_t n_blocks, next; /* next: the one that is coming */
        size_t in_block;         /* bytes of it that came */
        uint64_t kept_bytes;     /* of the prior file that count */
};

static const char *name_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool changed_path_is(const char *path)
{
        return startswith(name_of(path), PREFIX) != NULL;
}

int changed_file_begin(BackupFiles *files, ListedFile *file, ChangedFile **ret, Error **err)
{
        const char *name = name_of(file->path);
        _cleanup_free_ char *real = xasprintf("%.*s%s", (int)(name - file->path), file->path, name + strlen(PREFIX));
        const ListedFile *prior = prior_backup_file(files->prior, real);
        ChangedFile *changed;

        if (!prior)
                return error_set(err, ERROR_CORRUPT,
                                 "the server sends what changed of \"%s\", which backup %s does not have", real,
                                 files->prior->record->id);
        changed = xnew(ChangedFile);
        *changed = (ChangedFile){ .files = files, .file = file, .prior = prior, .sent_path = file->path };
        file->path = TAKE_PTR(real);
        *ret = changed;
        return 0;
}

void changed_file_free(ChangedFile *changed)
{
        if (!changed)
                return;
        strbuf_done(&changed->header);
        free(changed->blocks);
        free(changed->sent_path);
        free(changed);
}

static int damaged(const ChangedFile *changed, Error **err)
{
        return error_set(err, ERROR_CORRUPT, "\"%s\" came in an unknown form", changed->sent_path);
}

/* ---- chunks ---- */

static FileInWork *in_work(const ChangedFile *changed)
{
        return &changed->files->in_work.items[changed->files->in_work.length - 1];
}

/* The chunk that is next, in a buffer: the prior's bytes, then zeros. */
static int open_chunk(const ChangedFile *changed, Error **err)
{
        BackupFiles *files = changed->files;
        size_t size = prior_chunk_size(files->prior, changed->file->size_bytes, files->chunk);
        size_t kept = MIN(prior_chunk_size(files->prior, changed->kept_bytes, files->chunk), size);
        int r = 0;

        if (files->buffer)
                return 0;
        if (!backup_files_buffer(files))
                return chunk_pipeline_finish(files->pipeline, err);
        if (kept)
                r = prior_backup_read(files->prior, changed->prior, files->chunk, files->buffer, err);
        memset(files->buffer + kept, 0, size - kept);
        files->filled = size;
        return r;
}

/* The chunk that is next is done: what is in the buffer, or else the prior's. */
static int end_chunk(const ChangedFile *changed, Error **err)
{
        BackupFiles *files = changed->files;
        size_t n = files->chunk, size = prior_chunk_size(files->prior, changed->file->size_bytes, n);
        int r;

        if (!files->buffer && prior_chunk_size(files->prior, changed->kept_bytes, n) == size &&
            prior_chunk_size(files->prior, changed->prior->size_bytes, n) == size) {
                in_work(changed)->file->chunks[n] = changed->prior->chunks[n];
                in_work(changed)->crcs[n] = chunk_index_find(&files->prior->index, &changed->prior->chunks[n])->crc32c;
                files->chunk++;
                return 0;
        }
        r = open_chunk(changed, err);
        if (r == 0)
                backup_files_post(files);
        return r;
}

static int advance(const ChangedFile *changed, size_t chunk, Error **err)
{
        int r = 0;

        while (r == 0 && changed->files->chunk < chunk)
                r = end_chunk(changed, err);
        return r;
}

/* ---- the stream ---- */

static uint32_t number_at(const Strbuf *header, size_t n)
{
        uint32_t value;

        memcpy(&value, header->data + n * sizeof(value), sizeof(value));
        return value;
}

/* 0: not known yet. */
static size_t header_bytes(const ChangedFile *changed)
{
        size_t n, bytes;

        if (changed->header.length < FIXED_BYTES)
                return FIXED_BYTES;
        n = number_at(&changed->header, 1);
        bytes = FIXED_BYTES + MIN(n, (size_t)BLOCKS_LIMIT) * sizeof(uint32_t);
        return n ? (bytes + BACKUP_BLOCK_BYTES - 1) / BACKUP_BLOCK_BYTES * BACKUP_BLOCK_BYTES : bytes;
}

static int take_header(ChangedFile *changed, Error **err)
{
        uint32_t n = number_at(&changed->header, 1), length = number_at(&changed->header, 2), cut = length;

        if (number_at(&changed->header, 0) != MAGIC || n > BLOCKS_LIMIT || length > BLOCKS_LIMIT)
                return damaged(changed, err);
        changed->blocks = xnew_array(uint32_t, MAX(n, 1u));
        for (uint32_t i = 0; i < n; i++) {
                changed->blocks[i] = number_at(&changed->header, 3 + i);
                if (changed->blocks[i] >= BLOCKS_LIMIT || (i && changed->blocks[i] <= changed->blocks[i - 1]))
                        return damaged(changed, err);
                length = MAX(length, changed->blocks[i] + 1);
        }
        changed->n_blocks = n;
        changed->kept_bytes = MIN((uint64_t)cut, changed->prior->size_bytes / BACKUP_BLOCK_BYTES) * BACKUP_BLOCK_BYTES;
        changed->file->size_bytes = (uint64_t)length * BACKUP_BLOCK_BYTES;
        backup_files_begin_content(changed->files, changed->file);
        return 0;
}

static int take_block(ChangedFile *changed, const char *data, size_t size, Error **err)
{
        uint64_t position = (uint64_t)changed->blocks[changed->next] * BACKUP_BLOCK_BYTES;
        uint32_t chunk_bytes = changed->files->chunk_bytes;
        int r = advance(changed, (size_t)(position / chunk_bytes), err);

        if (r == 0)
                r = open_chunk(changed, err);
        if (r < 0)
                return r;
        memcpy(changed->files->buffer + position % chunk_bytes + changed->in_block, data, size);
        changed->in_block += size;
        if (changed->in_block == BACKUP_BLOCK_BYTES) {
                changed->in_block = 0;
                changed->next++;
        }
        return 0;
}

int changed_file_content(ChangedFile *changed, const char *data, size_t size, Error **err)
{
        changed->sent_bytes += size;
        changed->sent_crc32c = crc32c_add(changed->sent_crc32c, data, size);
        while (size > 0) {
                size_t n;
                int r = 0;

                if (!changed->blocks) {
                        n = MIN(size, header_bytes(changed) - changed->header.length);
                        strbuf_add(&changed->header, data, n);
                        if (changed->header.length >= FIXED_BYTES && changed->header.length == header_bytes(changed))
                                r = take_header(changed, err);
                } else if (changed->next < changed->n_blocks) {
                        n = MIN(size, BACKUP_BLOCK_BYTES - changed->in_block);
                        r = take_block(changed, data, n, err);
                } else {
                        return damaged(changed, err);
                }
                if (r < 0)
                        return r;
                data += n;
                size -= n;
        }
        return 0;
}

int changed_file_end(ChangedFile *changed, Error **err)
{
        FileInWork *item;
        int r;

        if (!changed->blocks || changed->next < changed->n_blocks)
                return damaged(changed, err);
        r = advance(changed, changed->file->n_chunks, err);
        item = in_work(changed);
        item->sent_path = TAKE_PTR(changed->sent_path);
        item->sent_bytes = changed->sent_bytes;
        item->sent_crc32c = changed->sent_crc32c;
        return r;
}
