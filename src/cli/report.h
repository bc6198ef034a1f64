/* What goes to standard error: errors with their hints, warnings each once. Below this room nobody prints. */
#ifndef BERTH_CLI_REPORT_H
#define BERTH_CLI_REPORT_H

#include "base/error.h"

/* Every error of the list, and a hint after each that has one; equal hints in a row once. */
void report_error(const Error *error);
/* "warning: text"; the same text a second time is left out. */
void report_warning(const char *text);
void report_warnings(char *const *texts);
/* With --progress json an error is an object too. */
void report_set_json(bool json);

/* Flushes standard output. ERROR_IO where it could not be written; a reader that went away (EPIPE) ends quietly with
 * ERROR_CANCELLED and no message, so that `berth logs | head` says nothing. */
int report_flush(Error **err);

#endif
