/* Structs as tables of fields, written to and read from JSON objects: one description instead of two functions a type.
 * What equals its default is not written; what is absent reads as its default. Strings read live in an arena. */
#ifndef BERTH_ENGINE_FIELDS_H
#define BERTH_ENGINE_FIELDS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/error.h"

typedef enum FieldKind {
        FIELD_STRING, /* char *; NULL by default */
        FIELD_STRV,   /* char **; NULL by default */
        FIELD_BOOL,
        FIELD_INT, /* int */
        FIELD_INT64,
        FIELD_UINT16,
        FIELD_UINT64,
        FIELD_DOUBLE,
        FIELD_LIST, /* pointer to an array of structs; its length is at length_offset */
} FieldKind;

typedef struct Field {
        const char *name;
        FieldKind kind;
        size_t offset;
        int64_t fallback;              /* default of the numbers */
        const struct FieldTable *item; /* FIELD_LIST */
        size_t length_offset;          /* FIELD_LIST: a size_t */
} Field;

typedef struct FieldTable {
        const Field *fields;
        size_t n_fields, item_size;
} FieldTable;

#define FIELD(type, kind, member) { #member, (kind), offsetof(type, member), 0, NULL, 0 }
#define FIELD_NUMBER(type, kind, member, fallback) { #member, (kind), offsetof(type, member), (fallback), NULL, 0 }
#define FIELD_ITEMS(type, member, length, table) \
        { #member, FIELD_LIST, offsetof(type, member), 0, (table), offsetof(type, length) }
#define FIELD_TABLE(type, fields) { (fields), ARRAY_SIZE(fields), sizeof(type) }

/* Sets every field of the struct at object to its default. */
void fields_set_defaults(const FieldTable *table, void *object);
/* A new object. */
json_t *fields_to_json(const FieldTable *table, const void *object);
/* Adds the fields to an existing JSON object. */
void fields_add_to_json(const FieldTable *table, const void *object, json_t *json);
/* ERROR_INVALID where a member has another type; unknown members are passed over. */
int fields_from_json(const FieldTable *table, const json_t *json, Arena *arena, void *object, Error **err);

#endif
