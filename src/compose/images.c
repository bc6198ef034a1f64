/* The images in a model: which there are, others in their place, and nothing but them. */
#include "base/mem.h"
#include "base/strmap.h"
#include "base/strv.h"
#include "compose/node.h"
#include "compose/project.h"

char **project_images(const Project *project)
{
        const Node *services = node_get(project->model, "services");
        char **images = NULL;

        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
                {
                        const char *image = node_text(node_get(entry->value, "image"));

                        if (!isempty(image) && !strv_contains(images, image))
                                strv_add(&images, image);
                }
        return images;
}

void project_replace_images(Project *project, char *const *images, char *const *pinned)
{
        _cleanup_strmap_ Strmap map = STRMAP_INIT;
        const Node *services = node_get(project->model, "services");

        for (size_t i = 0; images && images[i]; i++)
                strmap_set(&map, images[i], arena_strdup(project->arena, pinned[i]));
        if (!node_is(services, NODE_MAP))
                return;
        NODE_FOREACH_ENTRY(entry, services)
        {
                Node *image = node_get(entry->value, "image");
                const char *other = node_text(image) ? strmap_get(&map, image->text) : NULL;

                if (other)
                        image->text = other;
        }
}

/* The reference prints these of an empty service, too, where the model was typed. */
static void add_json_only(Arena *arena, Node *map, const char *key, Node *value)
{
        value->flags |= NODE_JSON_ONLY;
        node_set(arena, map, key, value);
}

static Node *only_image(const Project *project, const Node *service)
{
        Node *map = node_new_map(project->arena, service), *image = node_get(service, "image");

        if (!project->is_template) {
                add_json_only(project->arena, map, "command", node_new(project->arena, NODE_NULL, service));
                add_json_only(project->arena, map, "entrypoint", node_new(project->arena, NODE_NULL, service));
        }
        if (image)
                node_set(project->arena, map, "image", image);
        return map;
}

void project_keep_images(Project *project)
{
        const Node *services = node_get(project->model, "services");
        Node *model = node_new_map(project->arena, project->model), *kept = node_new_map(project->arena, services);

        if (node_is(services, NODE_MAP))
                NODE_FOREACH_ENTRY(entry, services)
        node_set(project->arena, kept, entry->key, only_image(project, entry->value));
        if (!project->is_template)
                add_json_only(project->arena, model, "name", node_new_string(project->arena, "", NULL));
        node_set(project->arena, model, "services", kept);
        project->model = model;
}
