#include "engine/fields.h"

#include <string.h>

#include "base/mem.h"
#include "state/document.h"

static void *at(const void *object, size_t offset)
{
        return (char *)object + offset;
}

void fields_set_defaults(const FieldTable *table, void *object)
{
        for (const Field *field = table->fields; field < table->fields + table->n_fields; field++) {
                void *place = at(object, field->offset);
                switch (field->kind) {
                case FIELD_STRING:
                case FIELD_STRV:
                        *(void **)place = NULL;
                        break;
                case FIELD_LIST:
                        *(void **)place = NULL;
                        *(size_t *)at(object, field->length_offset) = 0;
                        break;
                case FIELD_BOOL:
                        *(bool *)place = field->fallback != 0;
                        break;
                case FIELD_INT:
                        *(int *)place = (int)field->fallback;
                        break;
                case FIELD_INT64:
                        *(int64_t *)place = field->fallback;
                        break;
                case FIELD_UINT16:
                        *(uint16_t *)place = (uint16_t)field->fallback;
                        break;
                case FIELD_UINT64:
                        *(uint64_t *)place = (uint64_t)field->fallback;
                        break;
                case FIELD_DOUBLE:
                        *(double *)place = (double)field->fallback;
                        break;
                }
        }
}

static json_t *list_to_json(const Field *field, const void *object)
{
        const char *items = *(char **)at(object, field->offset);
        size_t length = *(size_t *)at(object, field->length_offset);
        json_t *list;

        if (!length)
                return NULL;
        list = json_array();
        for (size_t i = 0; i < length; i++)
                json_array_append_new(list, fields_to_json(field->item, items + i * field->item->item_size));
        return list;
}

static json_t *integer_unless(int64_t value, int64_t fallback)
{
        return value == fallback ? NULL : json_integer(value);
}

/* NULL: the default, not written. */
static json_t *field_to_json(const Field *field, const void *object)
{
        const void *place = at(object, field->offset);

        switch (field->kind) {
        case FIELD_STRING:
                return *(char **)place ? json_string(*(char **)place) : NULL;
        case FIELD_STRV:
                return *(char ***)place ? json_from_strv(*(char ***)place) : NULL;
        case FIELD_BOOL:
                return *(bool *)place == (field->fallback != 0) ? NULL : json_boolean(*(bool *)place);
        case FIELD_INT:
                return integer_unless(*(int *)place, field->fallback);
        case FIELD_INT64:
                return integer_unless(*(int64_t *)place, field->fallback);
        case FIELD_UINT16:
                return integer_unless(*(uint16_t *)place, field->fallback);
        case FIELD_UINT64:
                return integer_unless((int64_t) * (uint64_t *)place, field->fallback);
        case FIELD_DOUBLE:
                return *(double *)place == (double)field->fallback ? NULL : json_real(*(double *)place);
        case FIELD_LIST:
                return list_to_json(field, object);
        }
        return NULL;
}

void fields_add_to_json(const FieldTable *table, const void *object, json_t *json)
{
        for (const Field *field = table->fields; field < table->fields + table->n_fields; field++) {
                json_t *value = field_to_json(field, object);
                if (value)
                        json_object_set_new(json, field->name, value);
        }
}

json_t *fields_to_json(const FieldTable *table, const void *object)
{
        json_t *json = json_object();

        fields_add_to_json(table, object, json);
        return json;
}

static bool strv_from_json(const json_t *json, Arena *arena, char ***ret)
{
        size_t length = json_array_size(json);
        char **strings = arena_new_array(arena, char *, length + 1);

        for (size_t i = 0; i < length; i++) {
                const json_t *item = json_array_get(json, i);
                if (!json_is_string(item))
                        return false;
                strings[i] = arena_strdup(arena, json_string_value(item));
        }
        *ret = strings;
        return json_is_array(json);
}

static int list_from_json(const Field *field, const json_t *json, Arena *arena, void *object, Error **err)
{
        size_t length = json_array_size(json);
        char *items = length ? arena_alloc(arena, length * field->item->item_size) : NULL;

        if (!json_is_array(json))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a list", field->name);
        for (size_t i = 0; i < length; i++) {
                int r = fields_from_json(field->item, json_array_get(json, i), arena,
                                         items + i * field->item->item_size, err);
                if (r < 0)
                        return error_prefix(err, r, "%s[%zu]", field->name, i);
        }
        *(void **)at(object, field->offset) = items;
        *(size_t *)at(object, field->length_offset) = length;
        return 0;
}

/* False where the JSON value has another type. */
static bool scalar_from_json(const Field *field, const json_t *json, Arena *arena, void *place)
{
        switch (field->kind) {
        case FIELD_STRING:
                *(char **)place = arena_strdup(arena, json_string_value(json));
                return json_is_string(json);
        case FIELD_STRV:
                return strv_from_json(json, arena, place);
        case FIELD_BOOL:
                *(bool *)place = json_is_true(json);
                return json_is_boolean(json);
        case FIELD_INT:
                *(int *)place = (int)json_integer_value(json);
                return json_is_integer(json);
        case FIELD_INT64:
                *(int64_t *)place = json_integer_value(json);
                return json_is_integer(json);
        case FIELD_UINT16:
                *(uint16_t *)place = (uint16_t)json_integer_value(json);
                return json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= UINT16_MAX;
        case FIELD_UINT64:
                *(uint64_t *)place = (uint64_t)json_integer_value(json);
                return json_is_integer(json);
        case FIELD_DOUBLE:
                *(double *)place = json_number_value(json);
                return json_is_number(json);
        case FIELD_LIST:
                break;
        }
        return false;
}

int fields_from_json(const FieldTable *table, const json_t *json, Arena *arena, void *object, Error **err)
{
        if (!json_is_object(json))
                return error_set(err, ERROR_INVALID, "not an object");
        fields_set_defaults(table, object);
        for (const Field *field = table->fields; field < table->fields + table->n_fields; field++) {
                const json_t *value = json_object_get(json, field->name);
                int r = 0;
                if (!value || json_is_null(value))
                        continue;
                if (field->kind == FIELD_LIST)
                        r = list_from_json(field, value, arena, object, err);
                else if (!scalar_from_json(field, value, arena, at(object, field->offset)))
                        r = error_set(err, ERROR_INVALID, "\"%s\" has the wrong type", field->name);
                if (r < 0)
                        return r;
        }
        return 0;
}
