/* Commands as data. A verb's file defines `const Command command_<verb>` with its options; commands.c lists them in the
 * order of the help. Parsing, help, man pages, docs/commands.md and shell completion are all generated from this, so
 * they cannot disagree. Everything here is constant and borrowed for ever. */
#ifndef BERTH_CLI_COMMAND_H
#define BERTH_CLI_COMMAND_H

#include "base/error.h"

typedef struct Invocation Invocation; /* cli/invocation.h */

/* Exit status (0 and above), or a negative ErrorKind with *err set. */
typedef int (*CommandFunction)(Invocation *invocation, Error **err);

typedef enum OptionType {
        OPTION_FLAG, /* --name, --name=true, --name=false */
        OPTION_TEXT,
        OPTION_NUMBER, /* a whole number, may be negative */
        OPTION_CHOICE, /* one of .choices */
} OptionType;

/* What a shell offers for an argument. */
typedef enum Completion {
        COMPLETE_NOTHING,
        COMPLETE_FILES,
        COMPLETE_FOLDERS,
        COMPLETE_SERVICES,
        COMPLETE_PROJECTS,
        COMPLETE_VOLUMES,
        COMPLETE_NETWORKS,
        COMPLETE_IMAGES,
        COMPLETE_COMMANDS,
        COMPLETE_CHOICES, /* of .argument_choices */
        _COMPLETION_MAX,
} Completion;

enum { /* Option.flags */
       OPTION_REPEATABLE = 1 << 0,
       OPTION_HIDDEN = 1 << 1,  /* accepted, in no help: names that scripts bring along */
       OPTION_IGNORED = 1 << 2, /* accepted and without effect here; hidden too */
};

typedef struct Option {
        const char *name; /* "detach", used as --detach; NULL ends a table */
        char letter;      /* 'd', or 0 */
        OptionType type;
        const char *argument; /* "SECONDS"; NULL for a flag */
        const char *help;     /* one sentence without its full stop */
        const char *choices;  /* OPTION_CHOICE: "table|json" */
        unsigned flags;
        Completion complete; /* of its value */
} Option;

typedef enum CommandGroup {
        GROUP_RUN,
        GROUP_LOOK,
        GROUP_DATABASE,
        GROUP_DATA,
        GROUP_MACHINE,
        GROUP_GUIDE,
        _COMMAND_GROUP_MAX,
} CommandGroup;

enum {                                    /* Command.flags */
       COMMAND_NEEDS_PROJECT = 1 << 0,    /* a compose file, or -p with the name of a known project */
       COMMAND_NEEDS_ROOT = 1 << 1,       /* refused for others before anything is done */
       COMMAND_STOP_AT_ARGUMENT = 1 << 2, /* what follows the first argument belongs to another program */
       COMMAND_HIDDEN = 1 << 3,
       COMMAND_JSON = 1 << 4, /* --format json is understood */
};

typedef struct Command Command;
struct Command {
        const char *name;        /* full: "up", "volume ls" */
        const char *summary;     /* one line, starts with a capital, no full stop */
        const char *arguments;   /* "[SERVICE...]"; NULL: none */
        const char *details;     /* paragraphs, separated by an empty line; NULL */
        const char *examples;    /* lines of a shell, "# " comments between; NULL */
        const char *differences; /* from docker compose's command of that name; NULL: none worth telling */
        CommandGroup group;
        unsigned flags;
        const Option *options;            /* ends with a NULL name; NULL: none */
        int min_arguments, max_arguments; /* -1: any number */
        CommandFunction function;         /* NULL for a mere group of children */
        const char *const *aliases;       /* other last words, NULL-terminated; NULL: none */
        const Command *const *children;   /* NULL-terminated; NULL: a leaf */
        Completion complete;              /* of its arguments */
        const char *argument_choices;     /* COMPLETE_CHOICES: "bash|zsh|fish" */
};

/* Top-level commands in the order of the help; ends with NULL. */
extern const Command *const commands[];
/* Options that stand before the command, and after it where the command has none of that name. */
extern const Option global_options[];

/* "ls" for "volume ls". */
const char *command_word(const Command *command);
/* Finds a word or alias in a NULL-terminated list; NULL. */
const Command *command_find(const Command *const *list, const char *word);
/* By name ("detach") or, with name NULL, by letter; NULL. options may be NULL. */
const Option *option_find(const Option *options, const char *name, char letter);
bool option_is_hidden(const Option *option);
/* "[OPTIONS] [SERVICE...]", what follows the name in a usage line; owned by the caller. */
char *command_synopsis(const Command *command);
/* A command of docker compose that is not here: why, and what to do instead. */
typedef struct ForeignCommand {
        const char *word, *reason, *hint;
} ForeignCommand;
extern const ForeignCommand foreign_commands[];               /* ends with a NULL word */
const ForeignCommand *foreign_command_find(const char *word); /* NULL */

typedef void (*CommandVisitor)(void *context, const Command *command);
/* Every command that is not hidden, parents before children. */
void commands_visit(CommandVisitor visitor, void *context);

extern const char *const command_group_titles[_COMMAND_GROUP_MAX];

#endif
