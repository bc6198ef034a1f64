/* CRC-32C (Castagnoli), PostgreSQL's checksum of its control file and its log, and of files in a backup's manifest. */
#ifndef BERTH_POSTGRES_CRC32C_H
#define BERTH_POSTGRES_CRC32C_H

#include "base/macros.h"

uint32_t crc32c(const void *data, size_t size);
/* The CRC of what came before (0: nothing) and data behind it. */
uint32_t crc32c_add(uint32_t crc, const void *data, size_t size);

/* The CRC of two pieces from the CRC of each, for second pieces of one size. */
typedef struct Crc32cJoin {
        uint32_t matrix[32];
} Crc32cJoin;
void crc32c_join_init(Crc32cJoin *join, uint64_t second_size);
uint32_t crc32c_join(const Crc32cJoin *join, uint32_t first, uint32_t second);
/* The CRC of size bytes that were cut into pieces of piece_bytes (the last may be shorter), from the CRC of each. */
uint32_t crc32c_join_pieces(const uint32_t *crcs, uint64_t size, uint32_t piece_bytes);

#endif
