
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/tls.h"

static int64_t now_s(void)
{
        return clock_realtime_ns() / NSEC_PER_SEC;
}

static void test_server_certificate_is_verified_by_its_authority_only(void **state)
{
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, other = { 0 }, server = { 0 };
        _cleanup_strv_ char **dns = strv_new("db", "shop_db", "db.example.org", NULL);
        _cleanup_strv_ char **addresses = strv_new("127.0.0.1", "::1", NULL);
        TlsNames names = { dns, addresses };
        _cleanup_tls_facts_ TlsFacts facts = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(tls_make_authority("Berth CA of shop", 3650, &authority, NULL), 0);
        assert_int_equal(tls_make_authority("Berth CA of shop", 3650, &other, NULL), 0);
        assert_int_equal(tls_make_server(&authority, "db", &names, 365, NULL, &server, NULL), 0);

        assert_int_equal(tls_verify(authority.certificate, server.certificate, now_s(), NULL), 0);
        assert_int_equal(tls_verify(other.certificate, server.certificate, now_s(), &error), -ERROR_INVALID);
        assert_int_equal(tls_verify(authority.certificate, server.certificate, now_s() + 366 * 86400, NULL),
                         -ERROR_INVALID);

        assert_int_equal(tls_read(server.certificate, &facts, NULL), 0);
        assert_string_equal(facts.common_name, "db");
        assert_false(facts.is_authority);
        assert_false(facts.self_signed);
        assert_true(strv_contains(facts.names, "shop_db"));
        assert_true(strv_contains(facts.names, "127.0.0.1"));
        assert_true(strv_contains(facts.names, "::1"));
        assert_true(facts.not_after_s > now_s() + 364 * 86400 && facts.not_after_s < now_s() + 366 * 86400);
}

static void test_a_key_of_another_certificate_is_refused(void **state)
{
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, one = { 0 }, two = { 0 };
        TlsNames names = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(tls_make_authority("CA", 10, &authority, NULL), 0);
        assert_int_equal(tls_make_server(&authority, "one", &names, 10, NULL, &one, NULL), 0);
        assert_int_equal(tls_make_client(&authority, "two", 10, &two, NULL), 0);
        assert_int_equal(tls_check_pair(one.certificate, one.key, NULL), 0);
        assert_int_equal(tls_check_pair(one.certificate, two.key, &error), -ERROR_INVALID);
        assert_string_equal(error->message, "the key does not belong to the certificate");
}

static void test_what_is_no_certificate_is_refused(void **state)
{
        _cleanup_error_ Error *error = NULL;
        TlsFacts facts;

        assert_int_equal(tls_read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &facts, &error),
                         -ERROR_INVALID);
        assert_non_null(error->message);
        assert_int_equal(tls_read("", &facts, NULL), -ERROR_INVALID);
}

static void test_an_encrypted_key_is_refused(void **state)
{
        /* openssl genpkey -algorithm ED25519 -aes-128-cbc -pass pass:x would do; the header alone decides here. */
        static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg0bFZgq6PfoQICCAAw\n"
                                        "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEJtT8r0GIxzQLRNzV0eCvhoEQN4L\n"
                                        "-----END ENCRYPTED PRIVATE KEY-----\n";
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 };

        assert_int_equal(tls_make_authority("CA", 10, &authority, NULL), 0);
        assert_int_equal(tls_check_pair(authority.certificate, encrypted, NULL), -ERROR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_server_certificate_is_verified_by_its_authority_only),
                cmocka_unit_test(test_a_key_of_another_certificate_is_refused),
                cmocka_unit_test(test_what_is_no_certificate_is_refused),
                cmocka_unit_test(test_an_encrypted_key_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
