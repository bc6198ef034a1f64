/* The typed Project made of a canonical tree. */
#ifndef BERTH_COMPOSE_TYPED_H
#define BERTH_COMPOSE_TYPED_H

#include "compose/loader.h"

/* Takes over the loader's arena. root: the tree before typing, for what variables of secrets and configs held. */
Project *typed_project(Loader *loader, const Node *root, const Node *model, const Node *disabled,
                       const char *working_dir);
/* The parts that follow from the model alone. */
void typed_fill(Project *project, const Node *model, const Node *disabled);
void typed_service(Arena *arena, const char *name, const Node *node, Service *ret);

#endif
