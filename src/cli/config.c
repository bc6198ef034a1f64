/* config: the canonical model, or parts of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "compose/explain.h"
#include "compose/node.h"
#include "image/pull.h"

static int print_lines(char **lines, bool sort)
{
        if (sort)
                strv_sort(lines);
        STRV_FOREACH(line, lines)
                puts(*line);
        return 0;
}

static int print_keys(const Project *project, const char *section, Error **err)
{
        const Node *map = node_get(project->model, section);
        _cleanup_strv_ char **lines = NULL;

        if (node_is(map, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, map)
        strv_add(&lines, entry->key);
        return print_lines(lines, true);
}

static int print_services(const Project *project, Error **err)
{
        return print_keys(project, "services", err);
}

static int print_volumes(const Project *project, Error **err)
{
        return print_keys(project, "volumes", err);
}

static int print_networks(const Project *project, Error **err)
{
        return print_keys(project, "networks", err);
}

static int print_images(const Project *project, Error **err)
{
        _cleanup_strv_ char **lines = NULL;

        for (size_t i = 0; i < project->n_services; i++) {
                const Service *service = &project->services[i];

                if (service->image)
                        strv_add(&lines, service->image);
                else
                        strv_addf(&lines, "%s-%s", project->name, service->name);
        }
        return print_lines(lines, true);
}

static int print_profiles(const Project *project, Error **err)
{
        _cleanup_strv_ char **lines = NULL;

        for (size_t i = 0; i < project->n_services + project->n_disabled_services; i++) {
                const Service *service = i < project->n_services ? &project->services[i]
                                                                 : &project->disabled_services[i - project->n_services];

                STRV_FOREACH(profile, service->profiles)
                        if (!strv_contains(lines, *profile))
                                strv_add(&lines, *profile);
        }
        return print_lines(lines, true);
}

static int print_environment(const Project *project, Error **err)
{
        return print_lines(project->variables, false);
}

static int print_variables(const Project *project, bool json)
{
        _cleanup_free_ char *text = json ? explain_variables_json(project) : explain_variables(project);

        fputs(text, stdout);
        return 0;
}

static int print_hashes(const Project *project, const char *wanted, Error **err)
{
        _cleanup_strv_ char **names = NULL;

        if (streq(wanted, "*"))
                for (size_t i = 0; i < project->n_services; i++)
                        strv_add(&names, project->services[i].name);
        else
                names = strv_split(wanted, ',');
        strv_sort(names);
        STRV_FOREACH(name, names) {
                const Service *service = project_find_service(project, *name);
                _cleanup_free_ char *hash = NULL;

                if (!service)
                        return error_set(err, ERROR_NOT_FOUND, "no such service: %s", *name);
                hash = service_config_hash(service);
                printf("%s %s\n", *name, hash);
        }
        return 0;
}

static int print_explanation(const Project *project, const char *path, Error **err)
{
        _cleanup_free_ char *text = NULL;
        int r = explain_value(project, path, &text, err);

        if (r == 0)
                fputs(text, stdout);
        return r;
}

static int pin_images(const Invocation *invocation, Project *project, Error **err)
{
        bool lock = invocation_flag(invocation, "lock-image-digests");
        _cleanup_strv_ char **images = NULL, **pinned = NULL;
        int r;

        if (!lock && !invocation_flag(invocation, "resolve-image-digests"))
                return 0;
        images = project_images(project);
        r = image_pin(invocation->layout, images, &pinned, err);
        if (r < 0)
                return r;
        project_replace_images(project, images, pinned);
        if (lock)
                project_keep_images(project);
        return 0;
}

static void write_out(void *context, const char *text, size_t length)
{
        fwrite(text, 1, length, stdout);
}

static int print_model(const Invocation *invocation, Project *project, Error **err)
{
        const char *output = invocation_text(invocation, "output", NULL);
        _cleanup_free_ char *text = NULL;
        int r = pin_images(invocation, project, err);

        if (r < 0)
                return r;
        if (invocation_flag(invocation, "quiet"))
                return 0;
        if (!output) {
                project_print(project, invocation_json(invocation), write_out, NULL);
                return 0;
        }
        text = project_config_text(project, invocation_json(invocation));
        return error_prefix(err, fs_write_file(AT_FDCWD, output, text, strlen(text), 0644, err), "config");
}

static const struct {
        const char *flag;
        int (*print)(const Project *project, Error **err);
} parts[] = {
        { "services", print_services }, { "volumes", print_volumes }, { "networks", print_networks },
        { "profiles", print_profiles }, { "images", print_images },   { "environment", print_environment },
};

static int print_config(const Invocation *invocation, Project *project, Error **err)
{
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (invocation_flag(invocation, parts[i].flag))
                        return parts[i].print(project, err);
        if (invocation_flag(invocation, "variables"))
                return print_variables(project, invocation_json(invocation));
        if (invocation_given(invocation, "hash"))
                return print_hashes(project, invocation_text(invocation, "hash", "*"), err);
        if (invocation_given(invocation, "explain"))
                return print_explanation(project, invocation_text(invocation, "explain", ""), err);
        return print_model(invocation, project, err);
}

/* Of the project, only the model is printed then. */
static bool is_whole_model(const Invocation *invocation)
{
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (invocation_flag(invocation, parts[i].flag))
                        return false;
        return !invocation_flag(invocation, "variables") && !invocation_given(invocation, "hash") &&
               !invocation_given(invocation, "explain");
}

static int run_config(Invocation *invocation, Error **err)
{
        _cleanup_load_arguments_ LoadArguments keep = { 0 };
        _cleanup_(project_freep) Project *project = NULL;
        LoadOptions options = invocation_load_options(invocation, &keep);
        bool hash = invocation_given(invocation, "hash");
        int r;

        if (!hash)
                options.services = invocation->arguments;
        options.no_interpolate =
                invocation_flag(invocation, "no-interpolate") || invocation_flag(invocation, "variables");
        options.no_normalize = invocation_flag(invocation, "no-normalize");
        options.no_path_resolution = invocation_flag(invocation, "no-path-resolution");
        options.no_consistency = invocation_flag(invocation, "no-consistency");
        options.no_env_resolution = invocation_flag(invocation, "no-env-resolution") || hash;
        options.untyped = is_whole_model(invocation);
        r = project_load(&options, &project, err);
        if (r < 0)
                return r;
        report_warnings(project->warnings);
        return print_config(invocation, project, err);
}

static const Option config_options[] = {
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "yaml|json" },
        { "quiet", 'q', OPTION_FLAG, NULL, "Only check the files" },
        { "output", 'o', OPTION_TEXT, "FILE", "Write to a file", .complete = COMPLETE_FILES },
        { "services", 0, OPTION_FLAG, NULL, "Print the names of the services" },
        { "volumes", 0, OPTION_FLAG, NULL, "Print the names of the volumes" },
        { "networks", 0, OPTION_FLAG, NULL, "Print the names of the networks" },
        { "images", 0, OPTION_FLAG, NULL, "Print the images" },
        { "profiles", 0, OPTION_FLAG, NULL, "Print the profiles" },
        { "variables", 0, OPTION_FLAG, NULL, "Print the variables that the files use, with their defaults" },
        { "environment", 0, OPTION_FLAG, NULL, "Print what the variables are" },
        { "hash", 0, OPTION_TEXT, "SERVICES", "Print the hash of services, \"*\" of all" },
        { "explain", 0, OPTION_TEXT, "PATH",
          "Tell where a value came from, for example services.db.environment.PGDATA" },
        { "no-interpolate", 0, OPTION_FLAG, NULL, "Leave variables as they are" },
        { "no-normalize", 0, OPTION_FLAG, NULL, "Leave out what the files do not say" },
        { "no-path-resolution", 0, OPTION_FLAG, NULL, "Leave relative paths as they are" },
        { "no-consistency", 0, OPTION_FLAG, NULL, "Do not check that the parts fit together" },
        { "no-env-resolution", 0, OPTION_FLAG, NULL, "Leave env_file as it is" },
        { "resolve-image-digests", 0, OPTION_FLAG, NULL,
          "Print the images with the digests that their tags have in the registry now" },
        { "lock-image-digests", 0, OPTION_FLAG, NULL,
          "Print nothing but them: an override file that fixes the images" },
        { NULL },
};

const Command command_config = {
        .name = "config",
        .summary = "Check the compose files and print what they come to",
        .arguments = "[SERVICE...]",
        .details = "All files merged, variables filled in, short forms written out, in the form that docker compose "
                   "prints. With services, only they and what they depend on.\n\nNothing of Berth's own shows: what it "
                   "does by default beside the files is not part of the model.",
        .examples = "berth config --format json\nberth config -q && echo fine\n# where a value came from: file and "
                    "line, override, .env, default\n"
                    "berth config --explain services.db.environment.PGDATA\n"
                    "# the same images next month, whatever becomes of their tags\n"
                    "berth config --lock-image-digests -o compose.lock.yaml",
        .group = GROUP_LOOK,
        .flags = COMMAND_JSON,
        .options = config_options,
        .max_arguments = -1,
        .function = run_config,
        .complete = COMPLETE_SERVICES,
};
