/* The nearest of several names, for "did you mean". */
#ifndef BERTH_CLI_SUGGEST_H
#define BERTH_CLI_SUGGEST_H

#include "base/macros.h"

/* Letters added, dropped, replaced or swapped with their neighbour; stops counting above limit. */
size_t edit_distance(const char *a, const char *b, size_t limit);

typedef struct Suggestion {
        const char *word; /* what was typed */
        const char *best; /* NULL: nothing is near */
        size_t distance;
} Suggestion;

/* Considers a candidate, which must outlive the suggestion. */
void suggestion_consider(Suggestion *suggestion, const char *candidate);

#endif
