#include "cli/command.h"
#include "base/mem.h"
#include "base/strbuf.h"

const char *const command_group_titles[_COMMAND_GROUP_MAX] = {
        [GROUP_RUN] = "Run a project",    [GROUP_LOOK] = "Look at it",
        [GROUP_DATABASE] = "Databases",   [GROUP_DATA] = "Images, volumes, networks, secrets",
        [GROUP_MACHINE] = "This machine", [GROUP_GUIDE] = "In the words of a Makefile",
};

const char *command_word(const Command *command)
{
        const char *space = strrchr(command->name, ' ');

        return space ? space + 1 : command->name;
}

static bool command_answers_to(const Command *command, const char *word)
{
        if (streq(command_word(command), word))
                return true;
        for (const char *const *alias = command->aliases; alias && *alias; alias++)
                if (streq(*alias, word))
                        return true;
        return false;
}

const Command *command_find(const Command *const *list, const char *word)
{
        for (; list && *list; list++)
                if (command_answers_to(*list, word))
                        return *list;
        return NULL;
}

const Option *option_find(const Option *options, const char *name, char letter)
{
        for (const Option *option = options; option && option->name; option++)
                if (name ? streq(option->name, name) : option->letter == letter)
                        return option;
        return NULL;
}

bool option_is_hidden(const Option *option)
{
        return option->flags & (OPTION_HIDDEN | OPTION_IGNORED);
}

static bool command_has_visible_options(const Command *command)
{
        for (const Option *option = command->options; option && option->name; option++)
                if (!option_is_hidden(option))
                        return true;
        return false;
}

char *command_synopsis(const Command *command)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (!command->function)
                return xstrdup("COMMAND");
        if (command_has_visible_options(command))
                strbuf_adds(&text, "[OPTIONS]");
        if (command->arguments)
                strbuf_addf(&text, "%s%s", text.length ? " " : "", command->arguments);
        return strbuf_take(&text);
}

static void visit_list(const Command *const *list, CommandVisitor visitor, void *context)
{
        for (; list && *list; list++) {
                if ((*list)->flags & COMMAND_HIDDEN)
                        continue;
                visitor(context, *list);
                visit_list((*list)->children, visitor, context);
        }
}

void commands_visit(CommandVisitor visitor, void *context)
{
        visit_list(commands, visitor, context);
}
