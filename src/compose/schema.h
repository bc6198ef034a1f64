/* What a compose file may hold, as data: types, keys, limits. Semantics of the rules: JSON Schema; the rules are those
 * of the compose specification. Alternatives ("a string or a list") are one rule with several types. */
#ifndef BERTH_COMPOSE_SCHEMA_H
#define BERTH_COMPOSE_SCHEMA_H

#include "compose/loader.h"

enum {
        T_NULL = 1 << 0,
        T_BOOL = 1 << 1,
        T_INT = 1 << 2,
        T_NUMBER = 1 << 3, /* includes integers */
        T_STRING = 1 << 4,
        T_LIST = 1 << 5,
        T_MAP = 1 << 6,
        T_ANY = T_NULL | T_BOOL | T_NUMBER | T_STRING | T_LIST | T_MAP,
};

typedef enum NameRule {
        NAMES_NONE, /* only the listed keys */
        NAMES_ANY,
        NAMES_RESOURCE, /* [a-zA-Z0-9._-]+ */
        NAMES_LOWER,    /* [a-z]+ */
} NameRule;

typedef struct Schema Schema;

typedef struct SchemaKey {
        const char *name;
        const Schema *schema;
} SchemaKey;

struct Schema {
        unsigned types;
        /* maps */
        const SchemaKey *keys;       /* ends with a NULL name; NULL: none */
        const char *const *required; /* ends with NULL */
        NameRule names;              /* keys besides the listed ones … */
        const Schema *values;        /* … and what they hold; NULL: anything */
        bool open;                   /* keys that fit nothing are accepted unseen */
        bool extensions;             /* x-* is accepted */
        /* lists */
        const Schema *items;
        bool unique;
        /* strings */
        const char *const *words; /* the only ones; ends with NULL */
        bool (*check)(const char *text);
        const char *expected; /* what check wants */
        bool only_false;      /* booleans: true says nothing; see expected */
        /* numbers */
        bool bounded;
        int64_t low, high;
};

extern const Schema schema_compose; /* a whole file */
extern const Schema schema_x_berth_top, schema_x_berth_service;

/* Puts every violation on the loader's list and takes what violates out of the tree. false: node itself must go. */
bool schema_validate(Loader *loader, const Schema *schema, Node *node, const NodePath *path);

#endif
