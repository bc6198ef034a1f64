/* A command line taken apart as a shell would: quotes and backslashes, nothing else. */
#ifndef BERTH_CLI_SHELL_WORDS_H
#define BERTH_CLI_SHELL_WORDS_H

#include "base/macros.h"

/* false where a quote is not closed. *ret (a vector) is the caller's; NULL for no words. */
bool shell_words_split(const char *text, char ***ret);

#endif
