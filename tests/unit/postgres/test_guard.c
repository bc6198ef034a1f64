
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "postgres/guard.h"

#define NAMES .service = "db", .pgdata = "/var/lib/postgresql/data", .image_major = 16
#define BASE  NAMES, .stop_grace_ms = -1, .shm_bytes = -1
#define DONE  .initialised = true, .data_major = 16
#define GOOD  .password = "Xk29-fjw0-w9dk"

static const struct {
        const char *what;
        GuardFacts facts;
        const char *expected; /* "id! id": ! for errors */
} rows[] = {
        { "fresh and well", { BASE, GOOD }, "" },
        { "running and well", { BASE, GOOD, DONE }, "" },
        { "older data", { BASE, GOOD, .initialised = true, .data_major = 15 }, "major-version!" },
        { "newer data", { BASE, GOOD, .initialised = true, .data_major = 17 }, "major-version!" },
        { "older data elsewhere",
          { .service = "db",
            .pgdata = "/d",
            .image_major = 18,
            .stop_grace_ms = -1,
            .shm_bytes = -1,
            GOOD,
            .elsewhere_major = 17 },
          "major-version!" },
        { "older data elsewhere, and its own",
          { .service = "db",
            .pgdata = "/d",
            .image_major = 18,
            .stop_grace_ms = -1,
            .shm_bytes = -1,
            GOOD,
            .initialised = true,
            .data_major = 18,
            .elsewhere_major = 17 },
          "" },
        { "unknown image", { .service = "db", .pgdata = "/d", .stop_grace_ms = -1, .shm_bytes = -1, GOOD, DONE }, "" },
        { "same libc",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36", .written_by = "postgres 16.9, glibc 2.36, en_US" },
          "" },
        { "newer glibc",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.41", .written_by = "postgres 16.9, glibc 2.36" },
          "collation-version" },
        { "same ICU",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36, ICU 72", .written_by = "postgres 16.9, glibc 2.36, ICU 72" },
          "" },
        { "newer ICU",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36, ICU 76", .written_by = "postgres 16.9, glibc 2.36, ICU 72" },
          "collation-version" },
        { "no ICU any more",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36", .written_by = "postgres 16.9, glibc 2.36, ICU 72" },
          "collation-version" },
        { "ICU not noted before",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36, ICU 76", .written_by = "postgres 16.9, glibc 2.36" },
          "" },
        { "both newer",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.41, ICU 76", .written_by = "postgres 16.9, glibc 2.36, ICU 72" },
          "collation-version" },
        { "longer number",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.3", .written_by = "postgres 16.9, glibc 2.36" },
          "collation-version" },
        { "musl to glibc",
          { BASE, GOOD, DONE, .image_libc = "glibc 2.36", .written_by = "postgres 16.9, musl 1.2.4" },
          "libc!" },
        { "fresh under another libc",
          { BASE, GOOD, .image_libc = "glibc 2.36", .written_by = "postgres 16.9, musl 1.2.4" },
          "" },
        { "layout trap",
          { BASE, GOOD, .shadowed_mount = "/var/lib/postgresql", .anonymous_volume = true },
          "data-layout!" },
        { "anonymous", { BASE, GOOD, .anonymous_volume = true }, "no-volume" },
        { "in the container", { BASE, GOOD, .in_container = true }, "no-volume" },
        { "unfinished", { BASE, GOOD, .unfinished = true }, "unfinished-first-start" },
        { "partial", { BASE, GOOD, .partial = true, .data_major = 16 }, "half-initialised!" },
        { "same names", { BASE, GOOD, DONE, .user = "a", .first_user = "a", .first_database = "a" }, "" },
        { "defaults", { BASE, GOOD, DONE, .first_user = "postgres", .first_database = "postgres" }, "" },
        { "other user",
          { BASE, GOOD, DONE, .user = "b", .database = "a", .first_user = "a", .first_database = "a" },
          "user-drift" },
        { "other database",
          { BASE, GOOD, DONE, .user = "a", .database = "b", .first_user = "a", .first_database = "a" },
          "database-drift" },
        { "other names, fresh", { BASE, GOOD, .user = "b", .first_user = "a" }, "" },
        { "no file", { BASE, .password_from_file = true, .password_file_is_missing = true }, "password-file!" },
        { "no file, running",
          { BASE, DONE, .password_from_file = true, .password_file_is_missing = true },
          "password-file" },
        { "empty file", { BASE, .password = "", .password_from_file = true }, "empty-password!" },
        { "empty file, trust", { BASE, .password = "", .password_from_file = true, .trust = true }, "" },
        { "of a guide", { BASE, .password = "AutoDeploy123" }, "known-password" },
        { "short", { BASE, .password = "x9-k2" }, "short-password" },
        { "published", { BASE, GOOD, .published_to_all = true, .published_port = "5432" }, "published-to-all" },
        { "published with trust", { BASE, .trust = true, .published_to_all = true }, "trust-published!" },
        { "little grace", { NAMES, GOOD, .stop_grace_ms = 10000, .shm_bytes = -1 }, "stop-grace" },
        { "little memory", { NAMES, GOOD, .stop_grace_ms = -1, .shm_bytes = 64 << 20 }, "shm-size" },
        { "no listen_addresses",
          { BASE, GOOD, .config_file = "max_connections = 10\n#listen_addresses = '*'\n" },
          "listen-addresses" },
        { "listen_addresses", { BASE, GOOD, .config_file = "x = 1\n  listen_addresses='*'\n" }, "" },
        { "included", { BASE, GOOD, .config_file = "include 'other.conf'\n" }, "" },
        { "key", { BASE, GOOD, .command_changes_key_owner = true }, "key-owner" },
};

static char *found(const GuardFindings *findings)
{
        _cleanup_strv_ char **ids = NULL;

        VECTOR_FOREACH(finding, findings) {
                strv_addf(&ids, "%s%s", finding->id, finding->is_error ? "!" : "");
                assert_non_null(finding->message);
                assert_non_null(finding->hint);
                assert_true(strv_contains((char **)guard_identifiers(), finding->id));
        }
        return ids ? strv_join(ids, " ") : xstrdup("");
}

static void test_table(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_guard_findings_ GuardFindings findings = { 0 };
                _cleanup_free_ char *ids = NULL;

                guard_check(&rows[i].facts, NULL, &findings);
                ids = found(&findings);
                if (!streq(ids, rows[i].expected))
                        fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].what, ids, rows[i].expected);
        }
}

static void test_silenced(void **state)
{
        _cleanup_strv_ char **silenced = strv_new("published-to-all", NULL);
        _cleanup_guard_findings_ GuardFindings findings = { 0 };
        GuardFacts facts = { BASE, .password = "secret", .published_to_all = true };
        _cleanup_free_ char *ids = NULL;

        guard_check(&facts, silenced, &findings);
        ids = found(&findings);
        assert_string_equal(ids, "known-password");
}

static void test_password_mark(void **state)
{
        _cleanup_free_ char *mark = guard_password_mark("correct horse");
        GuardFacts facts = { BASE, DONE, .password = "correct horse", .first_password_mark = mark };
        _cleanup_guard_findings_ GuardFindings same = { 0 }, other = { 0 };
        _cleanup_free_ char *ids = NULL;

        assert_null(strstr(mark, "correct"));
        guard_check(&facts, NULL, &same);
        assert_int_equal(same.length, 0);
        facts.password = "battery staple";
        guard_check(&facts, NULL, &other);
        ids = found(&other);
        assert_string_equal(ids, "password-drift");
        assert_null(strstr(other.items[0].message, "battery"));
        assert_true(guard_password_matches("damaged", "x"));
        assert_null(guard_password_mark("gro\u0308\u00dfer"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_silenced),
                cmocka_unit_test(test_password_mark),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
