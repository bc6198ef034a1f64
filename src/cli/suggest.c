#include "cli/suggest.h"
#include "base/mem.h"

#define LONGEST_WORD 64

size_t edit_distance(const char *a, const char *b, size_t limit)
{
        size_t rows[3][LONGEST_WORD + 1];
        size_t a_length = strlen(a), b_length = strlen(b);

        if (a_length > LONGEST_WORD || b_length > LONGEST_WORD)
                return limit + 1;
        for (size_t j = 0; j <= b_length; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_length; i++) {
                size_t *now = rows[i % 3], *before = rows[(i - 1) % 3], *earlier = rows[(i + 1) % 3];

                now[0] = i;
                for (size_t j = 1; j <= b_length; j++) {
                        size_t change = before[j - 1] + (a[i - 1] != b[j - 1]);
                        size_t drop_or_add = MIN(before[j], now[j - 1]) + 1;

                        now[j] = MIN(change, drop_or_add);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = MIN(now[j], earlier[j - 2] + 1);
                }
        }
        return MIN(rows[a_length % 3][b_length], limit + 1);
}

void suggestion_consider(Suggestion *suggestion, const char *candidate)
{
        size_t length = strlen(suggestion->word);
        size_t limit = length <= 2 ? 1 : length <= 5 ? 2 : 3;
        size_t distance = edit_distance(suggestion->word, candidate, limit);

        /* What was typed may be the beginning of a longer name. */
        if (length >= 3 && strncmp(suggestion->word, candidate, length) == 0)
                distance = 1;
        if (distance > limit || distance >= strlen(candidate))
                return;
        if (suggestion->best && suggestion->distance <= distance)
                return;
        suggestion->best = candidate;
        suggestion->distance = distance;
}
