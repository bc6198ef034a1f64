
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/timer_heap.h"

#define N 500

static void test_order(void **state)
{
        TimerEntry entries[N];
        TimerHeap heap = { 0 };
        unsigned seed = 7;
        int64_t last_ns = -1;
        uint64_t last_sequence = 0;

        for (int i = 0; i < N; i++) {
                seed = seed * 1103515245 + 12345;
                entries[i] = (TimerEntry){ .at_ns = (seed >> 16) % 50 };
                timer_heap_add(&heap, &entries[i]);
        }
        for (int i = 0; i < N; i += 3)
                timer_heap_remove(&heap, &entries[i]);
        for (TimerEntry *entry; (entry = timer_heap_first(&heap));) {
                assert_true(entry->at_ns > last_ns || (entry->at_ns == last_ns && entry->sequence > last_sequence));
                assert_int_not_equal((entry - entries) % 3, 0);
                last_ns = entry->at_ns;
                last_sequence = entry->sequence;
                timer_heap_remove(&heap, entry);
        }
        assert_int_equal(heap.entries.length, 0);
        timer_heap_done(&heap);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
