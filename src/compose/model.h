/* The canonical tree of a project as `config` prints it: each value in the form its key has, in the order of the
 * specification, without what is empty. */
#ifndef BERTH_COMPOSE_MODEL_H
#define BERTH_COMPOSE_MODEL_H

#include "compose/loader.h"

/* The whole project: name, services, networks, volumes, secrets, configs, models, x-*. Mistakes go to the list. */
Node *model_build(Loader *loader, const Node *root);

/* KEY=VALUE lists and maps as a map of texts; a key without a value is null. For environment and labels. */
Node *model_pairs(Loader *loader, const Node *node, const NodePath *path, bool keep_null);

#endif
