/* A yes before something is lost. */
#ifndef BERTH_CLI_CONFIRM_H
#define BERTH_CLI_CONFIRM_H

#include "base/error.h"
#include "cli/output/table.h"

/* Prints what would be lost (losses may be NULL) and asks on the terminal. yes: it was given on the command line and
 * nothing is asked. ERROR_CONFIRMATION after a no, or where there is no terminal to ask on; flag ("--yes") is named in
 * the hint. what begins in lower case: "remove 2 volumes of project demo". */
int confirm(const char *what, const Table *losses, bool yes, const char *flag, Error **err);

#endif
