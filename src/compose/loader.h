/* What all steps of loading share: memory, errors and warnings in order, and the variables. Internal to the room. */
#ifndef BERTH_COMPOSE_LOADER_H
#define BERTH_COMPOSE_LOADER_H

#include "base/strmap.h"
#include "base/strv.h"
#include "compose/node.h"
#include "compose/project.h"

#define LOADER_FILE_LIMIT  ((size_t)64 * 1024 * 1024)
#define LOADER_ERROR_LIMIT 50 /* more are counted, not kept */

typedef struct Variable {
        const char *value;
        const char *origin; /* "the environment", or the file's name */
} Variable;

/* Variables by name; the values live in the loader's arena. */
typedef struct Variables {
        Strmap map; /* name → Variable * */
} Variables;

typedef struct Loader {
        Arena *arena;
        Arena *scratch; /* what a step needs until its end; empty between steps */
        const LoadOptions *options;
        Error *errors; /* in order; moved to the caller's at the end */
        size_t n_errors;
        unsigned step;       /* of loading, for what follows from what */
        Strmap error_texts;  /* every error once: a file may be read again */
        Strmap error_steps;  /* "file:line:column" → the step in which something was said of that place */
        Strmap damaged;      /* "services.a.image": what was wrong and has been taken out, or something in it */
        bool files_missing;  /* a file could not be read: what it says is not known … */
        bool names_missing;  /* … nor, where it would be included, which services and others it defines */
        Strmap warnings;     /* text → itself, each once, in order */
        Variables variables; /* of the main project */
        const char *working_dir, *home;
        const char *project_name;
        bool name_given;
        bool quiet;       /* no warnings: the second pass over the same text */
        Strmap documents; /* path → YamlDocuments of it, read and not yet used */
        Strmap extended;  /* what was made of files that are extended */
        const struct Patterns *casts, *transformers, *merges,
                *uniques; /* tables of rules, prepared where needed first */
} Loader;

/* Loading goes on after a mistake, so that all of them are told at once: what is wrong is taken out of the tree, and
 * what follows from its absence is not told. */

/* The next step begins: of a place where an earlier one found a mistake it tells no more. */
void loader_next_step(Loader *loader);
/* What path names has been taken out. */
void loader_damaged(Loader *loader, const NodePath *path);
/* May <section>.<name>, or, where key is given, that in it, be missing because it was wrong or its file could not be
 * read? LOADER_UNKNOWN_KEY: a key that nobody knows stood there. */
bool loader_is_damaged(const Loader *loader, const char *section, const char *name, const char *key);
#define LOADER_UNKNOWN_KEY "?"

/* Puts an error on the list: at is the node it is about (or NULL), path its place in the model (or NULL). */
void loader_fail(Loader *loader, const Node *at, const NodePath *path, const char *format, ...) _printf_(4, 5);
/* The same with a hint, which may be NULL, for the user. */
void loader_fail_hint(Loader *loader, const Node *at, const char *hint, const char *path, const char *format, ...)
        _printf_(5, 6);
void loader_add_error(Loader *loader, Error **error); /* takes it */
/* All of them in the order of the files; owned by the caller. */
Error *loader_take_errors(Loader *loader);
void loader_warn(Loader *loader, const char *format, ...) _printf_(2, 3);

const Variable *variables_get(const Variables *variables, const char *name);
void variables_set(Loader *loader, Variables *variables, const char *name, const char *value, const char *origin);
void variables_done(Variables *variables);
void variables_copy(Variables *to, const Variables *from);

#endif
