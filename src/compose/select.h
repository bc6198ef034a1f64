/* Which services and resources of a model take part: profiles, names on the command line, what is used. */
#ifndef BERTH_COMPOSE_SELECT_H
#define BERTH_COMPOSE_SELECT_H

#include "compose/loader.h"

/* Moves services between the model and disabled by the profiles. */
void select_profiles(Loader *loader, Node *model, Node *disabled, char *const *profiles);
/* Services that were named on the command line bring their profiles, which are added to *profiles. */
void select_enable_named(Loader *loader, Node *model, Node *disabled, char ***profiles);
/* Only the named services and what they depend on stay enabled. */
void select_only_named(Loader *loader, Node *model, Node *disabled);
/* Resources that no enabled service uses are left out. */
void select_prune(Loader *loader, Node *model);

#endif
