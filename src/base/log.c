#include "base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define MAX_FILE_BYTES (1024 * 1024)

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

void log_open_in_folder(const char *folder, const char *name)
{
        _cleanup_free_ char *path = path_join(folder, name), *old = xasprintf("%s.1", path);
        struct stat status;
        int fd;

        if (fs_make_directories(folder, 0700, NULL) < 0)
                return;
        if (stat(path, &status) == 0 && status.st_size > MAX_FILE_BYTES)
                rename(path, old);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        dup2(fd, STDERR_FILENO);
        fs_close(fd);
        log_open(STDERR_FILENO, LOG_LEVEL_INFO, true);
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
