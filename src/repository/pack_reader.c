#include <inttypes.h>

#include "base/mem.h"
#include "postgres/crc32c.h"
#include "repository/pack_scratch.h"

PackScratch *pack_scratch_create(void)
{
        return xnew(PackScratch);
}

void pack_scratch_free(PackScratch *scratch)
{
        if (!scratch)
                return;
        ZSTD_freeCCtx(scratch->compressor);
        ZSTD_freeDCtx(scratch->decompressor);
        free(scratch->buffer);
        free(scratch);
}

void *pack_scratch_buffer(PackScratch *scratch, size_t size)
{
        if (scratch->buffer_size < size) {
                free(scratch->buffer);
                scratch->buffer = xmalloc(size);
                scratch->buffer_size = size;
        }
        return scratch->buffer;
}

static int damaged(Error **err, const char *pack, const ChunkPlace *place, const char *how)
{
        return error_set(err, ERROR_CORRUPT, "packs/%s.pack is damaged at %" PRIu64 ": %s", pack, place->offset, how);
}

int pack_read_chunk(Storage *storage, const ChunkIndex *index, const ChunkId *id, PackScratch *scratch, void *buffer,
                    Error **err)
{
        const ChunkPlace *place = chunk_index_find(index, id);
        _cleanup_free_ char *key = NULL;
        char digits[2 * CHUNK_ID_SIZE + 1];
        size_t got = 0;
        void *stored;
        int r;

        chunk_id_format(id, digits);
        if (!place || place->pack == CHUNK_IN_WORK)
                return error_set(err, ERROR_CORRUPT, "the repository has lost chunk %s", digits);
        if (!scratch->decompressor)
                scratch->decompressor = ZSTD_createDCtx();
        stored = pack_scratch_buffer(scratch, place->stored_bytes);
        key = xasprintf("packs/%s.pack", index->packs[place->pack]);
        r = storage->operations->read(storage, key, place->offset, stored, place->stored_bytes, &got, err);
        if (r < 0)
                return r;
        if (got < place->stored_bytes)
                return damaged(err, index->packs[place->pack], place, "it is cut off");
        if (ZSTD_decompressDCtx(scratch->decompressor, buffer, place->raw_bytes, stored, got) != place->raw_bytes)
                return damaged(err, index->packs[place->pack], place, "it cannot be decompressed");
        if (crc32c(buffer, place->raw_bytes) != place->crc32c)
                return damaged(err, index->packs[place->pack], place, "the content is not what its index says");
        return 0;
}
