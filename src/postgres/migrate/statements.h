/* Where statements begin in a text of SQL, and which one an error is in. Quotes, dollar quotes, nested comments and
 * bodies of SQL-standard functions (BEGIN ATOMIC … END) are understood, as psql understands them. */
#ifndef BERTH_POSTGRES_MIGRATE_STATEMENTS_H
#define BERTH_POSTGRES_MIGRATE_STATEMENTS_H

#include <stddef.h>

#include "base/vector.h"

typedef struct Statement {
        size_t start, end; /* bytes; without leading blanks and comments, and without the semicolon */
} Statement;

typedef VECTOR(Statement) Statements;

/* Empty statements are left out, as the server's parser does. */
void statements_split(const char *text, Statements *ret);
/* Line and column (characters, from 1) of a byte. CRLF is one line end. */
void statements_locate(const char *text, size_t offset, int *ret_line, int *ret_column);
/* The byte of a server's error position (characters, from 1). */
size_t statements_offset_of_position(const char *text, size_t position);
/* The statement around a byte, or NULL. */
const Statement *statements_find(const Statements *statements, size_t offset);
/* The statement's first words and signs, limit at the most; names and strings with their quotes. A strv of the caller's. */
char **statements_first_words(const char *text, const Statement *statement, size_t limit);
/* The statement's text on one line, cut at limit bytes with "…"; owned by the caller. */
char *statements_excerpt(const char *text, const Statement *statement, size_t limit);

#endif
