
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/invocation.h"

/* Takes a command line apart; the vector and everything in it live until the test ends. */
static int parse(Invocation *invocation, bool *help, Error **err, const char *const *words)
{
        static char *argv[32];
        int argc = 0;

        argv[argc++] = (char *)"berth";
        for (; words[argc - 1]; argc++)
                argv[argc] = (char *)words[argc - 1];
        argv[argc] = NULL;
        return invocation_parse(argc, argv, invocation, help, err);
}

#define PARSE(...) parse(&invocation, &help, &error, (const char *const[]){ __VA_ARGS__, NULL })
#define SETUP                                               \
        _cleanup_invocation_ Invocation invocation = { 0 }; \
        _cleanup_error_ Error *error = NULL;                \
        bool help = false

static void flags_stand_before_and_after_the_command(void **state)
{
        SETUP;

        assert_int_equal(PARSE("-p", "demo", "up", "-d", "--file=a.yaml", "-f", "b.yaml", "db"), 0);
        assert_string_equal(invocation.command->name, "up");
        assert_string_equal(invocation_text(&invocation, "project-name", ""), "demo");
        assert_true(invocation_flag(&invocation, "detach"));
        assert_false(invocation_flag(&invocation, "wait"));
        assert_string_equal(invocation.arguments[0], "db");
        {
                _cleanup_strv_ char **files = invocation_list(&invocation, "file");

                assert_int_equal(strv_length(files), 2);
                assert_string_equal(files[1], "b.yaml");
        }
}

static void a_commands_own_flag_comes_first(void **state)
{
        SETUP;

        /* -f is --follow after logs, --file before it */
        assert_int_equal(PARSE("-f", "a.yaml", "logs", "-f", "-n5", "db"), 0);
        assert_true(invocation_flag(&invocation, "follow"));
        assert_string_equal(invocation_text(&invocation, "file", ""), "a.yaml");
        assert_string_equal(invocation_text(&invocation, "tail", ""), "5");
}

static void short_flags_are_bundled(void **state)
{
        SETUP;

        assert_int_equal(PARSE("up", "-dVt", "10", "-t=20"), 0);
        assert_true(invocation_flag(&invocation, "detach"));
        assert_true(invocation_flag(&invocation, "renew-anon-volumes"));
        assert_int_equal(invocation_number(&invocation, "timeout", 0), 20);
}

static void flags_take_true_and_false(void **state)
{
        SETUP;

        assert_int_equal(PARSE("up", "--detach=true", "--wait=false"), 0);
        assert_true(invocation_flag(&invocation, "detach"));
        assert_false(invocation_flag(&invocation, "wait"));
        assert_true(invocation_given(&invocation, "wait"));
}

static void what_follows_exec_belongs_to_the_command(void **state)
{
        SETUP;

        assert_int_equal(PARSE("exec", "-T", "db", "psql", "-U", "postgres", "--help"), 0);
        assert_false(help);
        assert_true(invocation_flag(&invocation, "no-tty"));
        assert_int_equal(strv_length(invocation.arguments), 5);
        assert_string_equal(invocation.arguments[4], "--help");
}

static void two_dashes_end_the_flags(void **state)
{
        SETUP;

        assert_int_equal(PARSE("logs", "--", "-f"), 0);
        assert_string_equal(invocation.arguments[0], "-f");
        assert_false(invocation_flag(&invocation, "follow"));
}

static void sub_commands_and_aliases(void **state)
{
        SETUP;

        assert_int_equal(PARSE("volume", "list", "-q"), 0);
        assert_string_equal(invocation.command->name, "volume ls");
        assert_true(invocation_flag(&invocation, "quiet"));
}

static void a_group_alone_shows_its_help(void **state)
{
        SETUP;

        assert_int_equal(PARSE("volume"), 0);
        assert_true(help);
        assert_string_equal(invocation.command->name, "volume");
}

static void check_usage(const char *message, const char *hint, const char *const *words)
{
        SETUP;

        assert_int_equal(parse(&invocation, &help, &error, words), -ERROR_USAGE);
        assert_string_equal(error->message, message);
        if (hint)
                assert_string_equal(error->hint, hint);
}
#define USAGE(message, hint, ...) check_usage(message, hint, (const char *const[]){ __VA_ARGS__, NULL })

static void mistakes_are_named_and_the_nearest_suggested(void **state)
{
        USAGE("unknown command: \"berth dwon\"", "Did you mean \"berth down\"?", "dwon");
        USAGE("unknown command: \"berth volume sl\"", "Did you mean \"berth volume ls\"?", "volume", "sl");
        USAGE("up: unknown flag: --detatch", "Did you mean \"--detach\"? \"berth up --help\" lists what there is.",
              "up", "--detatch");
        USAGE("up: unknown flag: -Z", NULL, "up", "-Z");
        USAGE("unknown flag: --wait", NULL, "--wait", "up");
        USAGE("flag needs an argument: --timeout", "Write --timeout SECONDS.", "stop", "--timeout");
        USAGE("--timeout: \"soon\" is not a whole number", NULL, "stop", "-t", "soon");
        USAGE("--pull: \"often\" is none of always|missing|never|policy", NULL, "up", "--pull", "often");
        USAGE("--detach: \"perhaps\" is neither true nor false", NULL, "up", "--detach=perhaps");
        USAGE("exec needs at least 2 arguments, not 1", "Usage: berth exec [OPTIONS] SERVICE COMMAND [ARGS...]", "exec",
              "db");
        USAGE("ls takes no argument \"x\"", NULL, "ls", "x");
        USAGE("build: Berth does not build images", NULL, "build");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(flags_stand_before_and_after_the_command),
                cmocka_unit_test(a_commands_own_flag_comes_first),
                cmocka_unit_test(short_flags_are_bundled),
                cmocka_unit_test(flags_take_true_and_false),
                cmocka_unit_test(what_follows_exec_belongs_to_the_command),
                cmocka_unit_test(two_dashes_end_the_flags),
                cmocka_unit_test(sub_commands_and_aliases),
                cmocka_unit_test(a_group_alone_shows_its_help),
                cmocka_unit_test(mistakes_are_named_and_the_nearest_suggested),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
