/* Help, man pages, docs/commands.md and completion say what the command table says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "cli/documents.h"
#include "cli/help.h"
#include "cli/output/color.h"

static void assert_has(const char *text, const char *part, const char *where)
{
        if (!strstr(text, part))
                fail_msg("%s lacks \"%s\"", where, part);
}

static void check_help(void *context, const Command *command)
{
        _cleanup_free_ char *text = help_text(command);
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        assert_has(text, command->summary, command->name);
        for (const Option *option = command->options; option && option->name; option++) {
                _cleanup_free_ char *flag = xasprintf("--%s", option->name);

                if (!option_is_hidden(option))
                        assert_has(text, flag, command->name);
        }
        STRV_FOREACH(line, lines)
                if (text_width(*line) > HELP_WIDTH && !strstr(text, "Examples:"))
                        fail_msg("help of %s is wider than %d columns: %s", command->name, HELP_WIDTH, *line);
}

static void help_names_every_flag_within_80_columns(void **state)
{
        commands_visit(check_help, NULL);
}

static void the_programs_help_lists_every_command(void **state)
{
        _cleanup_free_ char *text = help_text(NULL);
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        for (const Command *const *c = commands; *c; c++) {
                _cleanup_free_ char *row = xasprintf("\n  %s ", (*c)->name);

                if (!((*c)->flags & COMMAND_HIDDEN))
                        assert_has(text, row, "help");
        }
        STRV_FOREACH(line, lines)
                assert_true(text_width(*line) <= HELP_WIDTH);
}

/* The text without the formatter's escapes. */
static char *plain(const char *page)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        for (; *page; page++) {
                if (*page == '\\' && page[1] == 'f' && page[2])
                        page += 2;
                else if (*page == '\\' && page[1] == '-')
                        strbuf_addc(&text, *++page);
                else if (*page != '\\')
                        strbuf_addc(&text, *page);
        }
        return strbuf_take(&text);
}

static void check_man_options(const char *text, const Command *command)
{
        for (const Option *option = command->options; option && option->name; option++) {
                _cleanup_free_ char *flag = xasprintf("--%s", option->name);

                if (!option_is_hidden(option))
                        assert_has(text, flag, command->name);
        }
}

static void man_pages_name_every_flag(void **state)
{
        for (const Command *const *c = commands; *c; c++) {
                _cleanup_free_ char *page = man_page(*c), *text = plain(page);

                if ((*c)->flags & COMMAND_HIDDEN)
                        continue;
                check_man_options(text, *c);
                for (const Command *const *child = (*c)->children; child && *child; child++) {
                        assert_has(text, (*child)->name, (*c)->name);
                        check_man_options(text, *child);
                }
        }
}

typedef struct Written {
        char *markdown, *scripts[3];
} Written;

static void check_written(void *context, const Command *command)
{
        Written *written = context;
        _cleanup_free_ char *heading = xasprintf("### `berth %s", command->name);

        assert_has(written->markdown, heading, "docs/commands.md");
        for (size_t i = 0; i < ARRAY_SIZE(written->scripts); i++) {
                _cleanup_free_ char *name =
                        i == SHELL_FISH ? xasprintf("-a %s -d", command_word(command)) : xstrdup(command->name);

                assert_has(written->scripts[i], name, "completion");
                for (const Option *option = command->options; option && option->name; option++) {
                        _cleanup_free_ char *flag = xasprintf(i == SHELL_FISH ? "-l %s" : "--%s", option->name);

                        if (!option_is_hidden(option))
                                assert_has(written->scripts[i], flag, command->name);
                }
        }
}

static void documents_and_completion_have_every_command_and_flag(void **state)
{
        Written written = { .markdown = commands_markdown() };

        for (size_t i = 0; i < ARRAY_SIZE(written.scripts); i++)
                written.scripts[i] = completion_script((Shell)i);
        commands_visit(check_written, &written);
        free(written.markdown);
        for (size_t i = 0; i < ARRAY_SIZE(written.scripts); i++)
                free(written.scripts[i]);
}

/* A flag means one thing in a command, and its letter stands for it alone. */
static void check_table(void *context, const Command *command)
{
        assert_non_null(command->summary);
        assert_true(command->function || command->children);
        assert_false(endswith(command->summary, "."));
        for (const Option *option = command->options; option && option->name; option++) {
                assert_ptr_equal(option_find(command->options, option->name, 0), option);
                if (option->letter)
                        assert_ptr_equal(option_find(command->options, NULL, option->letter), option);
                assert_true(option->type != OPTION_CHOICE || option->choices);
                assert_true(option_is_hidden(option) || (*option->help && !endswith(option->help, ".")));
                assert_true(option->type == OPTION_FLAG ? !option->argument : option->argument != NULL);
        }
        if (command->flags & COMMAND_JSON)
                assert_non_null(option_find(command->options, "format", 0));
}

static void the_table_is_consistent(void **state)
{
        commands_visit(check_table, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_table_is_consistent),
                cmocka_unit_test(help_names_every_flag_within_80_columns),
                cmocka_unit_test(the_programs_help_lists_every_command),
                cmocka_unit_test(man_pages_name_every_flag),
                cmocka_unit_test(documents_and_completion_have_every_command_and_flag),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
