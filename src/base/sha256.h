/* SHA-256 (FIPS 180-4), for hashes of configurations and small files in programs that link no crypto library. */
#ifndef BERTH_BASE_SHA256_H
#define BERTH_BASE_SHA256_H

#include "base/macros.h"

#define SHA256_SIZE 32

typedef struct Sha256 {
        uint32_t state[8];
        uint64_t length_bytes;
        unsigned char block[64];
} Sha256;

extern const uint32_t sha256_round_constants[64]; /* of the standard */

void sha256_init(Sha256 *hash);
void sha256_add(Sha256 *hash, const void *data, size_t size);
void sha256_finish(Sha256 *hash, unsigned char ret[SHA256_SIZE]);
/* 64 lower-case hexadecimal digits, owned by the caller. */
char *sha256_hex(const void *data, size_t size);
char *hex_encode(const void *data, size_t size);

#endif
