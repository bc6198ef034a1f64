/* The parts of model_leaf: each is the value in the form of its field, NULL where it is empty or wrong (which is told). */
#ifndef BERTH_COMPOSE_MODEL_VALUES_PRIVATE_H
#define BERTH_COMPOSE_MODEL_VALUES_PRIVATE_H

#include "compose/model_values.h"

/* ---- model_values.c ---- */

/* Whether it is an integer, or a text that reads as one. */
bool value_to_int(const Node *node, int64_t *ret);
Node *build_bool(const Builder *builder, const Field *field, const Node *node, const NodePath *path);

/* ---- model_maps.c: what may be written as a list or as a map ---- */

Node *build_pairs(const Builder *builder, const Node *node, const NodePath *path, bool keep_null);
Node *build_strings(const Builder *builder, const Node *node, const NodePath *path);
Node *build_multi(const Builder *builder, const Node *node, const NodePath *path);
Node *build_hosts(const Builder *builder, const Node *node, const NodePath *path);
/* For qsort: text nodes by their bytes. */
int compare_text_nodes(const void *a, const void *b);

/* ---- model_services.c: what only services have ---- */

Node *build_command(const Builder *builder, const Node *node, const NodePath *path);
Node *build_test(const Builder *builder, const Node *node, const NodePath *path);
Node *build_mode(const Builder *builder, const Node *node, const NodePath *path);
Node *build_devices(const Builder *builder, const Node *node, const NodePath *path);
Node *build_ssh(const Builder *builder, const Node *node, const NodePath *path);
Node *build_env_files(const Builder *builder, const Node *node, const NodePath *path);
Node *build_ulimits(const Builder *builder, const Node *node, const NodePath *path);

#endif
