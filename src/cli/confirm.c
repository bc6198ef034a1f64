#include "cli/confirm.h"

#include <ctype.h>
#include <unistd.h>

#include "base/mem.h"

static bool answer_is_yes(void)
{
        char line[64];
        bool yes;

        if (!fgets(line, sizeof(line), stdin)) {
                fputc('\n', stderr);
                return false;
        }
        for (char *c = line; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        yes = streq(line, "y\n") || streq(line, "yes\n");
        return yes;
}

int confirm(const char *what, const Table *losses, bool yes, const char *flag, Error **err)
{
        if (yes)
                return 0;
        fflush(stdout);
        if (losses)
                table_print(losses, stderr);
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return error_hint(err,
                                  error_set(err, ERROR_CONFIRMATION,
                                            "%s: not without a yes, and there is no terminal to ask on", what),
                                  "Add %s where this is meant.", flag);
        fprintf(stderr, "%c%s? [y/N] ", toupper((unsigned char)*what), what + 1);
        fflush(stderr);
        if (answer_is_yes())
                return 0;
        return error_set(err, ERROR_CONFIRMATION, "%s: not confirmed, nothing was changed", what);
}
