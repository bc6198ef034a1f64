/* CRC-32C (Castagnoli), PostgreSQL's checksum of its control file and its log. */
#ifndef BERTH_POSTGRES_CRC32C_H
#define BERTH_POSTGRES_CRC32C_H

#include "base/macros.h"

uint32_t crc32c(const void *data, size_t size);

#endif
