#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/tls_files.h"

#define DAY 86400

static char folder[] = "/tmp/berth-tls-XXXXXX";

static int set_up(void **state)
{
        strcpy(folder, "/tmp/berth-tls-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
        return fs_remove_tree(AT_FDCWD, folder, NULL);
}

static const char *at(const char *name)
{
        static char paths[8][128];
        static unsigned next;
        char *path = paths[next++ % 8];

        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

static TlsPlace place(void)
{
        return (TlsPlace){ strdup(at("ca.crt")), strdup(at("ca.key")), strdup(at("db.crt")), strdup(at("db.key")) };
}

static void place_free(TlsPlace *item)
{
        free((char *)item->authority);
        free((char *)item->authority_key);
        free((char *)item->certificate);
        free((char *)item->key);
}
#define _cleanup_place_ _cleanup_(place_free)

static char *content(const char *name)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, at(name), 100000, &text, NULL) < 0 ? NULL : xstrdup(strbuf_text(&text));
}

static void put(const char *name, const char *text)
{
        assert_int_equal(fs_write_file(AT_FDCWD, at(name), text, strlen(text), 0600, NULL), 0);
}

static char *const dns[] = { (char *)"db", (char *)"localhost", NULL };
static char *const addresses[] = { (char *)"127.0.0.1", (char *)"::1", NULL };

static TlsRequest request(int64_t now_s)
{
        return (TlsRequest){ .common_name = "db", .names = { dns, addresses }, .days = 365, .now_s = now_s };
}

static void test_a_certificate_is_made_once_and_renewed_in_time_with_its_key(void **state)
{
        _cleanup_place_ TlsPlace where = place();
        int64_t now = (int64_t)time(NULL);
        TlsRequest wanted = request(now);
        TlsOutcome outcome;
        struct stat status;

        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_true(outcome.changed);
        assert_in_range(outcome.not_after_s, now + 364 * DAY, now + 366 * DAY);
        assert_int_equal(stat(where.key, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        _cleanup_free_ char *key = content("db.key"), *first = content("db.crt");

        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_false(outcome.changed);
        /* The time passes: on the 334th day it is good, on the 336th it is not. */
        wanted.now_s = now + 334 * DAY;
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_false(outcome.changed);
        wanted.now_s = now + 336 * DAY;
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_true(outcome.changed);
        assert_string_equal(outcome.reason, "it was about to expire");
        _cleanup_free_ char *key_after = content("db.key"), *second = content("db.crt");
        assert_string_equal(key, key_after);
        assert_string_not_equal(first, second);
}

static void test_a_new_name_means_a_new_certificate_that_keeps_the_old_names(void **state)
{
        char *const more[] = { (char *)"db", (char *)"database.example.org", NULL };
        _cleanup_place_ TlsPlace where = place();
        TlsRequest wanted = request((int64_t)time(NULL));
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        TlsOutcome outcome;

        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        wanted.names.dns = more;
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_string_equal(outcome.reason, "a name was missing");
        _cleanup_free_ char *pem = content("db.crt");
        assert_int_equal(tls_read(pem, &facts, NULL), 0);
        assert_true(strv_contains(facts.names, "localhost"));
        assert_true(strv_contains(facts.names, "database.example.org"));
        assert_true(strv_contains(facts.names, "::1"));
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_false(outcome.changed);
}

/* Each file is there or not, as a kill leaves them: the next call ends with a pair that fits. */
static void test_what_a_kill_leaves_is_finished(void **state)
{
        static const char *const names[] = { "ca.crt", "db.crt", "ca.key db.key ca.crt db.crt", "db.crt db.key" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_place_ TlsPlace where = place();
                TlsRequest wanted = request((int64_t)time(NULL));
                _cleanup_strv_ char **gone = strv_split(names[i], ' ');
                TlsOutcome outcome;

                assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
                STRV_FOREACH(name, gone)
                        unlink(at(*name));
                if (streq(names[i], "ca.crt"))
                        unlink(at("db.crt")); /* the authority's key was written and its certificate was not */
                assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
                _cleanup_free_ char *certificate = content("db.crt"), *key = content("db.key"),
                                    *authority = content("ca.crt");
                assert_int_equal(tls_check_pair(certificate, key, NULL), 0);
                assert_int_equal(tls_verify(authority, certificate, -1, NULL), 0);
        }
}

static void make_own(const char *name, TlsCertificate *ret_authority, TlsCertificate *ret)
{
        TlsNames names = { dns, addresses };

        assert_int_equal(tls_make_authority("own", 3650, ret_authority, NULL), 0);
        assert_int_equal(tls_make_server(ret_authority, name, &names, 90, NULL, ret, NULL), 0);
        put("own.crt", ret->certificate);
        put("own.key", ret->key);
        put("own-ca.crt", ret_authority->certificate);
}

static void test_an_adoption_that_is_cut_off_leaves_the_old_pair_or_the_new(void **state)
{
        _cleanup_place_ TlsPlace where = place();
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, own = { 0 };
        TlsRequest wanted = request((int64_t)time(NULL));
        TlsOutcome outcome;

        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        _cleanup_free_ char *key = content("db.key");
        make_own("db", &authority, &own);

        put("db.key.next", own.key); /* one written */
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        put("db.key.next", own.key); /* both written, none renamed */
        put("db.crt.next", own.certificate);
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        _cleanup_free_ char *kept = content("db.key");
        assert_string_equal(kept, key);
        assert_false(fs_exists(at("db.crt.next")));

        put("db.key", own.key); /* the key renamed, the certificate not */
        put("db.crt.next", own.certificate);
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        _cleanup_free_ char *certificate = content("db.crt");
        assert_string_equal(certificate, own.certificate);
}

static void test_somebody_elses_certificate_is_left_alone_until_it_has_expired(void **state)
{
        _cleanup_place_ TlsPlace where = place();
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, own = { 0 };
        _cleanup_error_ Error *error = NULL;
        int64_t now = (int64_t)time(NULL);
        TlsRequest wanted = request(now);
        TlsOutcome outcome;

        make_own("db", &authority, &own);
        assert_int_equal(tls_files_adopt(&where, at("own.crt"), at("own.key"), at("own-ca.crt"), now, &outcome, NULL),
                         0);
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_true(outcome.foreign);
        assert_false(outcome.changed);
        wanted.now_s = now + 89 * DAY; /* due, and not ours */
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, NULL), 0);
        assert_false(outcome.changed);
        wanted.now_s = now + 91 * DAY;
        assert_int_equal(tls_files_issue(&where, &wanted, &outcome, &error), -ERROR_INVALID);
        assert_non_null(strstr(error->message, "cannot be renewed here"));
}

static void test_clients_are_signed_by_the_same_authority(void **state)
{
        _cleanup_place_ TlsPlace where = place();
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        TlsOutcome outcome;

        assert_int_equal(tls_files_client(&where, "reporting", 30, &outcome, NULL), 0);
        _cleanup_free_ char *certificate = content("db.crt"), *authority = content("ca.crt");
        assert_int_equal(tls_read(certificate, &facts, NULL), 0);
        assert_string_equal(facts.common_name, "reporting");
        assert_int_equal(tls_verify(authority, certificate, (int64_t)time(NULL), NULL), 0);
}

int main(void)
{
#define unit(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                unit(test_a_certificate_is_made_once_and_renewed_in_time_with_its_key),
                unit(test_a_new_name_means_a_new_certificate_that_keeps_the_old_names),
                unit(test_what_a_kill_leaves_is_finished),
                unit(test_an_adoption_that_is_cut_off_leaves_the_old_pair_or_the_new),
                unit(test_somebody_elses_certificate_is_left_alone_until_it_has_expired),
                unit(test_clients_are_signed_by_the_same_authority),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
