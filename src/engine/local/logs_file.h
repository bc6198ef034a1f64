/* The log files that conmon writes ("k8s-file"): lines "<RFC 3339 time> stdout|stderr P|F <text>", where P is a part of
 * a line whose rest follows. container.log is the present one, container.log.1 the one before, and so on. */
#ifndef BERTH_ENGINE_LOCAL_LOGS_FILE_H
#define BERTH_ENGINE_LOCAL_LOGS_FILE_H

#include "base/strbuf.h"
#include "engine/engine.h"

typedef struct LogReader {
        const LogQuery *query;
        LogSink sink;
        void *context;
        Strbuf pending;    /* bytes of an unfinished line of the file */
        Strbuf partial[2]; /* parts of a line, by stream */
        int64_t partial_ns[2];
        bool past_until;
} LogReader;

void log_reader_done(LogReader *reader);
#define _cleanup_log_reader_ _cleanup_(log_reader_done)

/* Reads fd to its end and gives out what is complete. A negative result is the sink's. */
int log_reader_read(LogReader *reader, int fd, Error **err);
/* Gives out parts whose end never came. */
int log_reader_flush(LogReader *reader);

/* Where the last `lines` lines before the end begin: sets *ret_offset, or tells how many lines there are where they are
 * fewer (then *ret_offset is 0). Reads from the end. */
int log_file_find_tail(int fd, int64_t lines, off_t *ret_offset, int64_t *ret_found, Error **err);

/* "2026-11-21T12:00:00.123456789+00:00"; false where it is not a time. Fast: no libc calls for zones. */
bool log_time_parse(const char *text, size_t length, int64_t *ret_ns);

#endif
