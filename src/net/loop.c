#include "net/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "net/timer_heap.h"

#define MAX_EVENTS 32

struct LoopIo {
        Loop *loop;
        LoopIo *previous, *next;
        int fd;
        LoopIoCall call; /* NULL: removed, freed at the end of the turn */
        void *context;
};

struct LoopTimer {
        TimerEntry entry; /* first: the heap hands it out */
        Loop *loop;
        LoopCall call;
        void *context;
};

typedef struct DeferredCall {
        LoopCall call;
        void *context;
} DeferredCall;

typedef struct SignalHandler {
        int signal_number;
        LoopSignalCall call;
        void *context;
} SignalHandler;

struct Loop {
        const Clock *clock;
        int epoll_fd, event_fd, signal_fd;
        LoopIo *ios;     /* all that are alive */
        LoopIo *removed; /* by callbacks of this turn; chained by next */
        TimerHeap timers;
        sigset_t signals;
        VECTOR(SignalHandler) handlers;
        bool quit;
        pthread_mutex_t lock; /* guards deferred */
        VECTOR(DeferredCall) deferred;
};

static void free_removed(Loop *loop)
{
        while (loop->removed) {
                LoopIo *io = loop->removed;
                loop->removed = io->next;
                free(io);
        }
}

void loop_free(Loop *loop)
{
        TimerEntry *entry;

        if (!loop)
                return;
        while (loop->ios)
                loop_io_remove(loop->ios);
        free_removed(loop);
        while ((entry = timer_heap_first(&loop->timers)))
                loop_timer_remove((LoopTimer *)entry);
        timer_heap_done(&loop->timers);
        vector_done(&loop->handlers);
        vector_done(&loop->deferred);
        fs_close(loop->epoll_fd);
        fs_close(loop->event_fd);
        fs_close(loop->signal_fd);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
}

static void on_event_fd(void *context, int fd, uint32_t events)
{
        uint64_t count;
        _unused_ ssize_t n = read(fd, &count, sizeof(count)); /* the calls themselves are taken in loop_turn */
}

int loop_create(const Clock *clock, Loop **ret, Error **err)
{
        _cleanup_(loop_freep) Loop *loop = xnew(Loop);
        LoopIo *io;
        int r;

        loop->clock = clock ? clock : &system_clock;
        loop->signal_fd = -1;
        sigemptyset(&loop->signals);
        pthread_mutex_init(&loop->lock, NULL);
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (loop->epoll_fd < 0 || loop->event_fd < 0)
                return error_set_errno(err, errno, "make an event loop");
        r = loop_add_io(loop, loop->event_fd, EPOLLIN, on_event_fd, loop, &io, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(loop);
        return 0;
}

int64_t loop_now_ns(const Loop *loop)
{
        return loop->clock->monotonic_ns(loop->clock->context);
}

int64_t loop_realtime_ns(const Loop *loop)
{
        return loop->clock->realtime_ns(loop->clock->context);
}

const Clock *loop_clock(const Loop *loop)
{
        return loop->clock;
}

int loop_add_io(Loop *loop, int fd, uint32_t events, LoopIoCall call, void *context, LoopIo **ret, Error **err)
{
        LoopIo *io = xnew(LoopIo);
        struct epoll_event event = { .events = events, .data.ptr = io };

        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
                free(io);
                return error_set_errno(err, errno, "watch descriptor %d", fd);
        }
        io->loop = loop;
        io->fd = fd;
        io->call = call;
        io->context = context;
        io->next = loop->ios;
        if (loop->ios)
                loop->ios->previous = io;
        loop->ios = io;
        if (ret)
                *ret = io;
        return 0;
}

void loop_io_set_events(LoopIo *io, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = io };

        epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event);
}

LoopIo *loop_io_remove(LoopIo *io)
{
        if (!io)
                return NULL;
        epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
        if (io->previous)
                io->previous->next = io->next;
        else
                io->loop->ios = io->next;
        if (io->next)
                io->next->previous = io->previous;
        io->call = NULL; /* an event of this turn may still point here */
        io->next = io->loop->removed;
        io->loop->removed = io;
        return NULL;
}

LoopTimer *loop_add_timer(Loop *loop, int64_t at_ns, LoopCall call, void *context)
{
        LoopTimer *timer = xnew(LoopTimer);

        timer->entry.at_ns = at_ns;
        timer->loop = loop;
        timer->call = call;
        timer->context = context;
        timer_heap_add(&loop->timers, &timer->entry);
        return timer;
}

LoopTimer *loop_timer_remove(LoopTimer *timer)
{
        if (timer) {
                timer_heap_remove(&timer->loop->timers, &timer->entry);
                free(timer);
        }
        return NULL;
}

static void on_signal_fd(void *context, int fd, uint32_t events)
{
        Loop *loop = context;
        struct signalfd_siginfo info;

        while (read(fd, &info, sizeof(info)) == sizeof(info))
                VECTOR_FOREACH(handler, &loop->handlers)
                        if (handler->signal_number == (int)info.ssi_signo)
                                handler->call(handler->context, handler->signal_number);
}

int loop_add_signal(Loop *loop, int signal_number, LoopSignalCall call, void *context, Error **err)
{
        bool is_first = loop->signal_fd < 0;

        sigaddset(&loop->signals, signal_number);
        pthread_sigmask(SIG_BLOCK, &loop->signals, NULL);
        loop->signal_fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (loop->signal_fd < 0)
                return error_set_errno(err, errno, "watch signal %d", signal_number);
        vector_add(&loop->handlers, (SignalHandler){ signal_number, call, context });
        return is_first ? loop_add_io(loop, loop->signal_fd, EPOLLIN, on_signal_fd, loop, NULL, err) : 0;
}

void loop_defer(Loop *loop, LoopCall call, void *context)
{
        static const uint64_t one = 1;
        bool was_empty;

        pthread_mutex_lock(&loop->lock);
        was_empty = loop->deferred.length == 0;
        vector_add(&loop->deferred, (DeferredCall){ call, context });
        pthread_mutex_unlock(&loop->lock);
        if (was_empty) {
                _unused_ ssize_t n = write(loop->event_fd, &one, sizeof(one));
        }
}

static bool run_deferred(Loop *loop)
{
        VECTOR(DeferredCall) calls = { 0 };

        pthread_mutex_lock(&loop->lock);
        calls.items = TAKE_PTR(loop->deferred.items);
        calls.length = loop->deferred.length;
        loop->deferred.length = loop->deferred.capacity = 0;
        pthread_mutex_unlock(&loop->lock);
        VECTOR_FOREACH(deferred, &calls)
                deferred->call(deferred->context);
        free(calls.items);
        return calls.length > 0;
}

int64_t loop_next_timer_ns(const Loop *loop)
{
        const TimerEntry *first = timer_heap_first(&loop->timers);

        return first ? first->at_ns : INT64_MAX;
}

static bool run_timers(Loop *loop)
{
        int64_t now_ns = loop_now_ns(loop);
        bool worked = false;

        for (TimerEntry *entry; (entry = timer_heap_first(&loop->timers)) && entry->at_ns <= now_ns; worked = true) {
                LoopTimer timer = *(LoopTimer *)entry;
                loop_timer_remove((LoopTimer *)entry);
                timer.call(timer.context);
        }
        return worked;
}

/* How long epoll may wait: until the next timer, rounded up, so that it is never called too early again and again. */
static int wait_time_ms(const Loop *loop, int wait_ms)
{
        int64_t next_ns = loop_next_timer_ns(loop), left_ns, left_ms;

        if (next_ns == INT64_MAX || loop->clock != &system_clock)
                return wait_ms;
        left_ns = next_ns - loop_now_ns(loop);
        left_ms = left_ns <= 0 ? 0 : MIN((left_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (int64_t)INT_MAX);
        return wait_ms < 0 ? (int)left_ms : MIN(wait_ms, (int)left_ms);
}

int loop_turn(Loop *loop, int wait_ms, bool *ret_worked, Error **err)
{
        struct epoll_event events[MAX_EVENTS];
        bool worked = false;
        int n;

        n = epoll_wait(loop->epoll_fd, events, MAX_EVENTS, wait_time_ms(loop, wait_ms));
        if (n < 0 && errno != EINTR)
                return error_set_errno(err, errno, "wait for events");
        for (int i = 0; i < n; i++) {
                LoopIo *io = events[i].data.ptr;
                if (!io->call)
                        continue;
                worked |= io->fd != loop->event_fd;
                io->call(io->context, io->fd, events[i].events);
        }
        free_removed(loop);
        worked |= run_deferred(loop);
        worked |= run_timers(loop);
        free_removed(loop);
        if (ret_worked)
                *ret_worked = worked;
        return 0;
}

int loop_run(Loop *loop, Error **err)
{
        loop->quit = false;
        while (!loop->quit) {
                int r = loop_turn(loop, -1, NULL, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

void loop_quit(Loop *loop)
{
        loop->quit = true;
}
