/* Threads between a stream and a repository: they name, compress and store chunks while the stream goes on. The caller takes
 * an empty buffer, fills it and posts it; how many buffers there are bounds the memory. One posting thread. */
#ifndef BERTH_OPERATE_CHUNK_PIPELINE_H
#define BERTH_OPERATE_CHUNK_PIPELINE_H

#include "repository/pack.h"

typedef struct ChunkPipeline ChunkPipeline;

/* threads 0: one for each processor, at most 4. writer is borrowed. */
int chunk_pipeline_create(PackWriter *writer, unsigned threads, uint32_t chunk_bytes, ChunkPipeline **ret, Error **err);
/* Ends the threads; what was not stored by then never is. Accepts NULL. */
void chunk_pipeline_free(ChunkPipeline *pipeline);
DEFINE_CLEANUP(ChunkPipeline, chunk_pipeline_free);

/* An empty buffer of chunk_bytes; waits for one. NULL: a thread has failed, see finish. */
char *chunk_pipeline_buffer(ChunkPipeline *pipeline);
/* Takes the buffer. *ret_id and *ret_crc32c are written before chunk_pipeline_finish returns. */
void chunk_pipeline_post(ChunkPipeline *pipeline, char *buffer, size_t size, ChunkId *ret_id, uint32_t *ret_crc32c);
/* Waits until all is stored; the first error of a thread. */
int chunk_pipeline_finish(ChunkPipeline *pipeline, Error **err);

#endif
