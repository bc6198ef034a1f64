/* SHA-256 of two pieces of memory at once. The processor's instruction for two rounds answers after four cycles and could take
 * another one after two: two pieces that do not depend on each other take little more time than one. */
#ifndef BERTH_BASE_SHA256_PAIR_H
#define BERTH_BASE_SHA256_PAIR_H

#include "base/sha256.h"

typedef struct Sha256Piece {
        const void *data;
        size_t size;
} Sha256Piece;

/* Whether this processor has what makes a pair worth it. Elsewhere sha256_pair is right, and slow. */
bool sha256_pair_is_fast(void);
/* The pieces may be of any size, also of different ones: what one has more goes alone. */
void sha256_pair(const Sha256Piece pieces[2], unsigned char ret[2][SHA256_SIZE]);

#endif
