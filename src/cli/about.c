/* help, version, completion: what needs neither a project nor an engine. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/documents.h"
#include "cli/help.h"
#include "cli/invocation.h"
#include "cli/suggest.h"
#include "cli/verbs.h"

static int run_version(Invocation *invocation, Error **err)
{
        if (invocation_json(invocation))
                printf("{\"version\":\"%s\"}\n", BERTH_VERSION);
        else if (invocation_flag(invocation, "short"))
                printf("%s\n", BERTH_VERSION);
        else
                printf("berth version %s\n", BERTH_VERSION);
        return 0;
}

static const Option version_options[] = {
        { "format", 'f', OPTION_CHOICE, "FORMAT", "Output format", "pretty|json" },
        { "short", 0, OPTION_FLAG, NULL, "The number alone" },
        { NULL },
};

const Command command_version = {
        .name = "version",
        .summary = "Show the version",
        .group = GROUP_MACHINE,
        .flags = COMMAND_JSON,
        .options = version_options,
        .function = run_version,
};

static int run_help(Invocation *invocation, Error **err)
{
        const Command *const *list = commands;
        const Command *command = NULL;
        _cleanup_free_ char *text = NULL;

        STRV_FOREACH(word, invocation->arguments) {
                command = command_find(list, *word);
                if (!command)
                        return error_hint(err, error_set(err, ERROR_USAGE, "unknown command: \"%s\"", *word),
                                          "\"berth help\" lists all commands.");
                list = command->children;
        }
        text = help_text(command);
        fputs(text, stdout);
        return 0;
}

const Command command_help = {
        .name = "help",
        .summary = "Explain a command",
        .arguments = "[COMMAND...]",
        .group = GROUP_MACHINE,
        .max_arguments = -1,
        .function = run_help,
        .complete = COMPLETE_COMMANDS,
};

static const char *const shell_names[] = { [SHELL_BASH] = "bash", [SHELL_ZSH] = "zsh", [SHELL_FISH] = "fish" };

static int run_completion(Invocation *invocation, Error **err)
{
        for (size_t i = 0; i < ARRAY_SIZE(shell_names); i++) {
                _cleanup_free_ char *script = NULL;

                if (!streq(shell_names[i], invocation->arguments[0]))
                        continue;
                script = completion_script((Shell)i);
                fputs(script, stdout);
                return 0;
        }
        return error_hint(err, error_set(err, ERROR_USAGE, "no completion for \"%s\"", invocation->arguments[0]),
                          "There is one for bash, zsh and fish.");
}

const Command command_completion = {
        .name = "completion",
        .summary = "Print shell completion for bash, zsh or fish",
        .arguments = "bash|zsh|fish",
        .examples = "# in this shell\neval \"$(berth completion bash)\"\n"
                    "# for good\nberth completion bash > /etc/bash_completion.d/berth\n"
                    "berth completion zsh > /usr/local/share/zsh/site-functions/_berth\n"
                    "berth completion fish > ~/.config/fish/completions/berth.fish",
        .group = GROUP_MACHINE,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_completion,
        .complete = COMPLETE_CHOICES,
        .argument_choices = "bash|zsh|fish",
};
