#include "check_project.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compose/node.h"
#include "compose/yaml_tree.h"

/* printed has every $ of text twice. */
static bool same_text(const char *text, const char *printed, bool escaped)
{
        for (; *text; text++, printed++) {
                if (*text != *printed)
                        return false;
                if (escaped && *text == '$' && *++printed != '$')
                        return false;
        }
        return !*printed;
}

static bool same_node(const Node *node, const Node *printed, bool escaped);

static bool same_map(const Node *map, const Node *printed, bool escaped)
{
        size_t n = 0;

        if (printed->kind != NODE_MAP)
                return false;
        NODE_FOREACH_ENTRY(entry, map)
        {
                if (entry->value->flags & NODE_JSON_ONLY)
                        continue;
                if (n == printed->n_entries || !same_text(entry->key, printed->entries[n].key, escaped) ||
                    !same_node(entry->value, printed->entries[n++].value, escaped))
                        return false;
        }
        return n == printed->n_entries;
}

static bool same_list(const Node *list, const Node *printed, bool escaped)
{
        if (printed->kind != NODE_LIST || printed->n_items != list->n_items)
                return false;
        for (size_t i = 0; i < list->n_items; i++)
                if (!same_node(list->items[i], printed->items[i], escaped))
                        return false;
        return true;
}

/* Whole numbers are read back as integers. */
static bool same_number(const Node *node, const Node *printed)
{
        double value;

        if (printed->kind != NODE_FLOAT && printed->kind != NODE_INT)
                return false;
        value = printed->kind == NODE_FLOAT      ? printed->number
                : printed->flags & NODE_UNSIGNED ? (double)(uint64_t)printed->integer
                                                 : (double)printed->integer;
        if (isnan(node->number))
                return isnan(value);
        return node->flags & NODE_SINGLE ? (float)node->number == (float)value : node->number == value;
}

static bool same_node(const Node *node, const Node *printed, bool escaped)
{
        switch (node->kind) {
        case NODE_MAP:
                return same_map(node, printed, escaped);
        case NODE_LIST:
                return same_list(node, printed, escaped);
        case NODE_FLOAT:
                return same_number(node, printed);
        case NODE_STRING:
                return printed->kind == NODE_STRING && (same_text(node->text, printed->text, escaped) ||
                                                        same_text(node->text, printed->text, false)); /* !!binary */
        case NODE_NULL:
        case NODE_BOOL:
        case NODE_INT:
        case NODE_TIME:
                break;
        }
        return node_equal(node, printed);
}

static void check_yaml(const Project *project)
{
        _cleanup_free_ char *yaml = project_config_text(project, false);
        _cleanup_(arena_freep) Arena *arena = arena_create();
        _cleanup_error_ Error *error = NULL;
        YamlDocuments documents = { 0 };

        if (yaml_parse(arena, "printed", yaml, strlen(yaml), &documents, &error) < 0 || documents.length != 1 ||
            !same_node(project->model, documents.roots[0], !project->is_template)) {
                fprintf(stderr, "the model is printed as what is not the model (%s):\n%s\n",
                        error ? error->message : "", yaml);
                abort();
        }
}

void check_project(const Project *project)
{
        _cleanup_free_ char *json = project_config_text(project, true), *travel = NULL;
        _cleanup_(project_freep) Project *again = NULL;

        check_yaml(project);
        if (project->is_template)
                return;
        for (size_t i = 0; i < project->n_services; i++) {
                free(service_hash(project, &project->services[i]));
                free(service_config_hash(&project->services[i]));
        }
        travel = project_to_json(project);
        if (project_from_json(travel, strlen(travel), project->working_dir, &again, NULL) < 0 ||
            again->n_services != project->n_services) {
                fprintf(stderr, "the travelling form does not load: %s\n", travel);
                abort();
        }
}
