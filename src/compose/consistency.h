/* Whether the parts of a project fit together: references, cycles, contradictions. */
#ifndef BERTH_COMPOSE_CONSISTENCY_H
#define BERTH_COMPOSE_CONSISTENCY_H

#include "compose/loader.h"

/* model: as model_build made it. disabled: services that no profile enables. All mistakes go to the list. */
void consistency_check(Loader *loader, const Node *model, const Node *disabled);
/* No two services may claim one container_name. */
void consistency_check_container_names(Loader *loader, const Node *model);

#endif
