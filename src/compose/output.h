/* Trees as text. */
#ifndef BERTH_COMPOSE_OUTPUT_H
#define BERTH_COMPOSE_OUTPUT_H

#include "compose/node.h"

typedef enum JsonStyle {
        JSON_INDENTED, /* two spaces, keys of the model sorted, nested x-* left out: like the reference */
        JSON_COMPACT,  /* the same on one line, in the order of the model: what is hashed */
        JSON_TRAVEL,   /* on one line, with everything */
} JsonStyle;

/* Appends node. */
void output_json(Strbuf *out, const Node *node, JsonStyle style);
void output_yaml(Strbuf *out, const Node *node);

#endif
