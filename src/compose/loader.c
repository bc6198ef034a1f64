#include "compose/loader.h"

#include <stdarg.h>

#include "base/mem.h"

void loader_next_step(Loader *loader)
{
        loader->step++;
}

void loader_damaged(Loader *loader, const NodePath *path)
{
        const char *keys[3] = { NULL };
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        for (; path; path = path->parent) {
                keys[2] = keys[1];
                keys[1] = keys[0];
                keys[0] = path->key;
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys) && keys[i]; i++)
                strbuf_addf(&text, "%s%s", i > 0 ? "." : "", keys[i]);
        strmap_set(&loader->damaged, strbuf_text(&text), loader);
}

bool loader_is_damaged(const Loader *loader, const char *section, const char *name, const char *key)
{
        _cleanup_free_ char *member = xasprintf("%s.%s", section, name), *inner = xasprintf("%s.%s", member, key ?: "");

        return loader->files_missing || (loader->names_missing && !key) || strmap_has(&loader->damaged, section) ||
               strmap_has(&loader->damaged, member) || (key && strmap_has(&loader->damaged, inner));
}

/* Of a place an earlier step spoke of, or in words that were said already. */
static bool is_told(Loader *loader, const Error *error)
{
        _cleanup_free_ char *text = error_text(error), *place = NULL;
        size_t step;

        if (strmap_has(&loader->error_texts, text))
                return true;
        strmap_set(&loader->error_texts, text, loader);
        if (!error->file || error->column <= 0)
                return false;
        place = xasprintf("%s:%d:%d", error->file, error->line, error->column);
        step = (size_t)strmap_get(&loader->error_steps, place);
        if (step == 0)
                strmap_set(&loader->error_steps, place, (void *)(size_t)(loader->step + 1));
        return step > 0 && step < loader->step + 1;
}

void loader_add_error(Loader *loader, Error **error)
{
        if (is_told(loader, *error))
                error_freep(error);
        else if (loader->n_errors++ < LOADER_ERROR_LIMIT)
                error_append(&loader->errors, error);
        else
                error_freep(error);
        *error = NULL;
}

/* Files in the order in which they came up, each by its lines; what has no place at the end. */
static bool comes_before(const Error *list, const Error *a, const Error *b)
{
        const Error *first = NULL;

        if (!a->file || !b->file)
                return a->file && !b->file;
        if (streq(a->file, b->file))
                return a->line != b->line ? a->line < b->line : a->column < b->column;
        for (const Error *error = list; error && !first; error = error->next)
                if (error->file && (streq(error->file, a->file) || streq(error->file, b->file)))
                        first = error;
        return first && streq(first->file, a->file);
}

Error *loader_take_errors(Loader *loader)
{
        Error *sorted = NULL, *left = TAKE_PTR(loader->errors);

        while (left) {
                Error **best = &left, *one;

                for (Error **error = &left->next; *error; error = &(*error)->next)
                        if (comes_before(left, *error, *best))
                                best = error;
                one = *best;
                *best = one->next;
                one->next = NULL;
                error_append(&sorted, &one);
        }
        return sorted;
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
