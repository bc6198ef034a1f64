/* __complete KIND: the names that a shell offers, one a line. Says nothing where something is wrong. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "image/store.h"

static void complete_commands(void)
{
        for (const Command *const *c = commands; *c; c++)
                if (!((*c)->flags & COMMAND_HIDDEN))
                        printf("%s\n", (*c)->name);
}

static void complete_services(const Invocation *invocation)
{
        _cleanup_load_arguments_ LoadArguments keep = { 0 };
        LoadOptions options = invocation_load_options(invocation, &keep);
        _cleanup_(project_freep) Project *project = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_container_list_ ContainerList list = { 0 };

        if (project_load(&options, &project, NULL) >= 0) {
                for (size_t i = 0; i < project->n_services; i++)
                        printf("%s\n", project->services[i].name);
                return;
        }
        /* Away from a compose file: the names of containers. */
        if (invocation_open_engine(invocation, &engine, NULL) < 0 ||
            engine->operations->container_list(engine, NULL, &list, NULL) < 0)
                return;
        for (size_t i = 0; i < list.length; i++)
                printf("%s\n", list.items[i]->name);
}

static void complete_projects(const Invocation *invocation)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_strv_ char **seen = NULL;

        if (invocation_open_engine(invocation, &engine, NULL) < 0 ||
            engine->operations->container_list(engine, NULL, &list, NULL) < 0)
                return;
        for (size_t i = 0; i < list.length; i++) {
                const char *project = list.items[i]->project;

                if (!project || strv_contains(seen, project))
                        continue;
                strv_add(&seen, project);
                printf("%s\n", project);
        }
}

static void complete_volumes(const Invocation *invocation)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        VolumeInfo **volumes = NULL;
        size_t length = 0;

        if (invocation_open_engine(invocation, &engine, NULL) < 0 ||
            engine->operations->volume_list(engine, NULL, &volumes, &length, NULL) < 0)
                return;
        for (size_t i = 0; i < length; i++) {
                printf("%s\n", volumes[i]->name);
                volume_info_free(volumes[i]);
        }
        free(volumes);
}

static void complete_networks(const Invocation *invocation)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        NetworkInfo **networks = NULL;
        size_t length = 0;

        if (invocation_open_engine(invocation, &engine, NULL) < 0 ||
            engine->operations->network_list(engine, NULL, &networks, &length, NULL) < 0)
                return;
        for (size_t i = 0; i < length; i++) {
                printf("%s\n", networks[i]->name);
                network_info_free(networks[i]);
        }
        free(networks);
}

static void complete_images(const Invocation *invocation)
{
        Image **images = NULL;
        size_t length = 0;

        if (image_list(invocation->layout, &images, &length, NULL) < 0)
                return;
        for (size_t i = 0; i < length; i++)
                STRV_FOREACH(name, images[i]->names)
                        printf("%s\n", *name);
        image_list_free(images, length);
}

static int run_complete(Invocation *invocation, Error **err)
{
        const char *kind = invocation->arguments[0];

        if (streq(kind, "commands"))
                complete_commands();
        else if (streq(kind, "services"))
                complete_services(invocation);
        else if (streq(kind, "projects"))
                complete_projects(invocation);
        else if (streq(kind, "volumes"))
                complete_volumes(invocation);
        else if (streq(kind, "networks"))
                complete_networks(invocation);
        else if (streq(kind, "images"))
                complete_images(invocation);
        return 0;
}

const Command command_complete = {
        .name = "__complete",
        .summary = "Names for shell completion",
        .arguments = "KIND",
        .flags = COMMAND_HIDDEN,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_complete,
};
