/* What is written from the command table besides the help: man pages, docs/commands.md, shell completion.
 * All results are the caller's. */
#ifndef BERTH_CLI_DOCUMENTS_H
#define BERTH_CLI_DOCUMENTS_H

#include "cli/command.h"

/* A man page in man(7) macros, section 1: berth(1) for NULL, else berth-<command>(1) with its sub-commands. */
char *man_page(const Command *command);
/* docs/commands.md. */
char *commands_markdown(void);

typedef enum Shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH } Shell;
/* Names of services, volumes and so on are asked of `berth __complete KIND` when the key is pressed. */
char *completion_script(Shell shell);
/* "services", "volumes", …: the KIND of __complete; NULL for what the shell does by itself. */
const char *completion_kind_name(Completion completion);

#endif
