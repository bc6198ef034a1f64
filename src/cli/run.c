/* run: a one-off container of a service. The keeper creates it and starts what it depends on; this process is joined to
 * its input and output, and ends with its exit status. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/client.h"
#include "cli/environment.h"
#include "cli/scope.h"
#include "cli/session.h"
#include "cli/shell_words.h"
#include "cli/verbs.h"
#include "keeper/start.h"
#include "operate/secret_source.h"
#include "state/document.h"

#define REMOVAL_POLL_MS 10
#define REMOVAL_POLLS   500

static void await_removal(Engine *engine, const char *id)
{
        for (int i = 0; i < REMOVAL_POLLS; i++) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;

                if (engine->operations->container_inspect(engine, id, &info, NULL) < 0)
                        return;
                poll(NULL, 0, REMOVAL_POLL_MS);
        }
}

/* The keeper removes a container of `run --rm` when it has ended and this connection is closed: until then its exit
 * status can be read. */
static int start(const Invocation *invocation, const Scope *scope, const char *id, ChannelClient **ret, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:s}", "id", id);
        int r = keeper_connect(invocation->layout, scope->name, KEEPER_START, ret, err);

        return r < 0 ? r : channel_client_call(*ret, "start_oneoff", params, NULL, NULL, NULL, err);
}

static int run_attached(const Invocation *invocation, const Scope *scope, const char *id, bool tty, Error **err)
{
        bool interactive = !streq(invocation_text(invocation, "interactive", "true"), "false");
        ExecSpec spec = { .tty = tty,
                          .stdin_fd = interactive ? STDIN_FILENO : -1,
                          .stdout_fd = STDOUT_FILENO,
                          .stderr_fd = STDERR_FILENO,
                          .timeout_ms = -1 };
        _cleanup_(channel_client_freep) ChannelClient *client = NULL;
        Session session;
        int r, code = 0;

        r = session_begin(&session, scope->engine, id, &spec, err);
        if (r < 0)
                return r;
        r = start(invocation, scope, id, &client, err);
        if (r < 0) {
                /* The thread may still wait for a start that will not come: it ends with the process. */
                fflush(NULL);
                return r;
        }
        r = session_end(&session, true, &code, err);
        if (r < 0)
                return r;
        channel_client_free(client);
        client = NULL;
        if (invocation_flag(invocation, "rm"))
                await_removal(scope->engine, id);
        return code;
}

static json_t *environment_object(char *const *environment)
{
        json_t *object = json_object();

        STRV_FOREACH(variable, environment) {
                const char *equals = strchr(*variable, '=');
                _cleanup_free_ char *key = xstrndup(*variable, (size_t)(equals - *variable));

                json_object_set_new(object, key, json_string(equals + 1));
        }
        return object;
}

static void set_list(json_t *params, const Invocation *invocation, const char *option, const char *key)
{
        _cleanup_strv_ char **list = invocation_list(invocation, option);

        if (list)
                json_object_set_new(params, key, json_from_strv(list));
}

static int run_params(const Invocation *invocation, const Scope *scope, bool tty, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *params = NULL;
        _cleanup_strv_ char **environment = NULL, **entrypoint = NULL;
        const char *words = invocation_text(invocation, "entrypoint", NULL);
        static const char *const flags[][2] = { { "no-deps", "no_deps" },
                                                { "service-ports", "service_ports" },
                                                { "rm", "rm" },
                                                { "remove-orphans", "remove_orphans" },
                                                { "use-aliases", "use_aliases" } };
        int r;

        r = environment_options(invocation, &environment, err);
        if (r >= 0)
                r = secret_sources_fetch(scope->project, err);
        if (r >= 0)
                r = scope_model_params(scope, &params, err);
        if (r >= 0 && words && !shell_words_split(words, &entrypoint))
                r = error_set(err, ERROR_USAGE, "--entrypoint: a quote is not closed in \"%s\"", words);
        if (r < 0)
                return r;
        json_object_set_new(params, "service", json_string(scope->services[0]));
        if (invocation->arguments[1])
                json_object_set_new(params, "command", json_from_strv(invocation->arguments + 1));
        if (words)
                json_object_set_new(params, "entrypoint", json_from_strv(entrypoint));
        json_object_set_new(params, "environment", environment_object(environment));
        set_list(params, invocation, "volume", "volumes");
        set_list(params, invocation, "publish", "publish");
        set_list(params, invocation, "label", "labels");
        set_list(params, invocation, "cap-add", "cap_add");
        set_list(params, invocation, "cap-drop", "cap_drop");
        json_set_string(params, "user", invocation_text(invocation, "user", NULL));
        json_set_string(params, "workdir", invocation_text(invocation, "workdir", NULL));
        json_set_string(params, "name", invocation_text(invocation, "name", NULL));
        json_set_string(params, "pull", invocation_text(invocation, "pull", NULL));
        json_object_set_new(params, "tty", json_boolean(tty));
        json_object_set_new(params, "stdin", json_boolean(!invocation_flag(invocation, "detach")));
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                json_object_set_new(params, flags[i][1], json_boolean(invocation_flag(invocation, flags[i][0])));
        *ret = TAKE_PTR(params);
        return 0;
}

static int run_run(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *result = NULL;
        _cleanup_(channel_client_freep) ChannelClient *client = NULL;
        json_t *params = NULL;
        char *names[] = { invocation->arguments[0], NULL };
        bool detach = invocation_flag(invocation, "detach");
        bool tty = !detach && !invocation_flag(invocation, "no-tty") && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
        const char *id;
        int r;

        r = scope_open(invocation, names, SCOPE_NEEDS_MODEL, &scope, err);
        if (r < 0)
                return r;
        r = run_params(invocation, &scope, tty, &params, err);
        if (r < 0)
                return r;
        if (invocation_flag(invocation, "quiet") || invocation_flag(invocation, "quiet-pull"))
                r = client_request_quietly(invocation, scope.name, "run", params, &result, err);
        else
                r = client_request(invocation, scope.name, "run", params, "Running", &result, err);
        if (r < 0)
                return r;
        id = json_get_string(result, "id", "");
        if (!detach)
                return run_attached(invocation, &scope, id, tty, err);
        r = start(invocation, &scope, id, &client, err);
        if (r < 0)
                return r;
        printf("%s\n", json_get_string(result, "name", id));
        return 0;
}

static const Option options[] = {
        { "build", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "cap-add", 0, OPTION_TEXT, "CAPABILITY", "Add a capability", .flags = OPTION_REPEATABLE },
        { "cap-drop", 0, OPTION_TEXT, "CAPABILITY", "Drop a capability", .flags = OPTION_REPEATABLE },
        { "detach", 'd', OPTION_FLAG, NULL, "Run it in the background and print the container's name" },
        { "entrypoint", 0, OPTION_TEXT, "COMMAND", "In place of the image's entrypoint" },
        { "env", 'e', OPTION_TEXT, "KEY=VALUE", "Set a variable; KEY alone takes it from here",
          .flags = OPTION_REPEATABLE },
        { "env-from-file", 0, OPTION_TEXT, "FILE", "Set variables from a file", .flags = OPTION_REPEATABLE,
          .complete = COMPLETE_FILES },
        { "interactive", 'i', OPTION_FLAG, NULL, "Pass standard input on (default: true)" },
        { "label", 'l', OPTION_TEXT, "KEY=VALUE", "Add a label", .flags = OPTION_REPEATABLE },
        { "name", 0, OPTION_TEXT, "NAME", "Name of the container" },
        { "no-deps", 0, OPTION_FLAG, NULL, "Without the services that it depends on" },
        { "no-tty", 'T', OPTION_FLAG, NULL, "No terminal, even where there is one here" },
        { "no-TTY", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "publish", 'p', OPTION_TEXT, "PORT", "Publish a port", .flags = OPTION_REPEATABLE },
        { "pull", 0, OPTION_CHOICE, "WHEN", "When to pull the image", "always|missing|never|policy" },
        { "quiet", 'q', OPTION_FLAG, NULL, "No progress" },
        { "quiet-build", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "quiet-pull", 0, OPTION_FLAG, NULL, "Pull without progress" },
        { "remove-orphans", 0, OPTION_FLAG, NULL, "Remove containers of services that the compose file does not have" },
        { "rm", 0, OPTION_FLAG, NULL, "Remove the container when it ends" },
        { "service-ports", 'P', OPTION_FLAG, NULL, "Publish the service's ports" },
        { "use-aliases", 0, OPTION_FLAG, NULL, "With the service's names on its networks" },
        { "user", 'u', OPTION_TEXT, "USER", "Run as this user" },
        { "volume", 'v', OPTION_TEXT, "VOLUME", "Mount a volume or folder", .flags = OPTION_REPEATABLE },
        { "workdir", 'w', OPTION_TEXT, "DIR", "Start in this folder" },
        { NULL },
};

const Command command_run = {
        .name = "run",
        .summary = "Run a command in a new container of a service",
        .arguments = "SERVICE [COMMAND] [ARGS...]",
        .details = "The container has the service's configuration but none of its published ports, unless "
                   "--service-ports is given. Ends with the command's exit status.",
        .examples = "berth run --rm db psql -h db -U postgres",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT | COMMAND_STOP_AT_ARGUMENT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_run,
        .complete = COMPLETE_SERVICES,
};
