/* berth: the command line. Finds the command, runs it, prints its error. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/help.h"
#include "cli/invocation.h"
#include "cli/output/color.h"
#include "cli/report.h"

static int check_rights(const Invocation *invocation, Error **err)
{
        if (!(invocation->command->flags & COMMAND_NEEDS_ROOT) || geteuid() == 0)
                return 0;
        return error_hint(err, error_set(err, ERROR_DENIED, "%s needs root", invocation->command->name),
                          "Try \"sudo berth %s\".", invocation->command->name);
}

static void set_up_output(const Invocation *invocation)
{
        const char *when = invocation_text(invocation, "ansi", getenv("COMPOSE_ANSI") ?: "auto");
        const char *progress = invocation_text(invocation, "progress", getenv("COMPOSE_PROGRESS") ?: "auto");

        if (invocation_flag(invocation, "no-color") || streq(when, "never"))
                color_set_mode(COLOR_NEVER);
        else if (streq(when, "always"))
                color_set_mode(COLOR_ALWAYS);
        report_set_json(streq(progress, "json"));
}

static int run_command(Invocation *invocation, Error **err)
{
        int r, flushed;

        r = check_rights(invocation, err);
        if (r < 0)
                return r;
        invocation->layout = layout_create();
        r = invocation->command->function(invocation, err);
        if (r == -ERROR_DENIED && geteuid() != 0)
                error_hint(err, r, "Try \"sudo berth %s\".", invocation->command->name);
        if (r == -ERROR_NO_SPACE)
                error_hint(err, r,
                           "\"df -h %s\" shows how full it is; \"berth image prune\" and \"berth volume prune\" make "
                           "room.",
                           invocation->layout->data_dir);
        flushed = report_flush(err);
        return r == 0 ? flushed : r;
}

static int show_help(const Command *command, FILE *stream)
{
        _cleanup_free_ char *text = help_text(command);

        fputs(text, stream);
        return 0;
}

static int run(int argc, char **argv, Error **err)
{
        _cleanup_invocation_ Invocation invocation = { 0 };
        bool help;
        static char version[] = "version";
        int r;

        if (argc > 1 && (streq(argv[1], "--version") || streq(argv[1], "-v")))
                argv[1] = version;
        r = invocation_parse(argc, argv, &invocation, &help, err);
        set_up_output(&invocation);
        if (r < 0)
                return r;
        if (help)
                return show_help(invocation.command, stdout);
        if (!invocation.command) {
                show_help(NULL, stderr);
                return -ERROR_USAGE;
        }
        return run_command(&invocation, err);
}

int main(int argc, char **argv)
{
        _cleanup_error_ Error *error = NULL;
        int r;

        signal(SIGPIPE, SIG_IGN);
        r = run(argc, argv, &error);
        if (error)
                report_error(error);
        return r < 0 ? error_kind_exit_status((ErrorKind)-r) : r;
}
