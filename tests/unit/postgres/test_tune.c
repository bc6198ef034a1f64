
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "postgres/tune.h"

#define GIB ((uint64_t)1 << 30)

static const char *value_of(const TuneResult *result, const char *name)
{
        for (size_t i = 0; i < result->length; i++)
                if (streq(result->settings[i].name, name))
                        return result->settings[i].value;
        return NULL;
}

static void test_an_ordinary_server(void **state)
{
        TuneFacts facts = {
                .major = 16, .memory_bytes = 8 * GIB, .processors = 4, .disk = DISK_SOLID, .disk_free_bytes = 100 * GIB
        };
        _cleanup_tune_result_ TuneResult result = { 0 };
        _cleanup_free_ char *text = NULL;

        tune(&facts, &result);
        assert_string_equal(value_of(&result, "shared_buffers"), "2GB");
        assert_string_equal(value_of(&result, "effective_cache_size"), "6GB");
        assert_string_equal(value_of(&result, "max_connections"), "100");
        assert_string_equal(value_of(&result, "work_mem"), "20MB");
        assert_string_equal(value_of(&result, "random_page_cost"), "1.1");
        assert_string_equal(value_of(&result, "max_wal_size"), "5GB");
        assert_string_equal(value_of(&result, "max_parallel_workers_per_gather"), "2");
        assert_string_equal(value_of(&result, "wal_compression"), "lz4");
        assert_null(value_of(&result, "checkpoint_completion_target"));
        text = tune_to_configuration(&result);
        assert_non_null(strstr(text, "shared_buffers = 2GB "));
}

static void test_a_tiny_machine_with_a_rotating_disk(void **state)
{
        TuneFacts facts = {
                .major = 13, .memory_bytes = GIB / 4, .processors = 1, .disk = DISK_ROTATING, .disk_free_bytes = GIB
        };
        _cleanup_tune_result_ TuneResult result = { 0 };

        tune(&facts, &result);
        assert_string_equal(value_of(&result, "shared_buffers"), "64MB");
        assert_string_equal(value_of(&result, "work_mem"), "2MB");
        assert_string_equal(value_of(&result, "random_page_cost"), "4.0");
        assert_string_equal(value_of(&result, "checkpoint_completion_target"), "0.9");
        assert_string_equal(value_of(&result, "wal_compression"), "on");
        assert_string_equal(value_of(&result, "max_wal_size"), "256MB");
        assert_null(value_of(&result, "max_parallel_workers"));
}

static void test_facts_of_this_machine(void **state)
{
        TuneFacts facts;

        assert_int_equal(tune_facts_of_machine("/var/lib/not/there/yet", 15, &facts, NULL), 0);
        assert_true(facts.memory_bytes > 0 && facts.processors > 0 && facts.disk_free_bytes > 0);
}

static void test_a_file_is_brought_up_to_it(void **state)
{
        TuneSetting settings[] = { { "work_mem", (char *)"8MB", (char *)"per sort" },
                                   { "shared_preload_libraries", (char *)"'pg_stat_statements'", (char *)"calls" },
                                   { "random_page_cost", (char *)"1.1", (char *)"no seeks" } };
        const TuneResult result = { settings, 3 };
        _cleanup_strv_ char **changes = NULL, **none = NULL;
        _cleanup_free_ char *again = NULL,
                            *text = tune_update("# work_mem = 1MB\nlisten_addresses = '*'\n Work_Mem 4MB  # mine\n"
                                                "shared_preload_libraries = 'it''s # x' # why\nport = 5432",
                                                &result, &changes);

        assert_non_null(strstr(text, "# work_mem = 1MB\nlisten_addresses = '*'\nwork_mem = 8MB"));
        assert_null(strstr(text, "4MB"));
        assert_null(strstr(text, "why"));
        assert_non_null(strstr(text, "port = 5432\nrandom_page_cost = 1.1"));
        assert_int_equal(strv_length(changes), 3);
        assert_string_equal(changes[0], "work_mem: 4MB -> 8MB (per sort)");
        assert_string_equal(changes[2], "random_page_cost: 1.1 (no seeks)");
        again = tune_update(text, &result, &none);
        assert_string_equal(again, text);
        assert_null(none);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_ordinary_server),
                cmocka_unit_test(test_a_tiny_machine_with_a_rotating_disk),
                cmocka_unit_test(test_facts_of_this_machine),
                cmocka_unit_test(test_a_file_is_brought_up_to_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
