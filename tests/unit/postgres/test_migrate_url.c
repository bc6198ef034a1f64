#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "base/strv.h"
#include "postgres/migrate/state.h"
#include "postgres/migrate/url.h"

static const char *value_of(const DatabaseUrl *url, const char *keyword)
{
        for (size_t i = 0; url->keywords[i]; i++)
                if (streq(url->keywords[i], keyword))
                        return url->values[i];
        return "(none)";
}

static void check(const char *text, const char *user, const char *password, const char *host, const char *port,
                  const char *database, const char *mode)
{
        _cleanup_database_url_ DatabaseUrl url = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(database_url_parse(text, &url, &error), 0);
        assert_string_equal(value_of(&url, "user"), user);
        assert_string_equal(value_of(&url, "password"), password);
        assert_string_equal(value_of(&url, "host"), host);
        assert_string_equal(value_of(&url, "port"), port);
        assert_string_equal(value_of(&url, "dbname"), database);
        assert_string_equal(value_of(&url, "sslmode"), mode);
}

static void test_parts(void **state)
{
        unsetenv("PGHOST");
        unsetenv("PGSSLMODE");
        check("postgres://u:p@h:5433/d?sslmode=disable", "u", "p", "h", "5433", "d", "disable");
        check("postgresql://u@h/d", "u", "(none)", "h", "(none)", "d", "require");
        check("postgres://u:p%40ss%2Fw%3Ard%2542@h/d", "u", "p@ss/w:rd%42", "h", "(none)", "d", "require");
        check("postgres://u:a@b@h/d", "u", "a@b", "h", "(none)", "d", "require");
        check("postgres://u:a:b@[::1]:5/d", "u", "a:b", "::1", "5", "d", "require");
        check("postgres:///d?host=/run/x&user=me", "me", "(none)", "/run/x", "(none)", "d", "require");
        check("postgres://u:p@h:1/d?sslmode=disable&application_name=a@b:c", "u", "p", "h", "1", "d", "disable");
        check("postgres://h", "(none)", "(none)", "h", "(none)", "(none)", "require");
        check("postgres://u:p@h/a%20b?search_path=x+y", "u", "p", "h", "(none)", "a b", "require");
}

static void test_unencoded_passwords(void **state)
{
        static const char *const texts[] = {
                "postgres://oullin:p@ss/w:rd%42@api-db:5432/oullin_db?sslmode=disable",
                "postgres://u:a/b@h:5432/d",
                "postgres://u:a#b@h/d",
                "postgres://u:a?b@h/d",
                "postgres://u:a%b@h/d",
                "postgres://u:a%zz@h/d",
                "postgres://u:a b@h/d",
                "postgres://u:a\"b@h/d",
                "postgres://u:50%@h/d",
        };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_database_url_ DatabaseUrl url = { 0 };
                _cleanup_error_ Error *error = NULL;

                assert_int_equal(database_url_parse(texts[i], &url, &error), -ERROR_INVALID);
                assert_non_null(strstr(error->message, "must be percent-encoded"));
                assert_null(strstr(error->message, "ss/w"));
                assert_non_null(error->hint);
        }
}

static void test_own_options(void **state)
{
        _cleanup_database_url_ DatabaseUrl url = { 0 }, wrong = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(
                database_url_parse("postgres://h/app?x-migrations-table=%22s%22.%22t%22&x-migrations-table-quoted=1"
                                   "&x-statement-timeout=500&x-multi-statement=true&x-multi-statement-max-size=7",
                                   &url, NULL),
                0);
        assert_string_equal(url.table, "\"s\".\"t\"");
        assert_true(url.table_quoted);
        assert_true(url.multi_statement);
        assert_int_equal(url.statement_timeout_ms, 500);
        assert_string_equal(url.lock_name, "/app");
        for (size_t i = 0; url.keywords[i]; i++)
                assert_false(startswith(url.keywords[i], "x-") != NULL);

        assert_int_equal(database_url_parse("postgres://h/d?x-migrations-table=t&x-migrations-table-quoted=true",
                                            &wrong, &error),
                         -ERROR_INVALID);
        assert_non_null(strstr(error->message, "x-migrations-table must be quoted"));
}

static void test_schemes(void **state)
{
        static const char *const rows[][2] = {
                { "", "failed to parse scheme from database URL: URL cannot be empty" },
                { "x", "failed to parse scheme from database URL: no scheme" },
                { "mysql://h/d", "failed to open database: database driver: unknown driver mysql (forgotten import?)" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_database_url_ DatabaseUrl url = { 0 };
                _cleanup_error_ Error *error = NULL;

                assert_true(database_url_parse(rows[i][0], &url, &error) < 0);
                assert_string_equal(error->message, rows[i][1]);
        }
}

/* The original's numbers. */
static void test_lock_numbers(void **state)
{
        assert_true(migrate_lock_number("public", "schema_migrations", "/postgres") == UINT32_C(3280485947));
        assert_true(migrate_lock_number("public", "schema_migrations", "/app") == UINT32_C(1726534663));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),        cmocka_unit_test(test_unencoded_passwords),
                cmocka_unit_test(test_own_options),  cmocka_unit_test(test_schemes),
                cmocka_unit_test(test_lock_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
