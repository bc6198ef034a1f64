
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "operate/backup_settings.h"
#include "operate/budget.h"
#include "state/document.h"

#define GIB (UINT64_C(1) << 30)

static void test_budget(void **state)
{
        static const struct {
                BudgetFacts facts;
                const char *word;
                uint64_t budget;
                const char *rule;
        } cases[] = {
                /* Whichever is less of twice the data and a fifth of the disk … */
                { { .data_bytes = 10 * GIB, .disk_bytes = 1000 * GIB }, NULL, 20 * GIB, "twice the data" },
                { { .data_bytes = 200 * GIB, .disk_bytes = 1000 * GIB }, NULL, 200 * GIB, "20% of the disk" },
                /* … but never less than one backup and its log. */
                { { .data_bytes = 300 * GIB, .log_bytes = 5 * GIB, .disk_bytes = 1000 * GIB },
                  NULL,
                  305 * GIB,
                  "one backup and the log behind it" },
                { { .data_bytes = GIB, .log_bytes = 9 * GIB, .disk_bytes = 1000 * GIB },
                  NULL,
                  10 * GIB,
                  "one backup and the log behind it" },
                /* What somebody says is meant. */
                { { .data_bytes = 300 * GIB, .disk_bytes = 1000 * GIB }, "50g", 50 * GIB, "50g" },
                { { .data_bytes = 300 * GIB, .disk_bytes = 1000 * GIB }, "5%", 50 * GIB, "5% of the disk" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_free_ char *rule = NULL;
                uint64_t budget = budget_compute(&cases[i].facts, cases[i].word, &rule);

                /* A per cent of a disk is rounded down. */
                assert_true(budget <= cases[i].budget && budget + 100 * 1024 > cases[i].budget);
                assert_string_equal(rule, cases[i].rule);
        }
}

static void check_keep(const char *backup, const char *local, const char *offsite)
{
        _cleanup_free_ char *text = xasprintf("{\"services\": {\"db\": {}}, \"x-berth\": {\"backup\": %s}}", backup);
        _cleanup_json_ json_t *model = json_loads(text, 0, NULL), *here = backup_keep_of(model, "db", "local");
        _cleanup_json_ json_t *there = backup_keep_of(model, "db", "offsite");
        _cleanup_free_ char *one = json_dumps(here, JSON_ENCODE_ANY | JSON_COMPACT),
                            *other = json_dumps(there, JSON_ENCODE_ANY | JSON_COMPACT);

        assert_string_equal(one, local);
        assert_string_equal(other, offsite);
}

static void test_keep_of_both_places(void **state)
{
        check_keep("{}", "\"7d\"", "\"30d\"");
        check_keep("{\"keep\": \"9d\"}", "\"9d\"", "\"30d\"");
        check_keep("{\"keep\": {\"last\": 3}}", "{\"last\":3}", "\"30d\"");
        check_keep("{\"keep\": {\"local\": \"2d\", \"offsite\": {\"daily\": 9}}}", "\"2d\"", "{\"daily\":9}");
        check_keep("{\"keep\": {\"offsite\": \"90d\"}}", "\"7d\"", "\"90d\"");
        check_keep("{\"keep\": {\"offsite\": \"90d\"}, \"offsite\": {\"url\": \"/x\", \"keep\": \"60d\"}}", "\"7d\"",
                   "\"60d\"");
}

static void test_a_place_is_read(void **state)
{
        _cleanup_json_ json_t *model = json_loads(
                "{\"services\": {\"db\": {}, \"short\": {\"x-berth\": {\"backup\": {\"offsite\": \"/mnt/nas\"}}}, \"off\": {\"x-berth\": {\"backup\": {\"offsite\": \"off\"}}}},"
                " \"secrets\": {\"s3\": {\"file\": \"/p/secrets/s3\"}, \"env\": {\"environment\": \"X\"}},"
                " \"x-berth\": {\"backup\": {\"offsite\": {\"url\": \"s3://b/p\", \"credentials\": \"s3\","
                " \"key\": \"keys/k.json\", \"schedule\": \"5m\"}}}}",
                0, NULL);
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 }, brief = { 0 }, none = { 0 }, wrong = { 0 };
        _cleanup_error_ Error *error = NULL;
        json_t *words;
        bool said;

        assert_int_equal(offsite_settings_read(model, "/p", "db", &settings, &said, NULL), 0);
        assert_true(said && settings.interval_ns == INT64_C(300) * 1000000000);
        assert_string_equal(json_get_string(settings.copy, "credentials", ""), "/p/secrets/s3");
        assert_string_equal(settings.key, "/p/keys/k.json");
        assert_int_equal(offsite_settings_read(model, "/p", "short", &brief, &said, NULL), 0);
        assert_true(said && brief.interval_ns == INT64_C(60) * 1000000000);
        assert_string_equal(json_get_string(brief.copy, "url", ""), "/mnt/nas");
        assert_int_equal(offsite_settings_read(model, "/p", "off", &none, &said, NULL), 0);
        assert_false(said);
        words = json_object_get(json_object_get(json_object_get(model, "x-berth"), "backup"), "offsite");
        json_object_set_new(words, "credentials", json_string("env"));
        assert_int_equal(offsite_settings_read(model, "/p", "db", &wrong, &said, &error), -ERROR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_budget),
                cmocka_unit_test(test_keep_of_both_places),
                cmocka_unit_test(test_a_place_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
