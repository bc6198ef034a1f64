
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/strv.h"
#include "deploy/database.h"

static bool is_postgres(const char *text)
{
        _cleanup_strv_ char **argv = strv_split(text, ' '), **environment = strv_new("PATH=/bin", "PG_MAJOR=16", NULL);

        return argv_is_postgres(argv, environment);
}

static void test_servers(void **state)
{
        assert_true(is_postgres("docker-entrypoint.sh postgres"));
        assert_true(is_postgres("/usr/local/bin/docker-entrypoint.sh postgres -c ssl=on"));
        assert_true(is_postgres("docker-entrypoint.sh -c max_connections=10"));
        assert_true(is_postgres("/usr/lib/postgresql/16/bin/postgres -D /data"));
        assert_true(is_postgres("tini -- gosu postgres postgres"));
}

static void test_clients(void **state)
{
        assert_false(is_postgres("psql -h db"));
        assert_false(is_postgres("docker-entrypoint.sh pg_dump"));
        assert_false(is_postgres("sh -c postgres"));
        assert_false(is_postgres("-c x"));
        assert_false(argv_is_postgres(NULL, NULL));
}

static void test_options_alone_need_the_image(void **state)
{
        _cleanup_strv_ char **argv = strv_new("docker-entrypoint.sh", "--save", NULL),
                            **environment = strv_new("A=b", NULL);

        assert_false(argv_is_postgres(argv, environment));
}

static void test_a_shell_is_what_it_becomes(void **state)
{
        static const struct {
                const char *script;
                bool expected;
        } rows[] = {
                { "chown postgres /key && chmod 600 /key && exec docker-entrypoint.sh -c 'config_file=/x.conf'", true },
                { "exec postgres", true },
                { "sleep 1; exec gosu postgres postgres -c a=b", true },
                { "psql -c 'SELECT 1' && exec sleep 1000", false },
                { "postgres", false },
                { "noexec postgres", false },
        };
        _cleanup_strv_ char **environment = strv_new("PG_MAJOR=16", NULL);

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                _cleanup_strv_ char **argv = strv_new("docker-entrypoint.sh", "sh", "-c", rows[i].script, NULL);
                assert_int_equal(argv_is_postgres(argv, environment), rows[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_servers),
                cmocka_unit_test(test_clients),
                cmocka_unit_test(test_a_shell_is_what_it_becomes),
                cmocka_unit_test(test_options_alone_need_the_image),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
