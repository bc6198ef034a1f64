/* The commands that the table lists, one `const Command command_<name>` each, defined in the verb's file. */
#ifndef BERTH_CLI_VERBS_H
#define BERTH_CLI_VERBS_H

#include "cli/command.h"

extern const Command command_version, command_help, command_completion, command_complete;

#endif
