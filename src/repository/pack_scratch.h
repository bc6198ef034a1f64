/* What one thread needs to compress, to decompress, and in between. */
#ifndef BERTH_REPOSITORY_PACK_SCRATCH_H
#define BERTH_REPOSITORY_PACK_SCRATCH_H

#include <zstd.h>

#include "repository/pack.h"

struct PackScratch {
        ZSTD_CCtx *compressor; /* made when first needed */
        ZSTD_DCtx *decompressor;
        void *buffer;
        size_t buffer_size;
};

void *pack_scratch_buffer(PackScratch *scratch, size_t size);

#endif
