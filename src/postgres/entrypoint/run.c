#include "postgres/entrypoint/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "postgres/entrypoint/accounts.h"
#include "postgres/entrypoint/ahead.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/directories.h"
#include "postgres/entrypoint/first_start.h"
#include "postgres/entrypoint/initdb.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/template.h"

#define DATABASE_USER "postgres"

static bool wants_help(char *const *args)
{
        static const char *const words[] = { "-?", "--help", "--describe-config", "-V", "--version" };

        STRV_FOREACH(arg, args)
                for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                        if (streq(*arg, words[i]))
                                return true;
        return false;
}

int run_command(const char *name, char *const *argv)
{
        _cleanup_free_ char *program = process_find(argv[0]);
        int status;

        if (!program && (!strchr(argv[0], '/') || !fs_exists(argv[0]))) {
                fprintf(stderr, "%s: exec: %s: not found\n", name, argv[0]);
                return 127;
        }
        signal(SIGPIPE, SIG_DFL);
        execv(program ? program : argv[0], argv);
        status = errno == ENOENT ? 127 : 126;
        fprintf(stderr, "%s: exec: %s: %s\n", name, argv[0], strerror(errno));
        return status;
}

int run_prepare(const Settings *settings, Error **err)
{
        _cleanup_account_ Account account = { .uid = geteuid() };
        int r = 0;

        if (geteuid() == 0)
                r = account_find(DATABASE_USER, &account, err);
        if (r == 0)
                r = directories_prepare(settings, account.uid, err);
        if (r == 0 && geteuid() == 0)
                r = account_become(&account, true, err);
        return r;
}

static int fail(const Error *error, int status)
{
        int signal_number = child_stop_signal();

        if (signal_number) {
                fprintf(stderr, "stopped by signal %d during initialisation: the next start begins anew\n",
                        signal_number);
                return 128 + signal_number;
        }
        say_error(error);
        return status > 0 ? status : 1;
}

static int run_server(const char *name, char **args, bool initialise_only, bool must_be_new)
{
        _cleanup_settings_ Settings settings = { 0 };
        _cleanup_error_ Error *error = NULL;
        const char *base = path_basename(name);
        int status = 0;

        if (settings_load(&settings, &error) < 0 || child_watch_signals(&error) < 0 ||
            run_prepare(&settings, &error) < 0)
                return fail(error, 1);
        if (first_start_is_needed(&settings)) {
                if (first_start(&settings, name, args + 1, &status, &error) < 0)
                        return error ? fail(error, status) : status;
                if (!initialise_only)
                        say("\nPostgreSQL init process complete; ready for start up.\n\n");
        } else if (initialise_only) {
                fprintf(stderr,
                        must_be_new ? "%s: error: (unexpected) database found in '%s'!\n"
                                    : "%s: note: database already initialized in '%s'!\n",
                        base, settings.data_dir);
                return must_be_new ? 1 : 0;
        } else
                say("\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n");
        if (initialise_only)
                return 0;
        settings_forget_secrets();
        /* Stop signals stay blocked: one that comes now waits until the server has its handlers. */
        return child_stop_signal() ? 128 + child_stop_signal() : run_command(name, args);
}

/* "postgres" in front where it is left out. */
static char **server_arguments(char **args, bool always)
{
        char **all = NULL;

        if ((args[0] && args[0][0] == '-') || (always && (!args[0] || !streq(args[0], "postgres"))))
                strv_add(&all, "postgres");
        strv_add_all(&all, args);
        return all;
}

char **run_server_arguments(char **args)
{
        char **all = server_arguments(args, false);

        if (!all || (streq(all[0], "postgres") && !wants_help(all)))
                return all;
        strv_free(all);
        return NULL;
}

int run_entrypoint(const char *name, char **args)
{
        _cleanup_strv_ char **all = server_arguments(args, false);

        if (!all)
                return 0;
        if (!streq(all[0], "postgres") || wants_help(all))
                return run_command(name, all);
        return run_server(name, all, false, false);
}

int run_initialise_only(const char *name, char **args, bool must_be_new)
{
        _cleanup_strv_ char **all = server_arguments(args, true);

        return run_server(name, all, true, must_be_new);
}

/* As the server's user, who owns the folder. */
static int make_template(const Settings *settings, const char *folder, int *ret_status, Error **err)
{
        _cleanup_account_ Account account = { 0 };
        int r = 0;

        if (geteuid() == 0)
                r = account_find(DATABASE_USER, &account, err);
        if (r == 0 && geteuid() == 0 && account.uid == 0)
                r = error_set(err, ERROR_INVALID, "the user %s of this image is root", DATABASE_USER);
        if (r == 0 && geteuid() == 0 && chown(folder, account.uid, account.gid) < 0)
                r = error_set_errno(err, errno, "chown \"%s\"", folder);
        if (r == 0 && geteuid() == 0)
                r = account_become(&account, true, err);
        /* Who asked for the template holds its lock; a change of the user forgets this. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return r == 0 ? template_make(settings, folder, ret_status, err) : r;
}

static int do_step(const Settings *settings, const char *step, char **args, int *ret_status, Error **err)
{
        _cleanup_account_ Account account = { .uid = geteuid() };

        if (streq(step, "directories")) {
                if (geteuid() == 0 && account_find(DATABASE_USER, &account, err) < 0)
                        return -ERROR_NOT_FOUND;
                return directories_prepare(settings, account.uid, err);
        }
        if (streq(step, "verify"))
                return first_start_verify(settings) ? 0 : -ERROR_INVALID;
        if (streq(step, "old-databases")) {
                say_old_databases(args, settings->data_dir);
                return -ERROR_CONFLICT;
        }
        if (streq(step, "initdb"))
                return first_start_initdb(settings, args, ret_status, err);
        if (streq(step, "hba"))
                return initdb_add_host_rule(settings, args, ret_status, err);
        if (streq(step, "template") && args[0])
                return make_template(settings, args[0], ret_status, err);
        return error_set(err, ERROR_USAGE, "there is no step \"%s\"", step);
}

int run_step(const char *step, char **args)
{
        _cleanup_settings_ Settings settings = { 0 };
        _cleanup_error_ Error *error = NULL;
        int status = 0;

        if (streq(step, "ahead"))
                return run_ahead_step(args);
        if (settings_load(&settings, &error) < 0 || child_watch_signals(&error) < 0)
                return fail(error, 1);
        if (do_step(&settings, step, args, &status, &error) < 0)
                return error ? fail(error, status) : 1;
        return 0;
}
