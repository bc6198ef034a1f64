/* The event loop: descriptors by epoll, timers by a heap of our own on an injected clock, signals by signalfd, and calls
 * deferred from other threads by an eventfd. One thread runs a loop; only loop_defer may be called from others.
 *
 * Callbacks run one at a time, to their end. Each may add and remove any source, its own too. Sources are the loop's and
 * end with it; an io source does not own its descriptor. */
#ifndef BERTH_NET_LOOP_H
#define BERTH_NET_LOOP_H

#include <sys/types.h>

#include "base/clock.h"
#include "base/error.h"

typedef struct Loop Loop;
typedef struct LoopIo LoopIo;
typedef struct LoopTimer LoopTimer;

typedef void (*LoopCall)(void *context);
typedef void (*LoopIoCall)(void *context, int fd, uint32_t events);
typedef void (*LoopSignalCall)(void *context, int signal_number);

/* clock is borrowed for the loop's life; NULL: the system's. With another clock loop_run never sleeps for a timer: it
 * turns only for descriptors and deferred calls, and tests move the clock (loop_next_timer_ns). */
int loop_create(const Clock *clock, Loop **ret, Error **err);
void loop_free(Loop *loop);
DEFINE_CLEANUP(Loop, loop_free);

int64_t loop_now_ns(const Loop *loop); /* the clock's monotonic time */
int64_t loop_realtime_ns(const Loop *loop);
const Clock *loop_clock(const Loop *loop);

/* events: EPOLLIN, EPOLLOUT. A descriptor that epoll cannot watch is ERROR_IO. */
int loop_add_io(Loop *loop, int fd, uint32_t events, LoopIoCall call, void *context, LoopIo **ret, Error **err);
void loop_io_set_events(LoopIo *io, uint32_t events);
/* Accepts NULL; call before the descriptor is closed. Returns NULL. */
LoopIo *loop_io_remove(LoopIo *io);

/* Calls once at `at_ns` (monotonic). The timer is gone when its callback starts: the owner forgets it there. */
LoopTimer *loop_add_timer(Loop *loop, int64_t at_ns, LoopCall call, void *context);
/* Accepts NULL; returns NULL. */
LoopTimer *loop_timer_remove(LoopTimer *timer);

/* Blocks the signal for the calling thread (threads started later inherit that) and calls for each that comes. */
int loop_add_signal(Loop *loop, int signal_number, LoopSignalCall call, void *context, Error **err);

/* Runs call on the loop's thread, in the order of deferring. From any thread; never from a signal handler. */
void loop_defer(Loop *loop, LoopCall call, void *context);

/* Runs until loop_quit. */
int loop_run(Loop *loop, Error **err);
void loop_quit(Loop *loop);
/* One turn: what is ready now runs. wait_ms: how long to wait for something (-1: until it comes; 0: not at all).
 * *ret_worked (may be NULL): something ran. */
int loop_turn(Loop *loop, int wait_ms, bool *ret_worked, Error **err);
/* When the next timer is due; INT64_MAX where there is none. */
int64_t loop_next_timer_ns(const Loop *loop);

#endif
