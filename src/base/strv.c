#include "base/strv.h"

#include "base/mem.h"
#include "base/strbuf.h"

char **strv_free(char **strings)
{
        STRV_FOREACH(item, strings)
                free(*item);
        free(strings);
        return NULL;
}

size_t strv_length(char *const *strings)
{
        size_t length = 0;

        STRV_FOREACH(item, strings)
                length++;
        return length;
}

void strv_take(char ***strings, char *text)
{
        size_t length = strv_length(*strings);

        /* Grown by powers of two, told from the length alone. */
        if ((length & (length + 1)) == 0)
                *strings = xreallocarray(*strings, 2 * (length + 1), sizeof(char *));
        (*strings)[length] = text;
        (*strings)[length + 1] = NULL;
}

void strv_add(char ***strings, const char *text)
{
        strv_take(strings, xstrdup(text));
}

void strv_addf(char ***strings, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        strv_take(strings, xvasprintf(format, arguments));
        va_end(arguments);
}

/* Room for length of them as strv_take expects it: a power of two, the NULL included. */
static void reserve(char ***strings, size_t length)
{
        size_t room = 1;

        while (room < length + 1)
                room *= 2;
        *strings = xreallocarray(*strings, room, sizeof(char *));
}

void strv_add_all(char ***strings, char *const *others)
{
        size_t length = strv_length(*strings), n = strv_length(others);

        if (!n)
                return;
        reserve(strings, length + n);
        for (size_t i = 0; i < n; i++)
                (*strings)[length + i] = xstrdup(others[i]);
        (*strings)[length + n] = NULL;
}

char **strv_of(char *const *texts, size_t n)
{
        char **strings = NULL;

        if (!n)
                return NULL;
        reserve(&strings, n);
        memcpy(strings, texts, n * sizeof(char *));
        strings[n] = NULL;
        return strings;
}

char **strv_new(const char *first, ...)
{
        char **strings = NULL;
        va_list arguments;

        va_start(arguments, first);
        for (const char *text = first; text; text = va_arg(arguments, const char *))
                strv_add(&strings, text);
        va_end(arguments);
        return strings;
}

char **strv_copy(char *const *strings)
{
        char **copy = NULL;

        strv_add_all(&copy, strings);
        return copy;
}

bool strv_contains(char *const *strings, const char *text)
{
        STRV_FOREACH(item, strings)
                if (streq(*item, text))
                        return true;
        return false;
}

bool strv_equal(char *const *a, char *const *b)
{
        size_t length = strv_length(a);

        if (length != strv_length(b))
                return false;
        for (size_t i = 0; i < length; i++)
                if (!streq(a[i], b[i]))
                        return false;
        return true;
}

void strv_remove(char **strings, const char *text)
{
        char **to = strings;

        if (!strings)
                return;
        for (char **from = strings; *from; from++) {
                if (streq(*from, text))
                        free(*from);
                else
                        *to++ = *from;
        }
        /* The slots behind stay allocated; strv_take's growth rule only ever over-allocates then. */
        *to = NULL;
}

static int compare_strings(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(char **strings)
{
        if (strings)
                qsort(strings, strv_length(strings), sizeof(char *), compare_strings);
}

char **strv_split(const char *text, char separator)
{
        char **parts = NULL;
        size_t n = 1;

        /* There may be very many: strv_take would count them each time. */
        for (const char *at = text; (at = strchr(at, separator)) && separator; at++)
                n++;
        reserve(&parts, n);
        for (size_t i = 0; i < n; i++) {
                size_t length = (size_t)(strchrnul(text, separator) - text);
                parts[i] = xstrndup(text, length);
                text += length + 1;
        }
        parts[n] = NULL;
        return parts;
}

char **strv_split_words(const char *text)
{
        static const char blanks[] = " \t\r\n";
        char **words = NULL;

        for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
                size_t length = strcspn(text, blanks);
                strv_take(&words, xstrndup(text, length));
                text += length;
        }
        return words;
}

char *strv_join(char *const *strings, const char *separator)
{
        Strbuf joined = STRBUF_INIT;

        STRV_FOREACH(item, strings) {
                if (item != strings)
                        strbuf_adds(&joined, separator);
                strbuf_adds(&joined, *item);
        }
        return strbuf_take(&joined);
}

static const char *env_value(const char *entry, const char *key, size_t key_length)
{
        return strncmp(entry, key, key_length) == 0 && entry[key_length] == '=' ? entry + key_length + 1 : NULL;
}

const char *strv_env_get(char *const *environment, const char *key)
{
        size_t key_length = strlen(key);

        STRV_FOREACH(item, environment) {
                const char *value = env_value(*item, key, key_length);
                if (value)
                        return value;
        }
        return NULL;
}

void strv_env_set(char ***environment, const char *key, const char *value)
{
        size_t key_length = strlen(key);
        char *entry = xasprintf("%s=%s", key, value);

        for (char **item = *environment; item && *item; item++)
                if (env_value(*item, key, key_length)) {
                        free_and_replace(item, entry);
                        return;
                }
        strv_take(environment, entry);
}
