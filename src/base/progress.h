/* What a long piece of work tells, from its own threads one at a time; NULL members are skipped. */
#ifndef BERTH_BASE_PROGRESS_H
#define BERTH_BASE_PROGRESS_H

#include <poll.h>

#include "base/error.h"

typedef struct WorkProgress {
        void *context;
        void (*status)(void *context, const char *text);
        void (*bytes)(void *context, const char *what, uint64_t done, uint64_t total); /* total 0: unknown */
        void (*warning)(void *context, const char *text);
        int cancel_fd; /* readable: give up with ERROR_CANCELLED; -1: never */
} WorkProgress;

static inline void progress_status(const WorkProgress *progress, const char *text)
{
        if (progress->status)
                progress->status(progress->context, text);
}

static inline void progress_bytes(const WorkProgress *progress, const char *what, uint64_t done, uint64_t total)
{
        if (progress->bytes)
                progress->bytes(progress->context, what, done, total);
}

static inline void progress_warning(const WorkProgress *progress, const char *text)
{
        if (progress->warning)
                progress->warning(progress->context, text);
}

static inline bool progress_cancelled(const WorkProgress *progress)
{
        struct pollfd item = { .fd = progress->cancel_fd, .events = POLLIN };

        return progress->cancel_fd >= 0 && poll(&item, 1, 0) > 0;
}

#endif
