/* The type of a YAML scalar, by the rules of the reference (YAML 1.2 with the octal 0777 of 1.1). */
#ifndef BERTH_COMPOSE_SCALAR_H
#define BERTH_COMPOSE_SCALAR_H

#include "compose/node.h"

/* Sets kind and value of node from text. tag: as written or NULL; plain: without quotes.
 * false where an explicit tag (!!int) does not fit the text. */
bool scalar_resolve(Arena *arena, Node *node, const char *text, size_t length, const char *tag, bool plain);

/* Whether a plain scalar with this text would be anything but a string: it needs quotes when written. */
bool scalar_needs_quotes(const char *text);

#endif
