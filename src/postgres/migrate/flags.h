/* A command line as Go's flag package reads it: -x or --x, "=value" or the next argument, ending at the first argument
 * that is no flag or at "--". */
#ifndef BERTH_POSTGRES_MIGRATE_FLAGS_H
#define BERTH_POSTGRES_MIGRATE_FLAGS_H

#include "base/macros.h"

typedef enum FlagKind { FLAG_BOOL, FLAG_STRING, FLAG_INT, FLAG_UINT } FlagKind;

typedef struct Flag {
        const char *name;
        FlagKind kind;
        void *value; /* bool *, const char **, int64_t * */
        const char *help;
} Flag;

typedef enum FlagOutcome { FLAGS_OK, FLAGS_HELP, FLAGS_WRONG } FlagOutcome;

/* Moves *args behind the flags. What is wrong is said on stderr. -h and -help ask for help unless they are defined. */
FlagOutcome flags_parse(const Flag *flags, size_t n_flags, char ***args);
void flags_print_usage(const char *command, const Flag *flags, size_t n_flags);

#endif
