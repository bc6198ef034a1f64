/* Packs: files of some 64 MiB that hold compressed chunks one after the other, each a zstd frame of its own with content
 * size and checksum. "<id>.index" beside a pack says which chunk lies where; it is written after the pack, so a pack
 * without one is the remains of a crash. */
#ifndef BERTH_REPOSITORY_PACK_H
#define BERTH_REPOSITORY_PACK_H

#include "repository/chunk.h"
#include "repository/repository.h"

#define PACK_BYTES (64u << 20)

typedef struct PackWriter PackWriter;
typedef struct PackScratch PackScratch; /* what one thread needs to compress */

typedef struct PackTotals {
        uint64_t chunks, raw_bytes; /* all that were added */
        uint64_t new_chunks, new_raw_bytes, new_stored_bytes;
        uint64_t packs;
} PackTotals;

/* index must hold what the repository has; the writer adds to it, and nobody else touches it meanwhile.
 * level: of zstd. Both are borrowed for the writer's life. */
PackWriter *pack_writer_create(Repository *repository, ChunkIndex *index, int level);
/* What was not finished is thrown away. Accepts NULL. */
void pack_writer_free(PackWriter *writer);
DEFINE_CLEANUP(PackWriter, pack_writer_free);
PackScratch *pack_scratch_create(void);
void pack_scratch_free(PackScratch *scratch);
DEFINE_CLEANUP(PackScratch, pack_scratch_free);

/* Names the chunk and stores it unless the repository has it. From any thread, each with its own scratch. */
int pack_writer_add(PackWriter *writer, PackScratch *scratch, const void *data, size_t size, uint32_t crc32c,
                    ChunkId *ret_id, Error **err);
/* The same with a chunk that has its name, see chunk_ids_compute. */
int pack_writer_add_named(PackWriter *writer, PackScratch *scratch, const void *data, size_t size, uint32_t crc32c,
                          const ChunkId *id, Error **err);
/* Everything added is durable on return. */
int pack_writer_finish(PackWriter *writer, PackTotals *ret, Error **err);

/* Reads a chunk and checks its content twice: against the checksum of its frame (XXH64) and against the one of its index
 * (CRC-32C). Naming it anew costs more than all the rest, and is left to repository_verify. ERROR_CORRUPT names pack and
 * offset. buffer holds place->raw_bytes. From any thread, each with its own scratch. */
int pack_read_chunk(Storage *storage, const ChunkIndex *index, const ChunkId *id, PackScratch *scratch, void *buffer,
                    Error **err);

#endif
