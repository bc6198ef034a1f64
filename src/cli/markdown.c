#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/documents.h"
#include "cli/help.h"

static void add_options(Strbuf *text, const Option *options)
{
        bool any = false;

        for (const Option *option = options; option && option->name; option++) {
                _cleanup_free_ char *description = option_description(option);

                if (option_is_hidden(option))
                        continue;
                if (!any)
                        strbuf_addc(text, '\n');
                any = true;
                strbuf_adds(text, "- `");
                if (option->letter)
                        strbuf_addf(text, "-%c, ", option->letter);
                strbuf_addf(text, "--%s%s%s`: %s\n", option->name, option->argument ? " " : "", option->argument ?: "",
                            description);
        }
}

static void add_command(void *context, const Command *command)
{
        Strbuf *text = context;
        _cleanup_free_ char *synopsis = command_synopsis(command);

        strbuf_addf(text, "\n### `berth %s%s%s`\n%s.\n", command->name, *synopsis ? " " : "", synopsis,
                    command->summary);
        if (command->details)
                strbuf_addf(text, "\n%s\n", command->details);
        add_options(text, command->options);
        if (command->examples)
                strbuf_addf(text, "\n```sh\n%s\n```\n", command->examples);
        if (command->differences)
                strbuf_addf(text, "\n**Different from docker compose:** %s\n", command->differences);
}

char *commands_markdown(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        strbuf_adds(&text,
                    "# Commands\nGenerated from the command table (`build/generate-documents markdown`); do not edit "
                    "by hand.\n\nNames, flags and meanings are docker compose's. Where a command does something else "
                    "on purpose, it says so under \"Different from docker compose\". Wherever SERVICE stands, the name "
                    "of a container works too, from any folder. Every listing takes `--format json`.\n\nExit status: 0 "
                    "success, 1 an error, 2 a wrong command line, 126 and 127 a command that cannot be run or found in "
                    "a container, 130 after Ctrl-C; `exec` and `run` end with their command's own.\n\n## Before any "
                    "command\n");
        add_options(&text, global_options);
        strbuf_adds(&text, "\n## Of docker compose and not here\n");
        for (const ForeignCommand *foreign = foreign_commands; foreign->word; foreign++)
                strbuf_addf(&text, "- `%s`: %s. %s\n", foreign->word, foreign->reason, foreign->hint);
        strbuf_adds(&text, "\nAccepted without effect, for scripts that bring them along: `--compatibility`, "
                           "`--parallel`, `--build`, `--no-build`, `--menu`, `exec -it`.\n\n## The commands\n");
        commands_visit(add_command, &text);
        return strbuf_take(&text);
}
