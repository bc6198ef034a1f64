#include "base/sha256.h"

#include "base/mem.h"

const uint32_t sha256_round_constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t value, unsigned bits)
{
        return value >> bits | value << (32 - bits);
}

static uint32_t read_be32(const unsigned char *bytes)
{
        return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void write_be32(unsigned char *bytes, uint32_t value)
{
        for (int i = 0; i < 4; i++)
                bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void compress(Sha256 *hash)
{
        uint32_t w[64], a, b, c, d, e, f, g, h;

        for (int i = 0; i < 16; i++)
                w[i] = read_be32(hash->block + 4 * i);
        for (int i = 16; i < 64; i++)
                w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
                       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
        /* Variables, not an array that is moved along: they stay in registers. */
        a = hash->state[0], b = hash->state[1], c = hash->state[2], d = hash->state[3];
        e = hash->state[4], f = hash->state[5], g = hash->state[6], h = hash->state[7];
        for (int i = 0; i < 64; i++) {
                uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                              sha256_round_constants[i] + w[i];
                uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));

                h = g, g = f, f = e, e = d + t1;
                d = c, c = b, b = a, a = t1 + t2;
        }
        const uint32_t added[8] = { a, b, c, d, e, f, g, h };
        for (int i = 0; i < 8; i++)
                hash->state[i] += added[i];
}

void sha256_init(Sha256 *hash)
{
        static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

        *hash = (Sha256){ 0 };
        memcpy(hash->state, initial, sizeof(initial));
}

void sha256_add(Sha256 *hash, const void *data, size_t size)
{
        const unsigned char *bytes = data;

        while (size > 0) {
                size_t used = hash->length_bytes % 64;
                size_t chunk = MIN(size, 64 - used);
                memcpy(hash->block + used, bytes, chunk);
                hash->length_bytes += chunk;
                bytes += chunk;
                size -= chunk;
                if (used + chunk == 64)
                        compress(hash);
        }
}

void sha256_finish(Sha256 *hash, unsigned char ret[SHA256_SIZE])
{
        uint64_t bits = hash->length_bytes * 8;
        unsigned char length[8];

        write_be32(length, (uint32_t)(bits >> 32));
        write_be32(length + 4, (uint32_t)bits);
        sha256_add(hash, "\x80", 1);
        while (hash->length_bytes % 64 != 56)
                sha256_add(hash, "", 1);
        sha256_add(hash, length, 8);
        for (int i = 0; i < 8; i++)
                write_be32(ret + 4 * i, hash->state[i]);
}

char *hex_encode(const void *data, size_t size)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *bytes = data;
        char *text = xmalloc(2 * size + 1);

        for (size_t i = 0; i < size; i++) {
                text[2 * i] = digits[bytes[i] >> 4];
                text[2 * i + 1] = digits[bytes[i] & 15];
        }
        text[2 * size] = '\0';
        return text;
}

char *sha256_hex(const void *data, size_t size)
{
        unsigned char digest[SHA256_SIZE];
        Sha256 hash;

        sha256_init(&hash);
        sha256_add(&hash, data, size);
        sha256_finish(&hash, digest);
        return hex_encode(digest, sizeof(digest));
}
