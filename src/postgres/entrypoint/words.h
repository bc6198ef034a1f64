/* Words of a command line that is given as one text. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_WORDS_H
#define BERTH_POSTGRES_ENTRYPOINT_WORDS_H

#include "base/macros.h"

/* Splits as a shell does, quotes and backslashes honoured. False, and nothing, where the text needs a real shell
 * (variables, substitutions, patterns, operators) or a quote is left open. *ret is the caller's. */
bool words_split(const char *text, char ***ret);

#endif
