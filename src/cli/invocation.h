/* One call of the program: what was typed, and what every verb needs to answer it. */
#ifndef BERTH_CLI_INVOCATION_H
#define BERTH_CLI_INVOCATION_H

#include "base/strv.h"
#include "base/vector.h"
#include "cli/command.h"
#include "compose/project.h"
#include "state/layout.h"

typedef struct OptionValue {
        const Option *option;
        const char *value; /* "true" or "false" for a flag; borrowed from argv */
} OptionValue;

struct Invocation {
        const Command *command;
        VECTOR(OptionValue) values; /* in the order typed; the command's own and global ones */
        char **arguments;           /* owned */
        bool after_dashes;          /* "--" stood before the arguments */
        Layout *layout;
};

void invocation_done(Invocation *invocation);
#define _cleanup_invocation_ _cleanup_(invocation_done)

/* Reads argv (argv[0] is skipped). ERROR_USAGE with a hint that names the nearest command or option.
 * --help sets *ret_help and leaves the rest unchecked; command is then NULL for the program's own help. */
int invocation_parse(int argc, char **argv, Invocation *ret, bool *ret_help, Error **err);

/* Runs another command in this one's place, with the global options that were typed: words ("up", "-d") as a person would
 * type them. Its exit status, or its error. */
int invocation_run_words(const Invocation *invocation, char *const *words, Error **err);

/* By long name; the last one given wins. */
bool invocation_flag(const Invocation *invocation, const char *name);
bool invocation_given(const Invocation *invocation, const char *name);
const char *invocation_text(const Invocation *invocation, const char *name, const char *fallback);
int64_t invocation_number(const Invocation *invocation, const char *name, int64_t fallback);
/* All values, a new vector with copies; NULL where there is none. */
char **invocation_list(const Invocation *invocation, const char *name);
/* --format json was given. */
bool invocation_json(const Invocation *invocation);

#endif
