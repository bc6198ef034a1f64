/* A NULL-terminated vector of strings that owns its strings. NULL is an empty vector. */
#ifndef BERTH_BASE_STRV_H
#define BERTH_BASE_STRV_H

#include "base/macros.h"

char **strv_free(char **strings); /* returns NULL */
static inline void strv_freep(char ***strings)
{
        strv_free(*strings);
}
#define _cleanup_strv_ _cleanup_(strv_freep)

size_t strv_length(char *const *strings);
/* Appends a copy. */
void strv_add(char ***strings, const char *text);
/* Appends text itself, which the vector then owns. */
void strv_take(char ***strings, char *text);
void strv_addf(char ***strings, const char *format, ...) _printf_(2, 3);
void strv_add_all(char ***strings, char *const *others);
/* A new vector of the n texts themselves, which it then owns; NULL for none. */
char **strv_of(char *const *texts, size_t n);
/* A new vector of copies of its arguments; end with NULL. */
char **strv_new(const char *first, ...) __attribute__((sentinel));
char **strv_copy(char *const *strings);
bool strv_contains(char *const *strings, const char *text);
bool strv_equal(char *const *a, char *const *b);
void strv_remove(char **strings, const char *text);
void strv_sort(char **strings);
/* Empty parts are kept: "a,,b" gives three; "" gives one empty part. */
char **strv_split(const char *text, char separator);
/* Words between blanks, tabs and newlines; no empty parts, NULL where there is none. */
char **strv_split_words(const char *text);
char *strv_join(char *const *strings, const char *separator);
/* The value of KEY in a vector of KEY=VALUE, or NULL. */
const char *strv_env_get(char *const *environment, const char *key);
/* Sets KEY=VALUE, replacing an earlier one. */
void strv_env_set(char ***environment, const char *key, const char *value);

#define STRV_FOREACH(item, strings) for (char *const *item = (char *const *)(strings); item && *item; item++)

#endif
