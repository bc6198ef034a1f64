/* The steps between merged files and the typed model, each in place on the tree:
 * short forms become long ones, defaults, checks of values, absolute paths, variables without a value, normalisation.
 */
#ifndef BERTH_COMPOSE_CANONICAL_H
#define BERTH_COMPOSE_CANONICAL_H

#include "compose/loader.h"

/* Short forms to long ones. lenient: what cannot be parsed stays as it is (without interpolation it may be a variable).
 */
void canonical_transform(Loader *loader, Node *root, bool lenient);
void canonical_set_defaults(Loader *loader, Node *root);
/* Values that contradict each other or are out of range. */
void canonical_check(Loader *loader, Node *root);
/* Relative paths are taken from base, "~" from the home folder. */
void canonical_resolve_paths(Loader *loader, Node *root, const char *base);
/* `environment` lists and the variables behind secrets and configs take their values from variables. */
void canonical_resolve_variables(Loader *loader, Node *root, const Variables *variables);
/* The default network, implied dependencies, names of resources. */
void canonical_normalize(Loader *loader, Node *root, const Variables *variables);

#define SECRET_VALUE_KEY "x-#value" /* of a secret in the tree: what its variable held. Never printed */

#endif
