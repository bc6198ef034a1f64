#include "postgres/crc32c.h"

uint32_t crc32c(const void *data, size_t size)
{
        const unsigned char *bytes = data;
        uint32_t crc = ~UINT32_C(0);

        for (size_t i = 0; i < size; i++) {
                crc ^= bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        }
        return ~crc;
}
