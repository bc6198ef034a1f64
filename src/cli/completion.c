#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "cli/documents.h"

static const char *const kind_names[_COMPLETION_MAX] = {
        [COMPLETE_FILES] = "files",       [COMPLETE_FOLDERS] = "folders",   [COMPLETE_SERVICES] = "services",
        [COMPLETE_PROJECTS] = "projects", [COMPLETE_VOLUMES] = "volumes",   [COMPLETE_NETWORKS] = "networks",
        [COMPLETE_IMAGES] = "images",     [COMPLETE_COMMANDS] = "commands",
};

const char *completion_kind_name(Completion completion)
{
        return kind_names[completion];
}

/* 'text' for every shell: a single quote ends the string, is written escaped, and the string goes on. */
static void add_quoted(Strbuf *script, const char *text)
{
        strbuf_addc(script, '\'');
        for (; *text; text++) {
                if (*text == '\'')
                        strbuf_adds(script, "'\\''");
                else
                        strbuf_addc(script, *text);
        }
        strbuf_addc(script, '\'');
}

/* zsh's _describe takes name:description, and a colon of the name escaped. */
static void add_described(Strbuf *script, const char *dashes, const char *name, const char *description)
{
        _cleanup_strbuf_ Strbuf pair = STRBUF_INIT;

        strbuf_adds(&pair, dashes);
        for (; *name; name++)
                strbuf_addf(&pair, "%s%c", *name == ':' ? "\\" : "", *name);
        strbuf_addf(&pair, ":%s", description);
        strbuf_addc(script, ' ');
        add_quoted(script, strbuf_text(&pair));
}

static void add_option_words(Strbuf *script, const Option *options, bool described, bool valued_only)
{
        for (const Option *option = options; option && option->name; option++) {
                if (option_is_hidden(option) || (valued_only && option->type == OPTION_FLAG))
                        continue;
                if (described) {
                        add_described(script, "--", option->name, option->help);
                        continue;
                }
                strbuf_addf(script, " --%s", option->name);
                if (option->letter)
                        strbuf_addf(script, " -%c", option->letter);
        }
}

static void add_child_words(Strbuf *script, const Command *const *list, bool described)
{
        for (; list && *list; list++) {
                if ((*list)->flags & COMMAND_HIDDEN)
                        continue;
                if (described)
                        add_described(script, "", command_word(*list), (*list)->summary);
                else
                        strbuf_addf(script, " %s", command_word(*list));
        }
}

/* One branch of the function that tells what may follow a command. */
static void add_table_branch(Strbuf *script, const Command *command, bool zsh)
{
        const Option *options = command ? command->options : global_options;
        const Command *const *children = command ? command->children : commands;
        const char *open = zsh ? "(" : "\"", *close = zsh ? " )" : "\"";
        const char *kind = command ? kind_names[command->complete] : NULL;

        strbuf_addf(script, "    '%s')\n        options=%s", command ? command->name : "", open);
        add_option_words(script, options, zsh, false);
        strbuf_addf(script, "%s\n        subcommands=%s", close, open);
        add_child_words(script, children, zsh);
        strbuf_addf(script, "%s\n        valued=\"", close);
        add_option_words(script, options, false, true);
        strbuf_adds(script, " \"\n        own=\"");
        add_option_words(script, options, false, false);
        strbuf_addf(script, " \"\n        kind=%s\n", kind ?: "");
        if (command && command->complete == COMPLETE_CHOICES) {
                _cleanup_strv_ char **choices = strv_split(command->argument_choices, '|');
                _cleanup_free_ char *joined = strv_join(choices, " ");

                strbuf_addf(script, "        choices=\"%s\"\n", joined);
        }
        strbuf_adds(script, "        ;;\n");
}

typedef struct Emitter {
        Strbuf *script;
        bool zsh;
} Emitter;

static void visit_table(void *context, const Command *command)
{
        Emitter *emitter = context;

        add_table_branch(emitter->script, command, emitter->zsh);
}

static void visit_path(void *context, const Command *command)
{
        Emitter *emitter = context;
        const char *word = command_word(command);
        int parent_length = word == command->name ? 0 : (int)(word - command->name - 1);

        strbuf_addf(emitter->script, "    '%.*s/%s'", parent_length, command->name, word);
        for (const char *const *alias = command->aliases; alias && *alias; alias++)
                strbuf_addf(emitter->script, "|'%.*s/%s'", parent_length, command->name, *alias);
        strbuf_addf(emitter->script, ") command='%s' ;;\n", command->name);
}

static void add_value_branches(Strbuf *script, const char *name, const Option *options)
{
        for (const Option *option = options; option && option->name; option++) {
                const char *kind = kind_names[option->complete];

                if (option_is_hidden(option) || option->type == OPTION_FLAG)
                        continue;
                strbuf_addf(script, "    '%s/--%s'", name, option->name);
                if (option->letter)
                        strbuf_addf(script, "|'%s/-%c'", name, option->letter);
                if (option->choices) {
                        _cleanup_strv_ char **choices = strv_split(option->choices, '|');
                        _cleanup_free_ char *joined = strv_join(choices, " ");

                        strbuf_addf(script, ") choices=\"%s\" ;;\n", joined);
                } else {
                        strbuf_addf(script, ") kind=%s ;;\n", kind ?: "none");
                }
        }
}

static void visit_values(void *context, const Command *command)
{
        Emitter *emitter = context;

        add_value_branches(emitter->script, command->name, command->options);
}

/* The tables that bash and zsh share, as functions which set the caller's variables. */
static void add_tables(Strbuf *script, bool zsh)
{
        Emitter emitter = { script, zsh };

        strbuf_adds(script, "_berth_table() {\n    case \"$1\" in\n");
        add_table_branch(script, NULL, zsh);
        commands_visit(visit_table, &emitter);
        strbuf_adds(script, "    esac\n}\n\n_berth_step() {\n    case \"$command/$1\" in\n");
        commands_visit(visit_path, &emitter);
        strbuf_adds(script, "    esac\n}\n\n_berth_value() {\n    case \"$command/$1\" in\n");
        commands_visit(visit_values, &emitter);
        strbuf_adds(script, "    *) case \"/$1\" in\n");
        add_value_branches(script, "", global_options);
        strbuf_adds(script, "    esac ;;\n    esac\n}\n\n"
                            "# A command's own flag comes before the global one of that name.\n"
                            "_berth_takes_value() {\n"
                            "    [[ $valued == *\" $1 \"* || ( $own != *\" $1 \"* && $globals == *\" $1 \"* ) ]]\n"
                            "}\n\n");
}

static char *bash_script(void)
{
        _cleanup_strbuf_ Strbuf script = STRBUF_INIT;

        strbuf_adds(&script, "# bash completion for berth: eval \"$(berth completion bash)\"\n\n");
        add_tables(&script, false);
        strbuf_adds(
                &script,
                "# bash takes a colon for the end of a word: words like db:up are put together again.\n"
                "_berth_words() {\n"
                "    local word glue=''\n"
                "    for word in \"${COMP_WORDS[@]:0:COMP_CWORD+1}\"; do\n"
                "        if [[ ${#words[@]} -gt 0 && ( $word == : || -n $glue ) ]]; then\n"
                "            words[-1]+=$word\n"
                "        else\n"
                "            words+=(\"$word\")\n"
                "        fi\n"
                "        glue=''\n"
                "        [[ $word == : ]] && glue=1\n"
                "    done\n"
                "}\n\n"
                "_berth_reply() {\n"
                "    local command='' options='' subcommands='' valued='' own='' kind='' choices='' word globals i\n"
                "    local context=()\n"
                "    _berth_table ''\n"
                "    globals=$valued\n"
                "    for ((i = 1; i < ${#words[@]} - 1; i++)); do\n"
                "        word=${words[i]}\n"
                "        if _berth_takes_value \"$word\"; then\n"
                "            [[ -z $command ]] && context+=(\"$word\" \"${words[i+1]}\")\n"
                "            ((i++))\n"
                "        elif [[ $word != -* ]]; then\n"
                "            _berth_step \"$word\"\n"
                "            _berth_table \"$command\"\n"
                "        fi\n"
                "    done\n"
                "    if _berth_takes_value \"$prev\"; then\n"
                "        subcommands='' kind=none choices=''\n"
                "        _berth_value \"$prev\"\n"
                "    elif [[ $cur == -* ]]; then\n"
                "        COMPREPLY=($(compgen -W \"$options --help\" -- \"$cur\"))\n"
                "        return\n"
                "    fi\n"
                "    case $kind in\n"
                "    none) COMPREPLY=($(compgen -W \"$choices\" -- \"$cur\")) ;;\n"
                "    files) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
                "    folders) COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
                "    '') COMPREPLY=($(compgen -W \"$subcommands $choices\" -- \"$cur\")) ;;\n"
                "    *) COMPREPLY=($(compgen -W \"$(berth \"${context[@]}\" __complete $kind 2>/dev/null)\" -- "
                "\"$cur\")) ;;\n"
                "    esac\n"
                "}\n\n"
                "_berth() {\n"
                "    local words=() cur prev before\n"
                "    _berth_words\n"
                "    cur=${words[-1]} prev=${words[-2]}\n"
                "    _berth_reply\n"
                "    # Only what follows the last colon is put in its place.\n"
                "    before=${cur%\"${cur##*:}\"}\n"
                "    [[ -n $before && $COMP_WORDBREAKS == *:* ]] && COMPREPLY=(\"${COMPREPLY[@]#\"$before\"}\")\n"
                "}\n"
                "complete -F _berth berth\n");
        return strbuf_take(&script);
}

static char *zsh_script(void)
{
        _cleanup_strbuf_ Strbuf script = STRBUF_INIT;

        strbuf_adds(&script,
                    "#compdef berth\n# zsh completion for berth: put it into a folder of $fpath as _berth\n\n");
        add_tables(&script, true);
        strbuf_adds(&script,
                    "_berth() {\n"
                    "    local command='' valued='' own='' kind='' choices='' word globals prev=${words[CURRENT-1]}\n"
                    "    local -a options subcommands context\n"
                    "    local -i i\n"
                    "    _berth_table ''\n"
                    "    globals=$valued\n"
                    "    for ((i = 2; i < CURRENT; i++)); do\n"
                    "        word=${words[i]}\n"
                    "        if _berth_takes_value \"$word\"; then\n"
                    "            [[ -z $command ]] && context+=(\"$word\" \"${words[i+1]}\")\n"
                    "            ((i++))\n"
                    "        elif [[ $word != -* ]]; then\n"
                    "            _berth_step \"$word\"\n"
                    "            _berth_table \"$command\"\n"
                    "        fi\n"
                    "    done\n"
                    "    if _berth_takes_value \"$prev\"; then\n"
                    "        subcommands=() kind=none choices=''\n"
                    "        _berth_value \"$prev\"\n"
                    "    elif [[ $PREFIX == -* ]]; then\n"
                    "        _describe -o option options\n"
                    "        return\n"
                    "    fi\n"
                    "    (( $#subcommands )) && _describe command subcommands\n"
                    "    [[ -n $choices ]] && compadd -- ${=choices}\n"
                    "    case $kind in\n"
                    "    none|'') ;;\n"
                    "    files) _files ;;\n"
                    "    folders) _files -/ ;;\n"
                    "    *) compadd -- ${(f)\"$(berth $context __complete $kind 2>/dev/null)\"} ;;\n"
                    "    esac\n"
                    "}\n\n"
                    "if [[ $funcstack[1] == _berth ]]; then _berth \"$@\"; else compdef _berth berth; fi\n");
        return strbuf_take(&script);
}

static void add_fish_option(Strbuf *script, const Option *option, const char *condition)
{
        strbuf_addf(script, "complete -c berth -n %s -l %s", condition, option->name);
        if (option->letter)
                strbuf_addf(script, " -s %c", option->letter);
        if (option->choices) {
                _cleanup_strv_ char **choices = strv_split(option->choices, '|');
                _cleanup_free_ char *joined = strv_join(choices, " ");

                strbuf_addf(script, " -x -a '%s'", joined);
        } else if (option->type != OPTION_FLAG) {
                const char *kind = kind_names[option->complete];

                if (kind && !streq(kind, "files") && !streq(kind, "folders"))
                        strbuf_addf(script, " -x -a '(__berth_ask %s)'", kind);
                else
                        strbuf_adds(script, kind ? " -r -F" : " -x");
        }
        strbuf_adds(script, " -d ");
        add_quoted(script, option->help);
        strbuf_addc(script, '\n');
}

static void fish_command(void *context, const Command *command)
{
        Strbuf *script = context;
        const char *word = command_word(command), *kind = kind_names[command->complete];
        bool child = word != command->name;
        _cleanup_free_ char *parent = xstrndup(command->name, child ? (size_t)(word - command->name - 1) : 0);
        _cleanup_free_ char *condition = xasprintf("'__berth_at %s'", command->name);

        strbuf_addf(script, "complete -c berth -n '__berth_at%s%s' -a %s -d ", child ? " " : "", parent, word);
        add_quoted(script, command->summary);
        strbuf_addc(script, '\n');
        for (const Option *option = command->options; option && option->name; option++)
                if (!option_is_hidden(option))
                        add_fish_option(script, option, condition);
        if (command->complete == COMPLETE_CHOICES) {
                _cleanup_strv_ char **choices = strv_split(command->argument_choices, '|');
                _cleanup_free_ char *joined = strv_join(choices, " ");

                strbuf_addf(script, "complete -c berth -n %s -a '%s'\n", condition, joined);
        } else if (kind && (command->complete == COMPLETE_FILES || command->complete == COMPLETE_FOLDERS)) {
                strbuf_addf(script, "complete -c berth -n %s -F\n", condition);
        } else if (kind) {
                strbuf_addf(script, "complete -c berth -n %s -a '(__berth_ask %s)'\n", condition, kind);
        }
}

static char *fish_script(void)
{
        _cleanup_strbuf_ Strbuf script = STRBUF_INIT;

        strbuf_adds(&script,
                    "# fish completion for berth: berth completion fish > ~/.config/fish/completions/berth.fish\n\n"
                    "function __berth_ask\n    berth __complete $argv[1] 2>/dev/null\nend\n\n"
                    "# True where the words typed so far, options aside, are this command and no sub-command of it.\n"
                    "function __berth_at\n    set -l typed\n    set -l skip 0\n"
                    "    for word in (commandline -opc)[2..-1]\n"
                    "        if test $skip = 1\n            set skip 0\n            continue\n        end\n"
                    "        switch $word\n            case");
        for (const Option *option = global_options; option->name; option++) {
                if (option_is_hidden(option) || option->type == OPTION_FLAG)
                        continue;
                strbuf_addf(&script, " --%s", option->name);
                if (option->letter)
                        strbuf_addf(&script, " -%c", option->letter);
        }
        strbuf_adds(&script, "\n                set skip 1\n            case '-*'\n            case '*'\n"
                             "                set -a typed $word\n        end\n    end\n"
                             "    set -l depth (count $argv)\n"
                             "    if test $depth = 0\n        test (count $typed) = 0\n        return\n    end\n"
                             "    test (count $typed) -ge $depth; and test \"$typed[1..$depth]\" = \"$argv\"\n"
                             "end\n\ncomplete -c berth -f\n");
        for (const Option *option = global_options; option->name; option++)
                if (!option_is_hidden(option))
                        add_fish_option(&script, option, "'__berth_at'");
        commands_visit(fish_command, &script);
        return strbuf_take(&script);
}

char *completion_script(Shell shell)
{
        switch (shell) {
        case SHELL_BASH:
                return bash_script();
        case SHELL_ZSH:
                return zsh_script();
        case SHELL_FISH:
                return fish_script();
        }
        return NULL;
}
