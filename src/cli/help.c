#include "cli/help.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"

void text_wrap(Strbuf *buffer, const char *text, size_t column, size_t indent, size_t width)
{
        bool fresh = true;

        while (*text) {
                size_t length = strcspn(text, " \n");

                if (!fresh && column + 1 + length > width) {
                        strbuf_addf(buffer, "\n%*s", (int)indent, "");
                        column = indent;
                        fresh = true;
                }
                if (length > 0) {
                        if (!fresh)
                                strbuf_addc(buffer, ' ');
                        strbuf_add(buffer, text, length);
                        column += length + !fresh;
                        fresh = false;
                }
                text += length;
                if (*text == '\n') {
                        strbuf_addf(buffer, "\n%*s", text[1] && text[1] != '\n' ? (int)indent : 0, "");
                        column = indent;
                        fresh = true;
                }
                if (*text)
                        text++;
        }
}

char *option_description(const Option *option)
{
        const char *repeat = option->flags & OPTION_REPEATABLE ? ", may be repeated" : "";

        if (option->type == OPTION_CHOICE && !strstr(option->help, option->choices))
                return xasprintf("%s (%s)%s", option->help, option->choices, repeat);
        return xasprintf("%s%s", option->help, repeat);
}

static char *option_head(const Option *option)
{
        char letter[5] = "    ";

        if (option->letter)
                snprintf(letter, sizeof(letter), "-%c, ", option->letter);
        return xasprintf("  %s--%s%s%s", letter, option->name, option->argument ? " " : "", option->argument ?: "");
}

static void add_options(Strbuf *text, const char *title, const Option *options)
{
        size_t widest = 0;

        for (const Option *option = options; option && option->name; option++) {
                _cleanup_free_ char *head = option_head(option);

                if (!option_is_hidden(option))
                        widest = MAX(widest, strlen(head));
        }
        if (widest == 0)
                return;
        widest = MIN(widest, (size_t)34) + 2;
        strbuf_addf(text, "\n%s:\n", title);
        for (const Option *option = options; option->name; option++) {
                _cleanup_free_ char *head = option_head(option), *description = option_description(option);

                if (option_is_hidden(option))
                        continue;
                strbuf_adds(text, head);
                if (strlen(head) >= widest)
                        strbuf_addf(text, "\n%*s", (int)widest, "");
                else
                        strbuf_addf(text, "%*s", (int)(widest - strlen(head)), "");
                text_wrap(text, description, widest, widest, HELP_WIDTH);
                strbuf_addc(text, '\n');
        }
}

static void add_command_row(Strbuf *text, const Command *command, size_t width)
{
        strbuf_addf(text, "  %-*s", (int)width, command_word(command));
        text_wrap(text, command->summary, width + 2, width + 2, HELP_WIDTH);
        strbuf_addc(text, '\n');
}

static void add_children(Strbuf *text, const Command *const *list)
{
        strbuf_adds(text, "\nCommands:\n");
        for (; *list; list++)
                if (!((*list)->flags & COMMAND_HIDDEN))
                        add_command_row(text, *list, 12);
}

static void add_paragraphs(Strbuf *text, const char *paragraphs)
{
        strbuf_addc(text, '\n');
        text_wrap(text, paragraphs, 0, 0, HELP_WIDTH);
        strbuf_addc(text, '\n');
}

static void add_examples(Strbuf *text, const char *examples)
{
        _cleanup_strv_ char **lines = strv_split(examples, '\n');

        strbuf_adds(text, "\nExamples:\n");
        STRV_FOREACH(line, lines)
                strbuf_addf(text, "%s%s\n", **line ? "  " : "", *line);
}

static void add_aliases(Strbuf *text, const Command *command)
{
        if (!command->aliases)
                return;
        strbuf_adds(text, "\nAliases:\n ");
        for (const char *const *alias = command->aliases; *alias; alias++)
                strbuf_addf(text, " %s%s", *alias, alias[1] ? "," : "");
        strbuf_addc(text, '\n');
}

static size_t widest_command(CommandGroup group)
{
        size_t widest = 12;

        for (const Command *const *c = commands; *c; c++)
                if ((*c)->group == group && !((*c)->flags & COMMAND_HIDDEN))
                        widest = MAX(widest, strlen((*c)->name) + 1);
        return widest;
}

static char *program_help(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        strbuf_adds(&text, "Usage:  berth [OPTIONS] COMMAND\n\n"
                           "Run PostgreSQL, and what stands beside it, from a compose file\n");
        for (size_t group = 0; group < _COMMAND_GROUP_MAX; group++) {
                strbuf_addf(&text, "\n%s:\n", command_group_titles[group]);
                for (const Command *const *c = commands; *c; c++)
                        if ((*c)->group == (CommandGroup)group && !((*c)->flags & COMMAND_HIDDEN))
                                add_command_row(&text, *c, widest_command((CommandGroup)group));
        }
        add_options(&text, "Options", global_options);
        strbuf_adds(&text, "\n\"berth COMMAND --help\" tells more about a command.\n");
        return strbuf_take(&text);
}

char *help_text(const Command *command)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *synopsis = NULL;

        if (!command)
                return program_help();
        synopsis = command_synopsis(command);
        strbuf_addf(&text, "Usage:  berth %s%s%s\n\n%s\n", command->name, *synopsis ? " " : "", synopsis,
                    command->summary);
        add_aliases(&text, command);
        if (command->details)
                add_paragraphs(&text, command->details);
        if (command->children)
                add_children(&text, command->children);
        add_options(&text, "Options", command->options);
        if (command->examples)
                add_examples(&text, command->examples);
        return strbuf_take(&text);
}
