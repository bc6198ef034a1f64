/* YAML text becomes node trees with the place of every value: anchors resolved, merge keys (<<) applied, scalars typed
 * as the reference types them. Bounded: a file that expands its aliases or nests without end is refused. */
#ifndef BERTH_COMPOSE_YAML_TREE_H
#define BERTH_COMPOSE_YAML_TREE_H

#include "base/error.h"
#include "compose/node.h"

#define YAML_DEPTH_LIMIT 200
#define YAML_ALIAS_LIMIT ((size_t)500 * 1000) /* nodes of one file that may come from aliases */

typedef struct YamlDocuments {
        Node **roots; /* NULL-free; in the arena */
        size_t length;
} YamlDocuments;

/* `file` is the name for messages and is not copied. Fails with ERROR_INVALID and the place of the mistake. */
int yaml_parse(Arena *arena, const char *file, const char *data, size_t size, YamlDocuments *ret, Error **err);

#endif
