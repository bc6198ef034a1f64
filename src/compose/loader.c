#include "compose/loader.h"

#include <stdarg.h>

#include "base/mem.h"

void loader_add_error(Loader *loader, Error **error)
{
        if (loader->n_errors++ < LOADER_ERROR_LIMIT)
                error_append(&loader->errors, error);
        else
                error_freep(error);
        *error = NULL;
}

static void fail(Loader *loader, const Node *at, const char *path, const char *hint, const char *format,
                 va_list arguments)
{
        _cleanup_free_ char *text = xvasprintf(format, arguments);
        Error *error = NULL;

        if (at && node_file(at) && at->line)
                error_set_at(&error, ERROR_INVALID, node_file(at), (int)at->line, (int)at->column, "%s%s%s",
                             path ? path : "", path && *path ? ": " : "", text);
        else
                error_set(&error, ERROR_INVALID, "%s%s%s", path ? path : "", path && *path ? ": " : "", text);
        if (hint)
                error_hint(&error, 0, "%s", hint);
        loader_add_error(loader, &error);
}

void loader_fail(Loader *loader, const Node *at, const NodePath *path, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        fail(loader, at, path ? node_path_text(loader->arena, path) : NULL, NULL, format, arguments);
        va_end(arguments);
}

void loader_fail_hint(Loader *loader, const Node *at, const char *hint, const char *path, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        fail(loader, at, path, hint, format, arguments);
        va_end(arguments);
}

void loader_warn(Loader *loader, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        if (loader->quiet)
                return;
        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        if (!strmap_has(&loader->warnings, text))
                strmap_set(&loader->warnings, text, arena_strdup(loader->arena, text));
}

const Variable *variables_get(const Variables *variables, const char *name)
{
        return strmap_get(&variables->map, name);
}

void variables_set(Loader *loader, Variables *variables, const char *name, const char *value, const char *origin)
{
        Variable *variable = arena_new(loader->arena, Variable);

        variable->value = arena_strdup(loader->arena, value);
        variable->origin = origin;
        strmap_set(&variables->map, name, variable);
}

void variables_done(Variables *variables)
{
        strmap_done(&variables->map);
}

void variables_copy(Variables *to, const Variables *from)
{
        STRMAP_FOREACH(entry, &from->map)
        strmap_set(&to->map, entry->key, entry->value);
}
