#include "compose/xberth.h"

#include "base/mem.h"
#include "base/strv.h"
#include "compose/typed_values.h"

static const char *const image_choices[] = {
        [IMAGE_CHOICE_AUTO] = "auto", [IMAGE_CHOICE_HOST] = "host", [IMAGE_CHOICE_REGISTRY] = "registry"
};

const char *image_choice_name(ImageChoice choice)
{
        return image_choices[choice];
}

/* A folder alone, or a map. */
static void read_seed(const Project *project, const Node *seed, XBerth *ret)
{
        const char *path = node_text(seed) ? node_text(seed) : typed_text(project->arena, seed, "path");
        const char *service = typed_text(project->arena, seed, "service");
        char **command = typed_texts(project->arena, node_get(seed, "command"));

        if (path)
                ret->seed_path = (char *)path;
        if (service)
                ret->seed_service = (char *)service;
        if (command)
                ret->seed_command = command;
}

static void read_level(const Project *project, const Node *node, XBerth *ret, char ***silence)
{
        const Node *migrations = node_get(node, "migrations"), *template = node_get(node, "template");
        const char *images = node_text(node_get(node, "images"));
        char *text;

        if (images)
                for (size_t i = 0; i < ARRAY_SIZE(image_choices); i++)
                        if (streq(images, image_choices[i]))
                                ret->images = (ImageChoice)i;
        if (node_is(template, NODE_BOOL))
                ret->use_template = template->boolean;
        else if (node_text(template))
                ret->use_template = !streq(template->text, "off");
        if (node_find(node, "postgres"))
                ret->postgres = typed_bool(node, "postgres");
        text = typed_text(project->arena, migrations, "path");
        if (text)
                ret->migrations_path = text;
        text = typed_text(project->arena, migrations, "table");
        if (text)
                ret->migrations_table = text;
        if (node_find(migrations, "lock_timeout"))
                ret->migrations_lock_timeout_ns = typed_duration(migrations, "lock_timeout");
        if (node_find(migrations, "on_up"))
                ret->migrations_on_up = typed_bool(migrations, "on_up");
        read_seed(project, node_get(node, "seed"), ret);
        STRV_FOREACH(item, typed_texts(project->arena, node_get(node, "silence")))
                if (!strv_contains(*silence, *item))
                        strv_add(silence, *item);
}

void x_berth_read(const Project *project, const Service *service, XBerth *ret)
{
        _cleanup_strv_ char **silence = NULL;

        *ret = (XBerth){ .postgres = -1, .use_template = true, .migrations_lock_timeout_ns = -1 };
        read_level(project, project->x_berth, ret, &silence);
        if (service)
                read_level(project, service->x_berth, ret, &silence);
        ret->silence = arena_strv(project->arena, silence);
}
