#include <inttypes.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "repository/pack_scratch.h"

#define WRITE_BYTES (1u << 20) /* collected before it goes to the storage */

/* A pack in work. */
typedef struct OpenPack {
        char id[33];
        uint32_t number; /* in the index */
        StorageWriter *writer;
        Strbuf collected, lines;
        uint64_t offset;
} OpenPack;

struct PackWriter {
        Repository *repository;
        ChunkIndex *index;
        int level;
        pthread_mutex_t lock; /* of all below, and of index */
        OpenPack *pack;       /* NULL: none begun */
        PackTotals totals;
};

PackWriter *pack_writer_create(Repository *repository, ChunkIndex *index, int level)
{
        PackWriter *writer = xnew(PackWriter);

        *writer = (PackWriter){ .repository = repository, .index = index, .level = level };
        pthread_mutex_init(&writer->lock, NULL);
        return writer;
}

static void open_pack_free(OpenPack *pack)
{
        strbuf_done(&pack->collected);
        strbuf_done(&pack->lines);
        free(pack);
}

void pack_writer_free(PackWriter *writer)
{
        if (!writer)
                return;
        if (writer->pack) {
                writer->repository->storage->operations->write_abort(writer->pack->writer);
                open_pack_free(writer->pack);
        }
        pthread_mutex_destroy(&writer->lock);
        free(writer);
}

static int pack_open(PackWriter *writer, Error **err)
{
        Storage *storage = writer->repository->storage;
        _cleanup_free_ char *key = NULL, *digits = NULL;
        OpenPack *pack = xnew(OpenPack);
        unsigned char random[16];
        int r;

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                abort();
        digits = hex_encode(random, sizeof(random));
        memcpy(pack->id, digits, sizeof(pack->id));
        key = xasprintf("packs/%s.pack", pack->id);
        r = storage->operations->write_begin(storage, key, &pack->writer, err);
        if (r < 0) {
                open_pack_free(pack);
                return r;
        }
        pack->number = chunk_index_add_pack(writer->index, pack->id);
        writer->pack = pack;
        return 0;
}

static int pack_flush(const PackWriter *writer, OpenPack *pack, Error **err)
{
        const StorageOperations *operations = writer->repository->storage->operations;
        int r = operations->write_add(pack->writer, strbuf_text(&pack->collected), pack->collected.length, err);

        strbuf_truncate(&pack->collected, 0);
        return r;
}

/* The pack first, then the index that makes it count. Takes the pack; without the lock, since it waits for the disk. */
static int pack_close(const PackWriter *writer, OpenPack *pack, Error **err)
{
        Storage *storage = writer->repository->storage;
        _cleanup_free_ char *key = xasprintf("packs/%s.index", pack->id);
        int r = pack_flush(writer, pack, err);

        if (r < 0)
                storage->operations->write_abort(pack->writer);
        else
                r = storage->operations->write_commit(pack->writer, err);
        if (r == 0)
                r = storage_put(storage, key, strbuf_text(&pack->lines), pack->lines.length, err);
        open_pack_free(pack);
        return r;
}

/* Under the lock. *ret_full is a pack that the caller closes once the lock is open again. */
static int append(PackWriter *writer, const ChunkId *id, ChunkPlace *place, const void *stored, OpenPack **ret_full,
                  Error **err)
{
        OpenPack *pack;
        int r = writer->pack ? 0 : pack_open(writer, err);

        if (r < 0)
                return r;
        pack = writer->pack;
        place->pack = pack->number;
        place->offset = pack->offset;
        strbuf_add(&pack->collected, stored, place->stored_bytes);
        chunk_line_add(&pack->lines, id, place);
        chunk_index_put(writer->index, id, place);
        pack->offset += place->stored_bytes;
        writer->totals.new_chunks++;
        writer->totals.new_raw_bytes += place->raw_bytes;
        writer->totals.new_stored_bytes += place->stored_bytes;
        if (pack->offset >= PACK_BYTES) {
                *ret_full = TAKE_PTR(writer->pack);
                writer->totals.packs++;
                return 0;
        }
        return pack->collected.length >= WRITE_BYTES ? pack_flush(writer, pack, err) : 0;
}

static int compress(const PackWriter *writer, PackScratch *scratch, const void *data, size_t size, const void **ret,
                    size_t *ret_size, Error **err)
{
        size_t bound = ZSTD_compressBound(size), n;
        void *buffer = pack_scratch_buffer(scratch, bound);

        if (!scratch->compressor) {
                scratch->compressor = ZSTD_createCCtx();
                ZSTD_CCtx_setParameter(scratch->compressor, ZSTD_c_compressionLevel, writer->level);
                ZSTD_CCtx_setParameter(scratch->compressor, ZSTD_c_checksumFlag, 1);
        }
        n = ZSTD_compress2(scratch->compressor, buffer, bound, data, size);
        if (ZSTD_isError(n))
                return error_set(err, ERROR_INTERNAL, "compress: %s", ZSTD_getErrorName(n));
        *ret = buffer;
        *ret_size = n;
        return 0;
}

/* Claims a chunk that nobody has stored yet; false where it is there or in work. */
static bool claim(PackWriter *writer, const ChunkId *id, size_t size)
{
        const ChunkPlace in_work = { .pack = CHUNK_IN_WORK };
        bool is_new;

        pthread_mutex_lock(&writer->lock);
        is_new = !chunk_index_find(writer->index, id);
        if (is_new)
                chunk_index_put(writer->index, id, &in_work);
        writer->totals.chunks++;
        writer->totals.raw_bytes += size;
        pthread_mutex_unlock(&writer->lock);
        return is_new;
}

int pack_writer_add_named(PackWriter *writer, PackScratch *scratch, const void *data, size_t size, uint32_t crc32c,
                          const ChunkId *id, Error **err)
{
        ChunkPlace place = { .raw_bytes = (uint32_t)size, .crc32c = crc32c };
        OpenPack *full = NULL;
        const void *stored = NULL;
        size_t stored_bytes = 0;
        int r;

        if (!claim(writer, id, size))
                return 0;
        r = compress(writer, scratch, data, size, &stored, &stored_bytes, err);
        if (r < 0)
                return r;
        place.stored_bytes = (uint32_t)stored_bytes;
        pthread_mutex_lock(&writer->lock);
        r = append(writer, id, &place, stored, &full, err);
        pthread_mutex_unlock(&writer->lock);
        return r < 0 || !full ? r : pack_close(writer, full, err);
}

int pack_writer_add(PackWriter *writer, PackScratch *scratch, const void *data, size_t size, uint32_t crc32c,
                    ChunkId *ret_id, Error **err)
{
        chunk_id_compute(data, size, ret_id);
        return pack_writer_add_named(writer, scratch, data, size, crc32c, ret_id, err);
}

int pack_writer_finish(PackWriter *writer, PackTotals *ret, Error **err)
{
        int r = 0;

        if (writer->pack) {
                writer->totals.packs++;
                r = pack_close(writer, TAKE_PTR(writer->pack), err);
        }
        *ret = writer->totals;
        return r;
}
