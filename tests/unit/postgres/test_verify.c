
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "postgres/verify.h"

#define RUNS    .service = "db", .running = true, .health = "healthy", .restart = "always", .image = "postgres:16"
#define ANSWERS RUNS, .answer = "PostgreSQL 16", .max_connections = 97

static const struct {
        const char *what;
        VerifyFacts facts;
        const char *id;
        VerifyState state;
} rows[] = {
        { "stopped", { .service = "db" }, "runs", VERIFY_FAIL },
        { "no health check", { .service = "db", .running = true }, "healthy", VERIFY_FAIL },
        { "starting", { .health = "starting" }, "healthy", VERIFY_FAIL },
        { "healthy", { RUNS }, "healthy", VERIFY_PASS },
        { "no policy", { .service = "db" }, "restart", VERIFY_FAIL },
        { "on failure only", { .restart = "on-failure:3" }, "restart", VERIFY_FAIL },
        { "always", { RUNS }, "restart", VERIFY_PASS },
        { "below the limit", { ANSWERS, .connections = 77 }, "connections", VERIFY_PASS },
        { "four fifths", { ANSWERS, .connections = 78 }, "connections", VERIFY_FAIL },
        { "no answer", { RUNS }, "connections", VERIFY_NOT_APPLICABLE },
        { "no migrations", { ANSWERS }, "migrations", VERIFY_NOT_APPLICABLE },
        { "by another tool", { ANSWERS, .tool = "Alembic" }, "migrations", VERIFY_PASS },
        { "pending", { ANSWERS, .has_folder = true, .pending = 1 }, "migrations", VERIFY_FAIL },
        { "dirty", { ANSWERS, .tool = "golang-migrate", .dirty = true }, "migrations", VERIFY_FAIL },
        { "changed", { ANSWERS, .tool = "golang-migrate", .odd = 1 }, "migrations", VERIFY_FAIL },
        { "empty and unmigrated", { ANSWERS }, "tables", VERIFY_NOT_APPLICABLE },
        { "empty and migrated", { ANSWERS, .tool = "knex" }, "tables", VERIFY_FAIL },
        { "anonymous volume", { .storage = STORAGE_ANONYMOUS }, "storage", VERIFY_FAIL },
        { "folder", { .storage = STORAGE_BOUND, .volume = "/srv" }, "storage", VERIFY_PASS },
        { "no backup", { RUNS }, "backup", VERIFY_FAIL },
        { "old backup", { RUNS, .backups = 3, .backup_age_s = 40 * 3600 }, "backup", VERIFY_FAIL },
        { "backup", { RUNS, .backups = 1, .backup_age_s = 60 }, "backup", VERIFY_PASS },
        { "nobody receives", { RUNS }, "streaming", VERIFY_FAIL },
        { "streaming", { RUNS, .streaming = true }, "streaming", VERIFY_PASS },
        { "streaming off", { RUNS, .backups_off = true }, "streaming", VERIFY_NOT_APPLICABLE },
        { "no handshake", { ANSWERS, .ssl = true }, "certificate", VERIFY_FAIL },
        { "no TLS", { ANSWERS }, "certificate", VERIFY_NOT_APPLICABLE },
        { "expired",
          { ANSWERS, .ssl = true, .certificate_seen = true, .certificate_left_s = -90000 },
          "certificate",
          VERIFY_FAIL },
        { "another",
          { ANSWERS, .ssl = true, .certificate_seen = true, .certificate_left_s = 9000000, .certificate_file = "x",
            .certificate_is_file = OUTCOME_NO },
          "certificate",
          VERIFY_FAIL },
        { "not ours",
          { ANSWERS, .ssl = true, .certificate_seen = true, .certificate_left_s = 9000000,
            .certificate_trusted = OUTCOME_NO },
          "certificate",
          VERIFY_FAIL },
        { "due",
          { ANSWERS, .ssl = true, .certificate_seen = true, .certificate_left_s = 900000, .certificate_due = true },
          "certificate",
          VERIFY_FAIL },
        { "good",
          { ANSWERS, .ssl = true, .certificate_seen = true, .certificate_left_s = 9000000, .certificate_file = "x",
            .certificate_is_file = OUTCOME_YES, .certificate_trusted = OUTCOME_YES },
          "certificate",
          VERIFY_PASS },
        { "backups off", { RUNS, .backups_off = true }, "backup", VERIFY_NOT_APPLICABLE },
        { "latest", { .image = "postgres:latest" }, "image", VERIFY_FAIL },
        { "no tag", { .image = "localhost:5000/postgres" }, "image", VERIFY_FAIL },
        { "tag", { .image = "localhost:5000/postgres:16" }, "image", VERIFY_PASS },
        { "digest", { .image = "postgres@sha256:0" }, "image", VERIFY_PASS },
        { "loopback", { .reach = REACH_THIS_MACHINE }, "published", VERIFY_PASS },
        { "open", { .reach = REACH_ALL }, "published", VERIFY_FAIL },
        { "let in with any password",
          { ANSWERS, .by_name = OUTCOME_YES, .wrong_password = OUTCOME_YES },
          "wrong-password",
          VERIFY_FAIL },
        { "not reached", { ANSWERS, .by_name = OUTCOME_NO }, "wrong-password", VERIFY_NOT_APPLICABLE },
        { "not reached", { ANSWERS, .by_name = OUTCOME_NO, .by_name_error = "refused" }, "by-name", VERIFY_FAIL },
        { "lost", { RUNS, .survives_removal = OUTCOME_NO }, "survives-removal", VERIFY_FAIL },
};

static void test_judgements(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_verify_results_ VerifyResults results = { 0 };
                bool found = false;

                verify_judge(&rows[i].facts, CHECKLIST_BASICS | CHECKLIST_PRODUCTION, &results);
                VECTOR_FOREACH(result, &results) {
                        assert_non_null(result->detail);
                        assert_true(result->state != VERIFY_FAIL || result->fix);
                        if (!streq(result->id, rows[i].id))
                                continue;
                        found = true;
                        if (result->state != rows[i].state)
                                fail_msg("%s: %s is \"%s\"", rows[i].what, result->id,
                                         verify_state_name(result->state));
                }
                assert_true(found);
        }
}

static void test_lists(void **state)
{
        _cleanup_verify_results_ VerifyResults basics = { 0 }, production = { 0 };
        VerifyFacts facts = { RUNS };

        verify_judge(&facts, CHECKLIST_BASICS, &basics);
        verify_judge(&facts, CHECKLIST_PRODUCTION, &production);
        VECTOR_FOREACH(result, &basics)
                assert_string_not_equal(result->id, "tls");
        VECTOR_FOREACH(result, &production)
                assert_string_not_equal(result->id, "write-read");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_judgements), cmocka_unit_test(test_lists) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
