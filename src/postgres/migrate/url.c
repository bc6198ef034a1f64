#include "postgres/migrate/url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"

void database_url_done(DatabaseUrl *url)
{
        STRV_FOREACH(value, url->values)
                erase_memory(*value, strlen(*value));
        strv_free(url->keywords);
        strv_free(url->values);
        free(url->lock_name);
        free(url->table);
        *url = (DatabaseUrl){ 0 };
}

int url_scheme(const char *url, char **ret, Error **err)
{
        const char *colon = strchr(url, ':');

        if (!*url)
                return error_set(err, ERROR_INVALID, "URL cannot be empty");
        if (!colon || colon == url)
                return error_set(err, ERROR_INVALID, "no scheme");
        *ret = xstrndup(url, (size_t)(colon - url));
        return 0;
}

static int hex_digit(char c)
{
        return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* NULL where a % is not followed by two hexadecimal digits. */
static char *decode(const char *text, size_t length, bool plus_is_space)
{
        char *decoded = xmalloc(length + 1), *to = decoded;

        for (size_t i = 0; i < length; i++) {
                if (text[i] == '%') {
                        int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
                        int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;

                        if (high >= 0 && low >= 0) {
                                *to++ = (char)(high * 16 + low);
                                i += 2;
                                continue;
                        }
                        free(decoded);
                        return NULL;
                }
                *to++ = plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
        *to = '\0';
        return decoded;
}

static int not_encoded(Error **err)
{
        int r = error_set(err, ERROR_INVALID,
                          "the password in the database URL holds characters that must be percent-encoded there");

        return error_hint(err, r,
                          "In a URL write @ as %%40, : as %%3A, / as %%2F, %% as %%25, # as %%23, ? as %%3F and a "
                          "space as %%20.");
}

static void set(DatabaseUrl *url, const char *keyword, const char *value)
{
        for (size_t i = 0; url->keywords && url->keywords[i]; i++)
                if (streq(url->keywords[i], keyword)) {
                        free_and_replace(&url->values[i], xstrdup(value));
                        return;
                }
        strv_add(&url->keywords, keyword);
        strv_add(&url->values, value);
}

void database_url_set_user(DatabaseUrl *url, const char *user)
{
        set(url, "user", user);
}

void database_url_set_password(DatabaseUrl *url, const char *password)
{
        set(url, "password", password);
}

static const char *get(const DatabaseUrl *url, const char *keyword)
{
        for (size_t i = 0; url->keywords && url->keywords[i]; i++)
                if (streq(url->keywords[i], keyword))
                        return url->values[i];
        return NULL;
}

static int parse_user(const char *text, size_t length, DatabaseUrl *url, Error **err)
{
        static const char allowed[] = "-._:~!$&'()*+,;=%@";
        const char *colon = memchr(text, ':', length);
        size_t user_length = colon ? (size_t)(colon - text) : length;
        _cleanup_free_ char *user = decode(text, user_length, false);
        _cleanup_(free_secretp) char *password = NULL;

        for (size_t i = 0; i < length; i++)
                if ((unsigned char)text[i] < 0x80 && !isalnum((unsigned char)text[i]) && !strchr(allowed, text[i]))
                        return not_encoded(err);
        if (!user)
                return error_set(err, ERROR_INVALID, "the user in the database URL is not percent-encoded");
        if (*user)
                set(url, "user", user);
        if (!colon)
                return 0;
        password = decode(colon + 1, length - user_length - 1, false);
        if (!password)
                return not_encoded(err);
        url->password_was_decoded = memchr(colon + 1, '%', length - user_length - 1) != NULL;
        set(url, "password", password);
        return 0;
}

static bool is_port(const char *text)
{
        int64_t port;

        return *text == '\0' || parse_int64(text, 0, 65535, &port);
}

static int parse_host(const char *text, size_t length, DatabaseUrl *url, Error **err)
{
        _cleanup_free_ char *host = decode(text, length, false);
        char *colon = host ? strrchr(host, ':') : NULL, *end = host ? strrchr(host, ']') : NULL;

        if (!host)
                return error_set(err, ERROR_INVALID, "the host in the database URL is not percent-encoded");
        if (colon && (!end || colon > end)) {
                if (!is_port(colon + 1))
                        return not_encoded(err);
                *colon = '\0';
                if (colon[1])
                        set(url, "port", colon + 1);
        }
        if (*host == '[' && end) {
                *end = '\0';
                set(url, "host", host + 1);
        } else if (*host)
                set(url, "host", host);
        return 0;
}

static int parse_option(const char *key, const char *value, DatabaseUrl *url, Error **err)
{
        int64_t number;

        if (streq(key, "x-migrations-table")) {
                free_and_replace(&url->table, *value ? xstrdup(value) : NULL);
        } else if (streq(key, "x-migrations-table-quoted")) {
                if (*value && !parse_bool(value, &url->table_quoted))
                        return error_set(err, ERROR_INVALID, "unable to parse option x-migrations-table-quoted: %s",
                                         value);
        } else if (streq(key, "x-multi-statement")) {
                if (*value && !parse_bool(value, &url->multi_statement))
                        return error_set(err, ERROR_INVALID, "unable to parse option x-multi-statement: %s", value);
        } else if (streq(key, "x-statement-timeout")) {
                if (*value && !parse_int64(value, 0, INT32_MAX, &url->statement_timeout_ms))
                        return error_set(err, ERROR_INVALID, "unable to parse option x-statement-timeout: %s", value);
        } else if (streq(key, "x-multi-statement-max-size")) {
                if (*value && !parse_int64(value, INT32_MIN, INT32_MAX, &number))
                        return error_set(err, ERROR_INVALID, "unable to parse option x-multi-statement-max-size: %s",
                                         value);
        } else if (!startswith(key, "x-"))
                set(url, key, value);
        return 0;
}

static int parse_query(const char *query, DatabaseUrl *url, Error **err)
{
        _cleanup_strv_ char **parts = strv_split(query, '&');
        int r = 0;

        STRV_FOREACH(part, parts) {
                const char *equals = strchr(*part, '=');
                size_t length = equals ? (size_t)(equals - *part) : strlen(*part);
                _cleanup_free_ char *key = decode(*part, length, true);
                _cleanup_free_ char *value = equals ? decode(equals + 1, strlen(equals + 1), true) : xstrdup("");

                if (**part == '\0' || r < 0)
                        continue;
                if (!key || !value)
                        return error_set(err, ERROR_INVALID, "the options of the database URL are not percent-encoded");
                r = parse_option(key, value, url, err);
        }
        return r;
}

static int check_table(const DatabaseUrl *url, Error **err)
{
        size_t length = url->table ? strlen(url->table) : 0;

        if (!url->table || !url->table_quoted || (length >= 2 && url->table[0] == '"' && url->table[length - 1] == '"'))
                return 0;
        return error_set(err, ERROR_INVALID,
                         "x-migrations-table must be quoted (for instance '\"migrate\".\"schema_migrations\"') when "
                         "x-migrations-table-quoted is enabled, current value is: %s",
                         url->table);
}

/* The driver's own defaults where neither the URL nor the environment says otherwise. */
static void add_defaults(DatabaseUrl *url)
{
        if (!get(url, "sslmode") && isempty(getenv("PGSSLMODE")))
                set(url, "sslmode", "require");
        if (!get(url, "host") && isempty(getenv("PGHOST")))
                set(url, "host", "localhost");
        if (!get(url, "fallback_application_name"))
                set(url, "fallback_application_name", "migrate");
}

/* A slash, ? or # inside a password ends the host too early: what belongs before the @ is then behind it. An @ in the
 * value of an option is none. */
static bool holds_rest_of_password(const char *authority, size_t length, const char *path)
{
        const char *at = strchr(path, '@'), *equals = strchr(path, '=');

        return at && memchr(authority, ':', length) && (!equals || at < equals);
}

static int parse_parts(const char *authority, DatabaseUrl *url, Error **err)
{
        size_t length = strcspn(authority, "/?#"), path_length;
        const char *path = authority + length, *query, *at = NULL;
        _cleanup_free_ char *name = NULL, *options = NULL;
        int r = 0;

        for (size_t i = 0; i < length; i++)
                if (authority[i] == '@')
                        at = authority + i;
        if (holds_rest_of_password(authority, length, path))
                return not_encoded(err);
        if (at)
                r = parse_user(authority, (size_t)(at - authority), url, err);
        if (r == 0)
                r = parse_host(at ? at + 1 : authority, length - (at ? (size_t)(at + 1 - authority) : 0), url, err);
        if (r < 0)
                return r;
        path_length = strcspn(path, "?#");
        name = decode(path, path_length, false);
        if (!name)
                return error_set(err, ERROR_INVALID, "the database name in the URL is not percent-encoded");
        url->lock_name = xstrdup(name);
        if (name[0] == '/' && name[1])
                set(url, "dbname", name + 1);
        query = path + path_length;
        if (*query == '?') {
                options = xstrndup(query + 1, strcspn(query + 1, "#"));
                r = parse_query(options, url, err);
        }
        return r;
}

int database_url_parse(const char *text, DatabaseUrl *ret, Error **err)
{
        _cleanup_database_url_ DatabaseUrl url = { 0 };
        _cleanup_free_ char *scheme = NULL;
        const char *rest;
        int r;

        r = url_scheme(text, &scheme, err);
        if (r < 0)
                return error_prefix(err, r, "failed to parse scheme from database URL");
        if (!streq(scheme, "postgres") && !streq(scheme, "postgresql"))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "failed to open database: database driver: unknown driver %s (forgotten import?)",
                                 scheme);
        rest = text + strlen(scheme) + 1;
        r = startswith(rest, "//") ? parse_parts(rest + 2, &url, err)
                                   : error_set(err, ERROR_INVALID, "the database URL has no // after its scheme");
        if (r == 0)
                r = check_table(&url, err);
        if (r < 0)
                return error_prefix(err, r, "failed to open database");
        add_defaults(&url);
        *ret = url;
        url = (DatabaseUrl){ 0 };
        return 0;
}
