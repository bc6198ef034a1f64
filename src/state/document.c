#include "state/document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define DOCUMENT_LIMIT ((size_t)64 * 1024 * 1024)

int document_load(const char *path, int known_format, json_t **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *document = NULL;
        json_error_t failure;
        int64_t format;
        int r;

        r = fs_read_file(AT_FDCWD, path, DOCUMENT_LIMIT, &text, err);
        if (r < 0)
                return r;
        document = json_loadb(strbuf_text(&text), text.length, JSON_REJECT_DUPLICATES, &failure);
        if (!document)
                return error_set_at(err, ERROR_CORRUPT, path, failure.line, failure.column, "%s", failure.text);
        if (!json_is_object(document))
                return error_set_at(err, ERROR_CORRUPT, path, 1, 1, "not a JSON object");
        format = json_get_int(document, "format", 0);
        if (format <= 0)
                return error_set_at(err, ERROR_CORRUPT, path, 1, 1, "no format number");
        if (format > known_format) {
                r = error_set(err, ERROR_UNSUPPORTED, "\"%s\" has format %lld, newer than the %d this program knows",
                              path, (long long)format, known_format);
                return error_hint(err, r, "Use the newer berth that wrote it.");
        }
        *ret = TAKE_PTR(document);
        return 0;
}

static char *document_text(int format, json_t *document, size_t *ret_size)
{
        char *text;

        json_object_set_new(document, "format", json_integer(format));
        text = json_dumps(document, JSON_INDENT(2));
        if (!text)
                abort();
        *ret_size = strlen(text);
        text[(*ret_size)++] = '\n'; /* in place of the terminator: written by size */
        return text;
}

int document_save(const char *path, int format, json_t *document, Error **err)
{
        size_t size;
        _cleanup_free_ char *text = document_text(format, document, &size);

        return fs_write_file(AT_FDCWD, path, text, size, 0600, err);
}

int document_save_volatile(const char *path, int format, json_t *document, Error **err)
{
        size_t size;
        _cleanup_free_ char *text = document_text(format, document, &size);
        _cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", path, (int)gettid());
        int r = fs_rewrite_in_place(AT_FDCWD, temporary, text, size, 0600, err);

        if (r < 0)
                return r;
        if (rename(temporary, path) < 0)
                return error_set_errno(err, errno, "rename to \"%s\"", path);
        return 0;
}

static char *corrupt_name(const char *path)
{
        return xasprintf("%s.corrupt-%lld", path, (long long)(clock_realtime_ns() / NSEC_PER_SEC));
}

int document_keep_aside(const char *path, char **ret_kept, Error **err)
{
        _cleanup_free_ char *kept = corrupt_name(path);

        if (rename(path, kept) < 0)
                return error_set_errno(err, errno, "rename \"%s\"", path);
        *ret_kept = TAKE_PTR(kept);
        return 0;
}

int document_keep_copy(const char *path, char **ret_kept, Error **err)
{
        _cleanup_free_ char *kept = corrupt_name(path);

        if (link(path, kept) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "keep \"%s\"", path);
        *ret_kept = TAKE_PTR(kept);
        return 0;
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback)
{
        const char *value = json_string_value(json_object_get(object, key));

        return value ? value : fallback;
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
        const json_t *value = json_object_get(object, key);

        return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
        const json_t *value = json_object_get(object, key);

        return json_is_boolean(value) ? json_is_true(value) : fallback;
}

char **json_get_strv(const json_t *object, const char *key)
{
        const json_t *array = json_object_get(object, key);
        char **strings = NULL;
        json_t *item;
        size_t i;

        json_array_foreach((json_t *)array, i, item)
                if (json_is_string(item))
                        strv_add(&strings, json_string_value(item));
        return strings;
}

json_t *json_from_strv(char *const *strings)
{
        json_t *array = json_array();

        STRV_FOREACH(item, strings)
                json_array_append_new(array, json_string(*item));
        return array;
}

void json_set_string(json_t *object, const char *key, const char *value)
{
        if (value)
                json_object_set_new(object, key, json_string(value));
}

json_t *json_from_error(const Error *error)
{
        json_t *object = json_object();

        json_set_string(object, "kind", error_kind_name(error->kind));
        json_set_string(object, "message", error->message);
        json_set_string(object, "hint", error->hint);
        json_set_string(object, "file", error->file);
        if (error->sqlstate[0])
                json_set_string(object, "sqlstate", error->sqlstate);
        if (error->line > 0)
                json_object_set_new(object, "line", json_integer(error->line));
        if (error->column > 0)
                json_object_set_new(object, "column", json_integer(error->column));
        return object;
}

int error_from_json(Error **err, const json_t *object)
{
        ErrorKind kind = error_kind_from_name(json_get_string(object, "kind", "internal"));
        const char *hint = json_get_string(object, "hint", NULL);
        int r = error_set_at(err, kind, json_get_string(object, "file", NULL), (int)json_get_int(object, "line", 0),
                             (int)json_get_int(object, "column", 0), "%s",
                             json_get_string(object, "message", "unknown error"));

        if (hint)
                error_hint(err, r, "%s", hint);
        return r;
}
