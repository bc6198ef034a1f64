/* Interpolation of one text: $NAME, ${NAME} and ${NAME<operator>word} with the operators :- - :? ? :+ +. */
#ifndef BERTH_COMPOSE_TEMPLATE_H
#define BERTH_COMPOSE_TEMPLATE_H

#include "compose/loader.h"

typedef struct TemplateResult {
        const char *text; /* in the arena; the template itself where nothing was replaced */
        const char *note; /* "TAG from .env, PORT unset"; NULL where nothing was replaced */
} TemplateResult;

/* Looks name up; NULL where it is not set. */
typedef const Variable *(*TemplateLookup)(const void *context, const char *name);

/* Unset variables without a default become empty, with a warning. false: *ret_error (in the arena) says why. */
bool template_substitute(Loader *loader, const char *text, TemplateLookup lookup, const void *context,
                         TemplateResult *ret, const char **ret_error);

/* A use of a variable in a text, for `config --variables`. */
typedef struct TemplateVariable {
        const char *name, *default_value, *alternate;
        bool required;
} TemplateVariable;

typedef void (*TemplateVisitor)(void *context, const TemplateVariable *variable);
void template_variables(Arena *arena, const char *text, TemplateVisitor visit, void *context);

#endif
