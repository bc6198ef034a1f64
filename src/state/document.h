/* State files: JSON objects with a "format" number, replaced atomically and durably.
 * Newer than known: refused (ERROR_UNSUPPORTED) and left alone. Not JSON: ERROR_CORRUPT. */
#ifndef BERTH_STATE_DOCUMENT_H
#define BERTH_STATE_DOCUMENT_H

#include <jansson.h>

#include "base/error.h"

static inline void json_decrefp_(json_t **json)
{
        json_decref(*json);
}
#define _cleanup_json_ _cleanup_(json_decrefp_)

/* *ret is a new reference to an object. ERROR_NOT_FOUND where the file is absent. */
int document_load(const char *path, int known_format, json_t **ret, Error **err);
/* Sets "format" in document and writes it, mode 0600. */
int document_save(const char *path, int format, json_t *document, Error **err);
/* The same into a run folder: replaced by rename, not synced. */
int document_save_volatile(const char *path, int format, json_t *document, Error **err);
/* Moves a corrupt file to "<path>.corrupt-<time>"; *ret_kept is its new name, owned by the caller. */
int document_keep_aside(const char *path, char **ret_kept, Error **err);
/* The same, but leaves it in its place, for a document_save to replace. */
int document_keep_copy(const char *path, char **ret_kept, Error **err);

/* Reads of members with a fallback where they are absent or of another type. Strings are borrowed. */
const char *json_get_string(const json_t *object, const char *key, const char *fallback);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);
/* A new vector of the strings of an array member; NULL where it is absent. */
char **json_get_strv(const json_t *object, const char *key);
/* A new array; NULL gives an empty one. */
json_t *json_from_strv(char *const *strings);
/* Sets a string member; NULL sets nothing. */
void json_set_string(json_t *object, const char *key, const char *value);

/* {"kind", "message", "hint", "file", "line", "column", "sqlstate"}: an error on the wire. */
json_t *json_from_error(const Error *error);
/* Sets *err from that form; returns -kind. */
int error_from_json(Error **err, const json_t *object);

#endif
