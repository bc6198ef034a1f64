
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "base/strmap.h"

static void test_order_of_insertion_survives_growth_and_removal(void **state)
{
        _cleanup_strmap_ Strmap map = STRMAP_INIT;
        char key[16];
        size_t expected = 0;

        for (intptr_t i = 0; i < 1000; i++) {
                snprintf(key, sizeof(key), "k%d", (int)i);
                strmap_set(&map, key, (void *)(i + 1));
        }
        for (int i = 0; i < 1000; i += 2) {
                snprintf(key, sizeof(key), "k%d", i);
                assert_true(strmap_remove(&map, key));
                assert_false(strmap_remove(&map, key));
        }
        assert_int_equal(map.length, 500);
        STRMAP_FOREACH(entry, &map) {
                snprintf(key, sizeof(key), "k%d", (int)(2 * expected + 1));
                assert_string_equal(entry->key, key);
                assert_ptr_equal(strmap_get(&map, key), (void *)(intptr_t)(2 * expected + 2));
                expected++;
        }
        assert_null(strmap_get(&map, "k0"));
        assert_false(strmap_has(&map, "k998"));
}

static void test_values_are_freed_when_replaced_or_removed(void **state)
{
        _cleanup_strmap_ Strmap map = { .free_value = free };

        strmap_set(&map, "a", xstrdup("1"));
        strmap_set(&map, "a", xstrdup("2")); /* leaks under the sanitizers unless freed */
        strmap_set(&map, "b", xstrdup("3"));
        assert_string_equal(strmap_get(&map, "a"), "2");
        assert_true(strmap_remove(&map, "b"));
        assert_int_equal(map.length, 1);
}

static void test_sort(void **state)
{
        _cleanup_strmap_ Strmap map = STRMAP_INIT;

        strmap_set(&map, "c", (char *)"3");
        strmap_set(&map, "a", (char *)"1");
        strmap_set(&map, "b", (char *)"2");
        strmap_sort(&map);
        assert_string_equal(map.entries[0].key, "a");
        assert_string_equal(map.entries[2].key, "c");
        assert_string_equal(strmap_get(&map, "c"), "3");
        assert_string_equal(strmap_get(&map, "b"), "2");
}

static void test_empty(void **state)
{
        _cleanup_strmap_ Strmap map = STRMAP_INIT;

        assert_null(strmap_get(&map, "x"));
        assert_false(strmap_remove(&map, "x"));
        strmap_set(&map, "", (char *)"empty key");
        assert_string_equal(strmap_get(&map, ""), "empty key");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_of_insertion_survives_growth_and_removal),
                cmocka_unit_test(test_values_are_freed_when_replaced_or_removed),
                cmocka_unit_test(test_sort),
                cmocka_unit_test(test_empty),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
