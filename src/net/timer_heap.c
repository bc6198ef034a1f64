#include "net/timer_heap.h"

void timer_heap_done(TimerHeap *heap)
{
        vector_done(&heap->entries);
}

static bool is_before(const TimerEntry *a, const TimerEntry *b)
{
        return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->sequence < b->sequence;
}

static void put(TimerHeap *heap, size_t index, TimerEntry *entry)
{
        heap->entries.items[index] = entry;
        entry->index = index;
}

static void sift_up(TimerHeap *heap, size_t index)
{
        TimerEntry *entry = heap->entries.items[index];

        while (index > 0) {
                size_t parent = (index - 1) / 2;
                if (!is_before(entry, heap->entries.items[parent]))
                        break;
                put(heap, index, heap->entries.items[parent]);
                index = parent;
        }
        put(heap, index, entry);
}

static void sift_down(TimerHeap *heap, size_t index)
{
        TimerEntry *entry = heap->entries.items[index];

        for (;;) {
                size_t child = 2 * index + 1;
                if (child >= heap->entries.length)
                        break;
                if (child + 1 < heap->entries.length &&
                    is_before(heap->entries.items[child + 1], heap->entries.items[child]))
                        child++;
                if (!is_before(heap->entries.items[child], entry))
                        break;
                put(heap, index, heap->entries.items[child]);
                index = child;
        }
        put(heap, index, entry);
}

void timer_heap_add(TimerHeap *heap, TimerEntry *entry)
{
        entry->sequence = heap->sequence++;
        vector_add(&heap->entries, entry);
        sift_up(heap, heap->entries.length - 1);
}

void timer_heap_remove(TimerHeap *heap, TimerEntry *entry)
{
        size_t index = entry->index;
        TimerEntry *last = heap->entries.items[--heap->entries.length];

        if (last == entry)
                return;
        put(heap, index, last);
        sift_down(heap, index);
        sift_up(heap, last->index);
}

TimerEntry *timer_heap_first(const TimerHeap *heap)
{
        return heap->entries.length ? heap->entries.items[0] : NULL;
}
