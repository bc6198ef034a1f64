/* Trees as text. */
#ifndef BERTH_COMPOSE_OUTPUT_H
#define BERTH_COMPOSE_OUTPUT_H

#include "compose/node.h"

typedef enum JsonStyle {
        JSON_INDENTED, /* two spaces, keys of the model sorted, nested x-* left out: like the reference */
        JSON_COMPACT,  /* the same on one line, in the order of the model: what is hashed */
        JSON_TRAVEL,   /* on one line, with everything */
} JsonStyle;

/* Where the text goes: it is gathered in `text`, or, with write, handed on in pieces as it grows, so that a large model
 * is never there twice. output_done hands on the rest and frees. */
typedef struct Output {
        Strbuf text;
        void (*write)(void *context, const char *text, size_t length); /* NULL: all stays in text */
        void *context;
        bool escape_dollars; /* with write: $ becomes $$ */
} Output;

void output_done(Output *out);
#define _cleanup_output_ _cleanup_(output_done)

/* Appends node. */
void output_json(Output *out, const Node *node, JsonStyle style);
void output_yaml(Output *out, const Node *node);

/* For the two above: hands on what has gathered, once it is worth it. */
void output_drain(Output *out);
/* How many bytes the character of UTF-8 at c takes; 0: there is none. */
size_t output_utf8_length(const unsigned char *c);
/* text in double quotes, as far as both forms agree. special: appends what a character that needs more is written as
 * and returns how many bytes of text that took; 0: the character stands for itself. */
void output_quoted(Strbuf *out, const char *text, size_t (*special)(Strbuf *out, const unsigned char *c));

#endif
