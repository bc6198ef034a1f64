/* Chunks: pieces of files, named by their content. A file is cut every chunk_bytes, so that a piece that did not change
 * since the last backup has the same name and is not stored again. */
#ifndef BERTH_REPOSITORY_CHUNK_H
#define BERTH_REPOSITORY_CHUNK_H

#include "base/error.h"
#include "base/sha256_pair.h"
#include "repository/storage.h"

#define CHUNK_ID_SIZE     32
#define CHUNK_INDEX_LIMIT ((size_t)256 << 20) /* bytes of one pack's index */

typedef struct ChunkId {
        unsigned char bytes[CHUNK_ID_SIZE]; /* SHA-256 of the content */
} ChunkId;

typedef struct ChunkPlace {
        uint32_t pack; /* index into ChunkIndex.packs; CHUNK_IN_WORK: being stored by this process */
        uint32_t stored_bytes, raw_bytes;
        uint32_t crc32c; /* of the content: CRCs of files are joined from it */
        uint64_t offset;
} ChunkPlace;

#define CHUNK_IN_WORK UINT32_MAX

/* Which chunks a repository holds, and where. Not safe for threads by itself. */
typedef struct ChunkIndex {
        char **packs; /* ids, in the order of loading; a strv */
        struct ChunkSlot *slots;
        size_t n_slots, length;
} ChunkIndex;

void chunk_index_done(ChunkIndex *index);
#define _cleanup_chunk_index_ _cleanup_(chunk_index_done)

/* Reads packs' indexes. A damaged one is ERROR_CORRUPT and names the file. Of a chunk that is in several packs the place in one
 * that the last verification found whole is taken. */
int chunk_index_load(ChunkIndex *index, Storage *storage, Error **err);
/* Only packs in which the last verification found no damage: what a new backup may refer to. The rest it stores again, which
 * mends earlier backups that need the same. */
int chunk_index_load_trusted(ChunkIndex *index, Storage *storage, Error **err);
/* As chunk_index_load, where a damaged index is passed over and its key added to *ret_damaged, a strv. */
int chunk_index_load_sound(ChunkIndex *index, Storage *storage, char ***ret_damaged, Error **err);
/* NULL where it is not there. Valid until the next chunk_index_put. */
const ChunkPlace *chunk_index_find(const ChunkIndex *index, const ChunkId *id);
/* Adds or replaces. */
void chunk_index_put(ChunkIndex *index, const ChunkId *id, const ChunkPlace *place);
/* The number of a pack in index->packs, which is added where it is new. */
uint32_t chunk_index_add_pack(ChunkIndex *index, const char *pack);

/* A line of an index: "<64 digits> <offset> <stored> <raw> <crc32c, 8 digits>\n". */
void chunk_line_add(Strbuf *text, const ChunkId *id, const ChunkPlace *place);
/* Calls for each line. ERROR_CORRUPT with the line's number. */
typedef void (*ChunkLineCall)(void *context, const ChunkId *id, const ChunkPlace *place);
int chunk_lines_parse(const char *text, size_t length, ChunkLineCall call, void *context, Error **err);

void chunk_id_compute(const void *data, size_t size, ChunkId *ret);
/* Of n pieces, one or two: two take little more time than one where the processor can. */
void chunk_ids_compute(const Sha256Piece *pieces, size_t n, ChunkId *const *ret);
bool chunk_id_parse(const char *digits, ChunkId *ret); /* 64 lower-case digits */
void chunk_id_format(const ChunkId *id, char text[2 * CHUNK_ID_SIZE + 1]);

#endif
