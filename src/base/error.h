/* One error type for the whole program: what was attempted, on what, why it failed, what to do next.
 *
 * A function that can fail returns 0 or a negative ErrorKind and takes `Error **err` last. err may be NULL
 * (the caller only wants the result). Where *err is already set, the first error is kept. Messages are lower
 * case without a full stop; a hint is a sentence. */
#ifndef BERTH_BASE_ERROR_H
#define BERTH_BASE_ERROR_H

#include "base/macros.h"

typedef enum ErrorKind {
        ERROR_NONE = 0,
        ERROR_INTERNAL,    /* a fault of the program */
        ERROR_USAGE,       /* the command line is wrong */
        ERROR_INVALID,     /* a file or value is not what it must be */
        ERROR_NOT_FOUND,   /* what was named does not exist */
        ERROR_EXISTS,      /* what was to be made exists already */
        ERROR_CONFLICT,    /* it collides with something else: a port, a name, a lock */
        ERROR_DENIED,      /* rights are missing */
        ERROR_UNAVAILABLE, /* a service, registry or program does not answer or is missing */
        ERROR_TIMEOUT,
        ERROR_CANCELLED,   /* by the user or by a shutdown */
        ERROR_IO,          /* the system refused: see errno_value */
        ERROR_NO_SPACE,    /* disk full or quota reached */
        ERROR_UNSUPPORTED, /* not built yet, or not possible here */
        ERROR_CORRUPT,     /* stored data failed its check */
        ERROR_FAILED,      /* a program, container or health check ended badly */
        ERROR_UNHEALTHY,
        ERROR_CONFIRMATION, /* a destructive step needs a yes that was not given */
        _ERROR_KIND_MAX,
} ErrorKind;

typedef struct Error {
        ErrorKind kind;
        int errno_value;  /* 0 unless the system refused */
        char sqlstate[6]; /* "" unless a server refused */
        char *message;
        char *hint;         /* NULL or a sentence */
        char *file;         /* position in a user's file; NULL where there is none */
        int line, column;   /* from 1; 0 unknown */
        struct Error *next; /* further errors of the same file, in order; owned */
} Error;

void error_free(Error *error);
DEFINE_CLEANUP(Error, error_free);
#define _cleanup_error_ _cleanup_(error_freep)

/* "invalid", "not-found", …: stable names for JSON output. */
const char *error_kind_name(ErrorKind kind);
ErrorKind error_kind_from_name(const char *name); /* ERROR_INTERNAL where unknown */
/* The exit status of a command that ends with it: 1, but 2 for usage and 130 for cancelled. */
int error_kind_exit_status(ErrorKind kind);
int error_kind_http_status(ErrorKind kind);

/* All return -kind, so that `return error_set(…)` is the idiom. */
int error_set(Error **err, ErrorKind kind, const char *format, ...) _printf_(3, 4);
/* Appends ": <strerror>" and picks the kind from errno_value. */
int error_set_errno(Error **err, int errno_value, const char *format, ...) _printf_(3, 4);
/* With the position "file:line:column: " in front when printed. */
int error_set_at(Error **err, ErrorKind kind, const char *file, int line, int column, const char *format, ...)
        _printf_(6, 7);

/* Puts "<text>: " before the message of *err; returns result unchanged. */
int error_prefix(Error **err, int result, const char *format, ...) _printf_(3, 4);
/* Sets the hint of *err unless it has one; returns result unchanged. */
int error_hint(Error **err, int result, const char *format, ...) _printf_(3, 4);
/* Moves *from to *err (or frees it where err is NULL or *err is set); returns result. */
int error_move(Error **err, Error **from, int result);
/* The first of a list, with its hint and place; the caller's. */
Error *error_copy(const Error *error);
/* Appends *from, which it takes, at the end of the list *list. */
void error_append(Error **list, Error **from);
/* "file:line:col: message", without the hint; owned by the caller. */
char *error_text(const Error *error);

#endif
