/* Interpolation of a whole tree, in place: every string value, never keys; then the values whose key wants a number or
 * a boolean are made one. Mistakes go to the loader's list, all of them. */
#ifndef BERTH_COMPOSE_INTERPOLATE_H
#define BERTH_COMPOSE_INTERPOLATE_H

#include "compose/loader.h"

void interpolate_tree(Loader *loader, Node *root, const Variables *variables);
/* One text outside a tree (the project's name). */
bool interpolate_text(Loader *loader, const char *text, const Variables *variables, const char **ret,
                      const char **ret_error);

/* "true", and with a warning "yes", "on" and their likes. */
bool cast_boolean(Loader *loader, const char *text, bool *ret);
/* The whole text is a decimal number that fits. */
bool cast_int(const char *text, int64_t *ret);
bool cast_float(const char *text, double *ret);

#endif
