
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/init.h"
#include "postgres/tls.h"

static char folder[64];

static int make_folder(void **state)
{
        snprintf(folder, sizeof(folder), "/tmp/berth-test-init-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
        return fs_remove_tree(AT_FDCWD, folder, NULL);
}

static char *read_text(const char *path)
{
        _cleanup_free_ char *full = path_join(folder, path);
        Strbuf text = STRBUF_INIT;

        assert_int_equal(fs_read_file(AT_FDCWD, full, 1 << 20, &text, NULL), 0);
        return strbuf_take(&text);
}

static unsigned mode_of(const char *path)
{
        _cleanup_free_ char *full = path_join(folder, path);
        struct stat status;

        assert_int_equal(stat(full, &status), 0);
        return status.st_mode & 07777;
}

static void test_writes_a_whole_deployment(void **state)
{
        _cleanup_free_ char *target = path_join(folder, "My Shop");
        InitOptions options = { .directory = target, .major = 17, .host_port = 5433 };
        _cleanup_init_result_ InitResult result = { 0 };
        _cleanup_free_ char *compose = NULL, *one = NULL, *two = NULL, *ca = NULL, *certificate = NULL, *key = NULL,
                            *settings = NULL;
        _cleanup_tls_facts_ TlsFacts facts = { 0 };

        assert_int_equal(init_deployment(&options, &result, NULL), 0);
        compose = read_text("My Shop/compose.yaml");
        assert_non_null(strstr(compose, "name: myshop\n"));
        assert_non_null(strstr(compose, "image: postgres:17\n"));
        assert_non_null(strstr(compose, "127.0.0.1:5433:5432"));
        assert_non_null(strstr(compose, "data:/var/lib/postgresql/data\n"));
        assert_null(strchr(compose, '@'));
        settings = read_text("My Shop/config/postgresql.conf");
        assert_non_null(strstr(settings, "shared_buffers = "));

        assert_int_equal(mode_of("My Shop/secrets"), 0700);
        assert_int_equal(mode_of("My Shop/secrets/postgres_password"), 0600);
        assert_int_equal(mode_of("My Shop/tls/ca.key"), 0600);
        one = read_text("My Shop/secrets/postgres_password");
        two = read_text("My Shop/secrets/app_password");
        assert_int_equal(strlen(one), 32);
        assert_string_not_equal(one, two);

        ca = read_text("My Shop/tls/ca.crt");
        certificate = read_text("My Shop/tls/server.crt");
        key = read_text("My Shop/tls/server.key");
        assert_int_equal(tls_check_pair(certificate, key, NULL), 0);
        assert_int_equal(tls_verify(ca, certificate, time(NULL), NULL), 0);
        assert_int_equal(tls_read(certificate, &facts, NULL), 0);
        assert_true(strv_contains(facts.names, "db") && strv_contains(facts.names, "myshop-db-1"));
}

static void test_a_folder_with_something_in_it_is_left_alone(void **state)
{
        InitOptions options = { .directory = folder, .major = 15 };
        _cleanup_init_result_ InitResult result = { 0 };
        _cleanup_free_ char *file = path_join(folder, "precious");
        _cleanup_strv_ char **names = NULL;
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(fs_write_file(AT_FDCWD, file, "x", 1, 0600, NULL), 0);
        assert_int_equal(init_deployment(&options, &result, &error), -ERROR_EXISTS);
        assert_non_null(strstr(error->message, "precious"));
        assert_int_equal(fs_list_directory(AT_FDCWD, folder, &names, NULL), 0);
        assert_int_equal(strv_length(names), 1);
}

static void test_an_empty_folder_is_filled(void **state)
{
        InitOptions options = { .directory = folder, .major = 18 };
        _cleanup_init_result_ InitResult result = { 0 };
        _cleanup_free_ char *compose = NULL;

        assert_int_equal(init_deployment(&options, &result, NULL), 0);
        compose = read_text("compose.yaml");
        assert_non_null(strstr(compose, "data:/var/lib/postgresql\n"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_writes_a_whole_deployment, make_folder, remove_folder),
                cmocka_unit_test_setup_teardown(test_a_folder_with_something_in_it_is_left_alone, make_folder,
                                                remove_folder),
                cmocka_unit_test_setup_teardown(test_an_empty_folder_is_filled, make_folder, remove_folder),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
