/* Values of the canonical model that hold no further fields. */
#ifndef BERTH_COMPOSE_MODEL_VALUES_H
#define BERTH_COMPOSE_MODEL_VALUES_H

#include "compose/loader.h"
#include "compose/model_types.h"

typedef struct Builder {
        Loader *loader;
        Arena *arena;
} Builder;

/* Puts "must be <expected>" on the loader's list; NULL. */
Node *model_fail(const Builder *builder, const Node *node, const NodePath *path, const char *expected);
/* The value in the form of its field; NULL where it is empty and so not shown, or wrong. */
Node *model_leaf(const Builder *builder, const Field *field, const Node *node, const NodePath *path);

#endif
