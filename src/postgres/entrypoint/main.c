/* The program that containers of PostgreSQL images start: what docker-entrypoint.sh of the official image does, with a
 * first start that is whole or absent. Links base only and is static: it becomes PID 1 in any image.
 *
 *   berth-entrypoint ARGUMENTS…                 as docker-entrypoint.sh
 *   berth-entrypoint --script NAME ARGUMENTS…   as the script of that name (the first line of such a script)
 *   berth-entrypoint --ahead ENTRYPOINT ARGUMENTS…  a first start from a template, then that entrypoint
 *   berth-entrypoint --step STEP ARGUMENTS…     one function of the official entrypoint, for entrypoint-functions.sh */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/entrypoint/accounts.h"
#include "postgres/entrypoint/ahead.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/run.h"

static int run_gosu(char **args)
{
        _cleanup_account_ Account account = { 0 };
        _cleanup_error_ Error *error = NULL;

        if (strv_length(args) < 2) {
                fputs("Usage: gosu user-spec command [args]\n", stderr);
                return 1;
        }
        if (account_find(args[0], &account, &error) < 0 ||
            account_become(&account, strchr(args[0], ':') == NULL, &error) < 0) {
                say_error(error);
                return 1;
        }
        return run_command("gosu", args + 1);
}

static int dispatch(const char *name, char **args)
{
        const char *base = path_basename(name);

        if (streq(base, "gosu"))
                return run_gosu(args);
        if (streq(base, "docker-ensure-initdb.sh"))
                return run_initialise_only(name, args, false);
        if (streq(base, "docker-enforce-initdb.sh"))
                return run_initialise_only(name, args, true);
        return run_entrypoint(name, args);
}

int main(int argc, char **argv)
{
        signal(SIGPIPE, SIG_IGN);
        if (argc >= 3 && streq(argv[1], "--script"))
                return dispatch(argv[2], argv + 3);
        if (argc >= 3 && streq(argv[1], "--ahead"))
                return run_ahead(argv + 2);
        if (argc >= 3 && streq(argv[1], "--step"))
                return run_step(argv[2], argv + 3);
        if (streq(path_basename(argv[0]), "berth-entrypoint"))
                return dispatch("/usr/local/bin/docker-entrypoint.sh", argv + 1);
        return dispatch(argv[0], argv + 1);
}
