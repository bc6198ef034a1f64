#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

typedef struct KindRow {
        const char *name;
        int exit_status;
        int http_status;
} KindRow;

static const KindRow kinds[_ERROR_KIND_MAX] = {
        [ERROR_NONE] = { "none", 0, 200 },
        [ERROR_INTERNAL] = { "internal", 1, 500 },
        [ERROR_USAGE] = { "usage", 2, 400 },
        [ERROR_INVALID] = { "invalid", 1, 400 },
        [ERROR_NOT_FOUND] = { "not-found", 1, 404 },
        [ERROR_EXISTS] = { "exists", 1, 409 },
        [ERROR_CONFLICT] = { "conflict", 1, 409 },
        [ERROR_DENIED] = { "denied", 1, 403 },
        [ERROR_UNAVAILABLE] = { "unavailable", 1, 503 },
        [ERROR_TIMEOUT] = { "timeout", 1, 504 },
        [ERROR_CANCELLED] = { "cancelled", 130, 499 },
        [ERROR_IO] = { "io", 1, 500 },
        [ERROR_NO_SPACE] = { "no-space", 1, 507 },
        [ERROR_UNSUPPORTED] = { "unsupported", 1, 501 },
        [ERROR_CORRUPT] = { "corrupt", 1, 500 },
        [ERROR_FAILED] = { "failed", 1, 500 },
        [ERROR_UNHEALTHY] = { "unhealthy", 1, 500 },
        [ERROR_CONFIRMATION] = { "confirmation", 1, 400 },
};

void error_free(Error *error)
{
        while (error) {
                Error *next = error->next;
                free(error->message);
                free(error->hint);
                free(error->file);
                free(error);
                error = next;
        }
}

const char *error_kind_name(ErrorKind kind)
{
        return kinds[kind < _ERROR_KIND_MAX ? kind : ERROR_INTERNAL].name;
}

ErrorKind error_kind_from_name(const char *name)
{
        for (unsigned kind = 0; kind < _ERROR_KIND_MAX; kind++)
                if (streq(kinds[kind].name, name))
                        return kind;
        return ERROR_INTERNAL;
}

int error_kind_exit_status(ErrorKind kind)
{
        return kinds[kind < _ERROR_KIND_MAX ? kind : ERROR_INTERNAL].exit_status;
}

int error_kind_http_status(ErrorKind kind)
{
        return kinds[kind < _ERROR_KIND_MAX ? kind : ERROR_INTERNAL].http_status;
}

static ErrorKind kind_from_errno(int errno_value)
{
        switch (errno_value) {
        case ENOENT:
        case ENOTDIR:
                return ERROR_NOT_FOUND;
        case EEXIST:
                return ERROR_EXISTS;
        case EACCES:
        case EPERM:
        case EROFS:
                return ERROR_DENIED;
        case ENOSPC:
        case EDQUOT:
                return ERROR_NO_SPACE;
        case ETIMEDOUT:
                return ERROR_TIMEOUT;
        case ECONNREFUSED:
        case ENETUNREACH:
        case EHOSTUNREACH:
                return ERROR_UNAVAILABLE;
        case EADDRINUSE:
                return ERROR_CONFLICT;
        default:
                return ERROR_IO;
        }
}

static int error_take(Error **err, ErrorKind kind, int errno_value, char *message)
{
        Error *error;

        if (!err || *err) {
                free(message);
                return -(int)kind;
        }
        error = xnew(Error);
        error->kind = kind;
        error->errno_value = errno_value;
        error->message = message;
        *err = error;
        return -(int)kind;
}

int error_set(Error **err, ErrorKind kind, const char *format, ...)
{
        va_list arguments;
        char *message;

        va_start(arguments, format);
        message = xvasprintf(format, arguments);
        va_end(arguments);
        return error_take(err, kind, 0, message);
}

int error_set_errno(Error **err, int errno_value, const char *format, ...)
{
        _cleanup_free_ char *what = NULL;
        va_list arguments;

        va_start(arguments, format);
        what = xvasprintf(format, arguments);
        va_end(arguments);
        return error_take(err, kind_from_errno(errno_value), errno_value,
                          xasprintf("%s: %s", what, strerror(errno_value)));
}

int error_set_at(Error **err, ErrorKind kind, const char *file, int line, int column, const char *format, ...)
{
        va_list arguments;
        char *message;
        bool fresh = err && !*err;
        int r;

        va_start(arguments, format);
        message = xvasprintf(format, arguments);
        va_end(arguments);
        r = error_take(err, kind, 0, message);
        if (fresh) {
                (*err)->file = xstrdup(file);
                (*err)->line = line;
                (*err)->column = column;
        }
        return r;
}

int error_prefix(Error **err, int result, const char *format, ...)
{
        _cleanup_free_ char *prefix = NULL;
        va_list arguments;

        if (!err || !*err)
                return result;
        va_start(arguments, format);
        prefix = xvasprintf(format, arguments);
        va_end(arguments);
        free_and_replace(&(*err)->message, xasprintf("%s: %s", prefix, (*err)->message));
        return result;
}

int error_hint(Error **err, int result, const char *format, ...)
{
        va_list arguments;

        if (!err || !*err || (*err)->hint)
                return result;
        va_start(arguments, format);
        (*err)->hint = xvasprintf(format, arguments);
        va_end(arguments);
        return result;
}

int error_move(Error **err, Error **from, int result)
{
        if (err && !*err)
                *err = TAKE_PTR(*from);
        else {
                error_free(*from);
                *from = NULL;
        }
        return result;
}

Error *error_copy(const Error *error)
{
        Error *copy = xmalloc(sizeof(Error));

        *copy = *error;
        copy->message = xstrdup(error->message);
        copy->hint = xstrdup(error->hint);
        copy->file = xstrdup(error->file);
        copy->next = NULL;
        return copy;
}

void error_append(Error **list, Error **from)
{
        while (*list)
                list = &(*list)->next;
        *list = TAKE_PTR(*from);
}

char *error_text(const Error *error)
{
        if (!error->file)
                return xstrdup(error->message);
        if (error->line <= 0)
                return xasprintf("%s: %s", error->file, error->message);
        if (error->column <= 0)
                return xasprintf("%s:%d: %s", error->file, error->line, error->message);
        return xasprintf("%s:%d:%d: %s", error->file, error->line, error->column, error->message);
}
