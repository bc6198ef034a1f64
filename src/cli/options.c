#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/invocation.h"
#include "cli/suggest.h"

typedef struct Parser {
        char **next; /* the rest of argv */
        Invocation *invocation;
        const Command *parent; /* a group whose sub-command is still to come */
        bool help;
        bool plain; /* "--" was seen, or another program's arguments began */
} Parser;

static const char *parser_place(const Parser *parser)
{
        if (parser->invocation->command)
                return parser->invocation->command->name;
        return parser->parent ? parser->parent->name : NULL;
}

static int usage_hint(const Parser *parser, const Suggestion *suggestion, const char *prefix, int result, Error **err)
{
        const char *place = parser_place(parser);

        if (suggestion && suggestion->best)
                return error_hint(err, result, "Did you mean \"%s%s\"? \"berth%s%s --help\" lists what there is.",
                                  prefix, suggestion->best, place ? " " : "", place ?: "");
        return error_hint(err, result, "\"berth%s%s --help\" lists what there is.", place ? " " : "", place ?: "");
}

static void suggest_options(Suggestion *suggestion, const Option *options)
{
        for (const Option *option = options; option && option->name; option++)
                if (!option_is_hidden(option))
                        suggestion_consider(suggestion, option->name);
}

static int unknown_option(const Parser *parser, const char *typed, const char *name, Error **err)
{
        const char *place = parser_place(parser);
        Suggestion suggestion = { .word = name };
        int r;

        if (parser->invocation->command)
                suggest_options(&suggestion, parser->invocation->command->options);
        suggest_options(&suggestion, global_options);
        r = error_set(err, ERROR_USAGE, "%s%sunknown flag: %s", place ?: "", place ? ": " : "", typed);
        return usage_hint(parser, *name ? &suggestion : NULL, "--", r, err);
}

static const Option *parser_find_option(const Parser *parser, const char *name, char letter)
{
        const Command *command = parser->invocation->command;
        const Option *option = command ? option_find(command->options, name, letter) : NULL;

        return option ?: option_find(global_options, name, letter);
}

static bool choice_is_valid(const char *choices, const char *value)
{
        _cleanup_strv_ char **list = strv_split(choices, '|');

        return strv_contains(list, value);
}

static int parser_set(Parser *parser, const Option *option, const char *value, Error **err)
{
        int64_t number;
        bool flag;

        switch (option->type) {
        case OPTION_FLAG:
                if (!parse_bool(value, &flag))
                        return error_set(err, ERROR_USAGE, "--%s: \"%s\" is neither true nor false", option->name,
                                         value);
                value = flag ? "true" : "false";
                break;
        case OPTION_NUMBER:
                if (!parse_int64(value, INT64_MIN, INT64_MAX, &number))
                        return error_set(err, ERROR_USAGE, "--%s: \"%s\" is not a whole number", option->name, value);
                break;
        case OPTION_CHOICE:
                if (!choice_is_valid(option->choices, value))
                        return error_set(err, ERROR_USAGE, "--%s: \"%s\" is none of %s", option->name, value,
                                         option->choices);
                break;
        case OPTION_TEXT:
                break;
        }
        vector_add(&parser->invocation->values, (OptionValue){ option, value });
        return 0;
}

static int parser_take_value(Parser *parser, const Option *option, const char *typed, const char **ret, Error **err)
{
        if (!*parser->next)
                return error_hint(err, error_set(err, ERROR_USAGE, "flag needs an argument: %s", typed), "Write %s %s.",
                                  typed, option->argument ?: "VALUE");
        *ret = *parser->next++;
        return 0;
}

static int parser_long_option(Parser *parser, const char *typed, Error **err)
{
        const char *equals = strchr(typed, '=');
        _cleanup_free_ char *name = equals ? xstrndup(typed + 2, (size_t)(equals - typed) - 2) : xstrdup(typed + 2);
        _cleanup_free_ char *shown = xasprintf("--%s", name);
        const Option *option;
        const char *value = equals ? equals + 1 : "true";
        int r;

        if (streq(name, "help")) {
                parser->help = true;
                return 0;
        }
        option = parser_find_option(parser, name, 0);
        if (!option)
                return unknown_option(parser, shown, name, err);
        if (!equals && option->type != OPTION_FLAG) {
                r = parser_take_value(parser, option, shown, &value, err);
                if (r < 0)
                        return r;
        }
        return parser_set(parser, option, value, err);
}

/* -d, -dV, -t10, -t 10, -t=10 */
static int parser_short_options(Parser *parser, const char *typed, Error **err)
{
        int r;

        for (const char *c = typed + 1; *c; c++) {
                char shown[3] = { '-', *c, 0 };
                const Option *option = parser_find_option(parser, NULL, *c);
                const char *value = "true";
                bool rest = false;

                if (!option && *c == 'h') {
                        parser->help = true;
                        continue;
                }
                if (!option)
                        return unknown_option(parser, shown, "", err);
                if (option->type != OPTION_FLAG && c[1]) {
                        value = c[1] == '=' ? c + 2 : c + 1;
                        rest = true;
                } else if (option->type != OPTION_FLAG) {
                        r = parser_take_value(parser, option, shown, &value, err);
                        if (r < 0)
                                return r;
                }
                r = parser_set(parser, option, value, err);
                if (r < 0 || rest)
                        return r;
        }
        return 0;
}

static int unknown_command(const Parser *parser, const char *word, Error **err)
{
        const Command *const *list = parser->parent ? parser->parent->children : commands;
        Suggestion suggestion = { .word = word };
        const ForeignCommand *foreign = parser->parent ? NULL : foreign_command_find(word);
        int r;

        if (foreign)
                return error_hint(err, error_set(err, ERROR_USAGE, "%s: %s", word, foreign->reason), "%s",
                                  foreign->hint);
        for (const Command *const *c = list; *c; c++) {
                if ((*c)->flags & COMMAND_HIDDEN)
                        continue;
                suggestion_consider(&suggestion, command_word(*c));
                for (const char *const *alias = (*c)->aliases; alias && *alias; alias++)
                        suggestion_consider(&suggestion, *alias);
        }
        r = error_set(err, ERROR_USAGE, "unknown command: \"berth %s%s%s\"", parser->parent ? parser->parent->name : "",
                      parser->parent ? " " : "", word);
        if (suggestion.best && parser->parent)
                return error_hint(err, r, "Did you mean \"berth %s %s\"?", parser->parent->name, suggestion.best);
        if (suggestion.best)
                return error_hint(err, r, "Did you mean \"berth %s\"?", suggestion.best);
        return usage_hint(parser, NULL, "", r, err);
}

/* A group that is a command, too: the next word says which is meant. */
static bool names_child(const Parser *parser, const Command *group)
{
        for (char *const *word = parser->next; *word; word++)
                if (**word != '-')
                        return command_find(group->children, *word) != NULL;
        return false;
}

static int parser_word(Parser *parser, const char *word, Error **err)
{
        Invocation *invocation = parser->invocation;
        const Command *command;

        if (invocation->command) {
                strv_add(&invocation->arguments, word);
                if (invocation->command->flags & COMMAND_STOP_AT_ARGUMENT)
                        parser->plain = true;
                return 0;
        }
        command = command_find(parser->parent ? parser->parent->children : commands, word);
        if (!command)
                return unknown_command(parser, word, err);
        if (command->children && !(command->function && !names_child(parser, command)))
                parser->parent = command;
        else
                invocation->command = command;
        return 0;
}

static int parser_step(Parser *parser, Error **err)
{
        const char *typed = *parser->next++;

        if (parser->plain || typed[0] != '-' || !typed[1])
                return parser_word(parser, typed, err);
        if (streq(typed, "--")) {
                parser->plain = parser->invocation->after_dashes = true;
                return 0;
        }
        return typed[1] == '-' ? parser_long_option(parser, typed, err) : parser_short_options(parser, typed, err);
}

static int check_argument_count(const Parser *parser, Error **err)
{
        const Command *command = parser->invocation->command;
        int count = (int)strv_length(parser->invocation->arguments);
        _cleanup_free_ char *synopsis = command_synopsis(command);

        if (count < command->min_arguments)
                return error_hint(err,
                                  error_set(err, ERROR_USAGE, "%s needs at least %d argument%s, not %d", command->name,
                                            command->min_arguments, command->min_arguments == 1 ? "" : "s", count),
                                  "Usage: berth %s %s", command->name, synopsis);
        if (command->max_arguments >= 0 && count > command->max_arguments)
                return error_hint(err,
                                  error_set(err, ERROR_USAGE, "%s takes no argument \"%s\"", command->name,
                                            parser->invocation->arguments[command->max_arguments]),
                                  "Usage: berth %s %s", command->name, synopsis);
        return 0;
}

int invocation_parse(int argc, char **argv, Invocation *ret, bool *ret_help, Error **err)
{
        Parser parser = { .next = argv + (argc > 0), .invocation = ret };
        int r;

        *ret_help = false;
        while (*parser.next) {
                r = parser_step(&parser, err);
                if (r < 0)
                        return r;
        }
        if (!ret->command && (parser.parent || parser.help)) {
                *ret_help = true;
                ret->command = parser.parent;
                return 0;
        }
        if (parser.help) {
                *ret_help = true;
                return 0;
        }
        if (!ret->command)
                return 0;
        return check_argument_count(&parser, err);
}

int invocation_run_words(const Invocation *invocation, char *const *words, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("berth", NULL);
        _cleanup_invocation_ Invocation next = { 0 };
        bool help;
        int r;

        for (size_t i = 0; i < invocation->values.length; i++) {
                const OptionValue *given = &invocation->values.items[i];
                if (option_find(global_options, given->option->name, 0) == given->option)
                        strv_addf(&argv, "--%s=%s", given->option->name, given->value);
        }
        strv_add_all(&argv, words);
        r = invocation_parse((int)strv_length(argv), argv, &next, &help, err);
        if (r < 0)
                return r;
        next.layout = layout_create();
        return next.command->function(&next, err);
}

static const OptionValue *find_value(const Invocation *invocation, const char *name)
{
        for (size_t i = invocation->values.length; i > 0; i--)
                if (streq(invocation->values.items[i - 1].option->name, name))
                        return &invocation->values.items[i - 1];
        return NULL;
}

bool invocation_given(const Invocation *invocation, const char *name)
{
        return find_value(invocation, name);
}

bool invocation_flag(const Invocation *invocation, const char *name)
{
        const OptionValue *value = find_value(invocation, name);

        return value && streq(value->value, "true");
}

const char *invocation_text(const Invocation *invocation, const char *name, const char *fallback)
{
        const OptionValue *value = find_value(invocation, name);

        return value ? value->value : fallback;
}

int64_t invocation_number(const Invocation *invocation, const char *name, int64_t fallback)
{
        const OptionValue *value = find_value(invocation, name);
        int64_t number = fallback;

        if (value)
                parse_int64(value->value, INT64_MIN, INT64_MAX, &number);
        return number;
}

char **invocation_list(const Invocation *invocation, const char *name)
{
        char **list = NULL;

        for (size_t i = 0; i < invocation->values.length; i++)
                if (streq(invocation->values.items[i].option->name, name))
                        strv_add(&list, invocation->values.items[i].value);
        return list;
}

bool invocation_json(const Invocation *invocation)
{
        return streq(invocation_text(invocation, "format", ""), "json");
}

void invocation_done(Invocation *invocation)
{
        vector_done(&invocation->values);
        invocation->arguments = strv_free(invocation->arguments);
        layout_free(invocation->layout);
        invocation->layout = NULL;
}
