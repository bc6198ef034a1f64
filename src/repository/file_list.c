#include "repository/file_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/strv.h"

#define FIRST_LINE "berth-files 1\n"
#define LIST_LIMIT ((size_t)2 << 30)
#define LEVEL      1 /* of zstd: names are random, a higher one takes five times as long and finds nothing */

void listed_file_free(ListedFile *file)
{
        if (!file)
                return;
        free(file->path);
        free(file->target);
        free(file->chunks);
        free(file);
}

void file_list_done(FileList *list)
{
        VECTOR_FOREACH(file, &list->files)
                listed_file_free(*file);
        vector_done(&list->files);
}

static char *list_key(const char *backup_id)
{
        return xasprintf("backups/%s/files.zst", backup_id);
}

/* ---- writing ---- */

static void add_escaped(Strbuf *text, const char *path)
{
        for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
                if (*c <= 0x20 || *c >= 0x7f || *c == '%')
                        strbuf_addf(text, "%%%02X", *c);
                else
                        strbuf_addc(text, (char)*c);
        }
}

static void add_file(Strbuf *text, const ListedFile *file)
{
        char digits[2 * CHUNK_ID_SIZE + 1];

        strbuf_addf(text, "%c %04o %u %u %" PRId64 " ", file->type, file->mode & 07777, file->uid, file->gid,
                    file->mtime);
        if (file->type == 'f')
                strbuf_addf(text, "%" PRIu64 " %08" PRIx32 " ", file->size_bytes, file->crc32c);
        add_escaped(text, file->path);
        if (file->type == 'l') {
                strbuf_addc(text, ' ');
                add_escaped(text, file->target);
        }
        strbuf_addc(text, '\n');
        for (size_t i = 0; i < file->n_chunks; i++) {
                chunk_id_format(&file->chunks[i], digits);
                strbuf_adds(text, "c ");
                strbuf_add(text, digits, sizeof(digits) - 1);
                strbuf_addc(text, '\n');
        }
}

/* Of a megabyte for each gigabyte that was backed up: by libcrypto. */
static char *digits_of(const char *text, size_t size)
{
        char *digits = xmalloc(2 * CHUNK_ID_SIZE + 1);
        ChunkId id;

        chunk_id_compute(text, size, &id);
        chunk_id_format(&id, digits);
        return digits;
}

static int store_compressed(Storage *storage, const char *key, const Strbuf *text, Error **err)
{
        size_t bound = ZSTD_compressBound(text->length), n;
        _cleanup_free_ void *buffer = xmalloc(bound);
        ZSTD_CCtx *compressor = ZSTD_createCCtx();

        ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, LEVEL);
        ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
        n = ZSTD_compress2(compressor, buffer, bound, strbuf_text(text), text->length);
        ZSTD_freeCCtx(compressor);
        if (ZSTD_isError(n))
                return error_set(err, ERROR_INTERNAL, "compress: %s", ZSTD_getErrorName(n));
        return storage_put(storage, key, buffer, n, err);
}

int file_list_write(Repository *repository, const char *backup_id, const FileList *list, char **ret_sha256, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *key = list_key(backup_id);
        int r;

        strbuf_adds(&text, FIRST_LINE);
        VECTOR_FOREACH(file, &list->files)
                add_file(&text, *file);
        r = store_compressed(repository->storage, key, &text, err);
        if (r == 0)
                *ret_sha256 = digits_of(strbuf_text(&text), text.length);
        return r;
}

/* ---- reading ---- */

/* Decodes in place; false where an escape is wrong or the path could leave its folder. */
static bool decode_path(char *path, bool may_be_absolute)
{
        char *to = path;

        for (char *from = path; *from; to++) {
                unsigned value;
                if (*from != '%') {
                        *to = *from++;
                } else {
                        if (sscanf(from, "%%%2X", &value) != 1 || !value)
                                return false;
                        *to = (char)value;
                        from += 3;
                }
        }
        *to = '\0';
        return may_be_absolute ? *path != '\0'
                               : *path != '/' && *path && !strstr(path, "//") && !startswith(path, "../") &&
                                         !strstr(path, "/../") && !endswith(path, "/..") && !streq(path, "..");
}

static bool parse_entry(char *line, ListedFile *file)
{
        unsigned long long size = 0;
        long long mtime;
        char *space;
        int used = 0;

        if (sscanf(line, "%c %o %u %u %lld %n", &file->type, &file->mode, &file->uid, &file->gid, &mtime, &used) != 5)
                return false;
        file->mtime = mtime;
        line += used;
        if (file->type == 'f') {
                used = 0;
                if (sscanf(line, "%llu %" SCNx32 " %n", &size, &file->crc32c, &used) != 2 || !used)
                        return false;
                file->size_bytes = size;
                line += used;
        }
        space = file->type == 'l' ? strchr(line, ' ') : NULL;
        if (space) {
                *space = '\0';
                file->target = xstrdup(space + 1);
                if (!decode_path(file->target, true))
                        return false;
        }
        file->path = xstrdup(line);
        return (file->type != 'l') == !file->target && strchr("dlf", file->type) && decode_path(file->path, false);
}

static uint64_t chunks_of(const ListedFile *file, uint32_t chunk_bytes)
{
        return file->type == 'f' ? (file->size_bytes + chunk_bytes - 1) / chunk_bytes : 0;
}

static int parse_list(char *text, uint32_t chunk_bytes, FileList *ret, Error **err)
{
        ListedFile *file = NULL;
        uint64_t wanted = 0;
        size_t number = 1;

        for (char *line = text, *next; *line; line = next, number++) {
                bool good;

                next = strchr(line, '\n');
                if (!next)
                        return error_set(err, ERROR_CORRUPT, "it is cut off");
                *next++ = '\0';
                if (startswith(line, "c ")) {
                        good = file && file->n_chunks < wanted && strlen(line) == 2 + 2 * CHUNK_ID_SIZE &&
                               chunk_id_parse(line + 2, &file->chunks[file->n_chunks++]);
                } else {
                        good = !file || file->n_chunks == wanted;
                        file = xnew(ListedFile);
                        vector_add(&ret->files, file);
                        good = good && parse_entry(line, file);
                        wanted = good ? chunks_of(file, chunk_bytes) : 0;
                        file->chunks = wanted && wanted < LIST_LIMIT ? xnew_array(ChunkId, wanted) : NULL;
                }
                if (!good)
                        return error_set(err, ERROR_CORRUPT, "line %zu is damaged", number + 1);
        }
        return file && file->n_chunks != wanted ? error_set(err, ERROR_CORRUPT, "chunks are missing at its end") : 0;
}

static int decompress(const Strbuf *stored, char **ret, size_t *ret_size, Error **err)
{
        unsigned long long size = ZSTD_getFrameContentSize(strbuf_text(stored), stored->length);
        _cleanup_free_ char *text = NULL;

        if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > LIST_LIMIT)
                return error_set(err, ERROR_CORRUPT, "it is no list of files");
        text = xmalloc((size_t)size + 1);
        if (ZSTD_decompress(text, (size_t)size, strbuf_text(stored), stored->length) != size)
                return error_set(err, ERROR_CORRUPT, "it cannot be decompressed");
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        *ret_size = (size_t)size;
        return 0;
}

static int read_list(Repository *repository, const char *key, const char *sha256, FileList *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf stored = STRBUF_INIT;
        _cleanup_free_ char *text = NULL, *digits = NULL;
        size_t size = 0;
        int r = storage_get(repository->storage, key, LIST_LIMIT, &stored, err);

        if (r == 0)
                r = decompress(&stored, &text, &size, err);
        if (r < 0)
                return r;
        digits = sha256 ? digits_of(text, size) : NULL;
        if (digits && !streq(digits, sha256))
                return error_set(err, ERROR_CORRUPT, "it is not the list that the backup's record names");
        if (!startswith(text, FIRST_LINE))
                return error_set(err, ERROR_UNSUPPORTED, "it was written by a newer Berth");
        return parse_list(text + strlen(FIRST_LINE), repository->chunk_bytes, ret, err);
}

int file_list_read(Repository *repository, const char *backup_id, const char *sha256, FileList *ret, Error **err)
{
        _cleanup_free_ char *key = list_key(backup_id);
        _cleanup_file_list_ FileList list = { 0 };
        int r = read_list(repository, key, sha256, &list, err);

        if (r < 0)
                return error_prefix(err, r, "\"%s\"", key);
        *ret = list;
        list = (FileList){ 0 };
        return 0;
}
