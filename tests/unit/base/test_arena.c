
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/strv.h"

static void test_memory_is_zeroed_and_aligned(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();

        for (size_t size = 1; size < 20000; size = size * 3 + 1) {
                unsigned char *data = arena_alloc(arena, size);
                assert_int_equal((uintptr_t)data % _Alignof(int64_t), 0);
                for (size_t i = 0; i < size; i++)
                        assert_int_equal(data[i], 0);
                memset(data, 0xff, size);
        }
}

static void test_objects_between_strings_stay_aligned(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();
        const char *texts[4000];

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                uint64_t *object = arena_new(arena, uint64_t);

                assert_int_equal((uintptr_t)object % _Alignof(uint64_t), 0);
                assert_int_equal(*object, 0);
                *object = UINT64_MAX;
                texts[i] = arena_printf(arena, "%zu", i);
        }
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                assert_int_equal(strtoul(texts[i], NULL, 10), i);
}

static void test_cleared_memory_is_zeroed_again(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();

        for (int round = 0; round < 3; round++) {
                for (size_t size = 1; size < 40000; size = size * 3 + 1) {
                        unsigned char *data = arena_alloc(arena, size);

                        for (size_t i = 0; i < size; i++)
                                assert_int_equal(data[i], 0);
                        memset(data, 0xff, size);
                        assert_string_equal(arena_strdup(arena, "text"), "text");
                }
                arena_clear(arena);
                assert_int_equal(arena_size(arena), 0);
        }
}

static void test_strings_and_vectors_are_copies(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();
        _cleanup_strv_ char **strings = strv_new("a", "b", NULL);
        char **copy = arena_strv(arena, strings);
        char text[] = "hello";
        char *duplicate = arena_strdup(arena, text);

        text[0] = 'j';
        strings[0][0] = 'x';
        assert_string_equal(duplicate, "hello");
        assert_string_equal(arena_strndup(arena, "hello", 2), "he");
        assert_string_equal(copy[0], "a");
        assert_string_equal(copy[1], "b");
        assert_null(copy[2]);
        assert_null(arena_strdup(arena, NULL));
        assert_null(arena_strv(arena, NULL));
        assert_string_equal(arena_printf(arena, "%d-%s", 7, "x"), "7-x");
        assert_true(arena_size(arena) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory_is_zeroed_and_aligned),
                cmocka_unit_test(test_objects_between_strings_stay_aligned),
                cmocka_unit_test(test_cleared_memory_is_zeroed_again),
                cmocka_unit_test(test_strings_and_vectors_are_copies),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
