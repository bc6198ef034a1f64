/* __complete KIND: the names that a shell offers, one a line. Says nothing where something is wrong. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/invocation.h"
#include "cli/verbs.h"

static int run_complete(Invocation *invocation, Error **err)
{
        const char *kind = invocation->arguments[0];

        if (streq(kind, "commands"))
                for (const Command *const *c = commands; *c; c++)
                        if (!((*c)->flags & COMMAND_HIDDEN))
                                printf("%s\n", (*c)->name);
        return 0;
}

const Command command_complete = {
        .name = "__complete",
        .summary = "Names for shell completion",
        .arguments = "KIND",
        .flags = COMMAND_HIDDEN,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_complete,
};
