#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"

static struct {
        int fd;
        LogLevel level;
        bool timestamps;
} target = { STDERR_FILENO, LOG_LEVEL_INFO, false };

void log_open(int fd, LogLevel level, bool timestamps)
{
        target.fd = fd;
        target.level = level;
        target.timestamps = timestamps;
}

static void write_line(LogLevel level, const char *text)
{
        static const char *const names[] = { "error", "warning", "info", "debug" };
        _cleanup_strbuf_ Strbuf line = STRBUF_INIT;

        if (target.timestamps) {
                _cleanup_free_ char *time = clock_format_rfc3339(clock_realtime_ns());
                strbuf_addf(&line, "%s ", time);
        }
        strbuf_addf(&line, "%s: %s\n", names[level], text);
        _unused_ ssize_t n = write(target.fd, line.data, line.length);
}

void log_line(LogLevel level, const char *format, ...)
{
        _cleanup_free_ char *text = NULL;
        va_list arguments;

        if (level > target.level)
                return;
        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        write_line(level, text);
}

void log_failure(LogLevel level, const Error *error, const char *format, ...)
{
        _cleanup_free_ char *what = NULL, *why = error ? error_text(error) : xstrdup("unknown reason"), *text = NULL;
        va_list arguments;

        if (level > target.level)
                return;
        va_start(arguments, format);
        what = xvasprintf(format, arguments);
        va_end(arguments);
        text = xasprintf("%s: %s", what, why);
        write_line(level, text);
}
