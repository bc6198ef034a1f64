/* Help for people, made from the command table; 80 columns. All results are the caller's. */
#ifndef BERTH_CLI_HELP_H
#define BERTH_CLI_HELP_H

#include "base/strbuf.h"
#include "cli/command.h"

#define HELP_WIDTH 80

/* command NULL: the program itself. */
char *help_text(const Command *command);

/* Adds text broken at spaces. The first line starts at column `column`, which is already there; the others are indented
 * by `indent`. Line breaks of the text are kept. Ends without a newline. */
void text_wrap(Strbuf *buffer, const char *text, size_t column, size_t indent, size_t width);

/* The help of an option with what it takes, e.g. "... (table|json)"; owned by the caller. */
char *option_description(const Option *option);

#endif
