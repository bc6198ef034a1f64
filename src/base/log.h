/* The program's log: lines on a descriptor (the keeper's log file, or stderr). Only the rooms keeper and cli and the
 * executables' mains log; other rooms return errors and warnings. Thread-safe: a line is one write. */
#ifndef BERTH_BASE_LOG_H
#define BERTH_BASE_LOG_H

#include "base/error.h"

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } LogLevel;

/* fd is not owned. With timestamps each line starts with RFC 3339 UTC time. */
void log_open(int fd, LogLevel level, bool timestamps);
/* Standard error goes to <folder>/<name> from now on, and so does the log, with timestamps; what is there and has grown past
 * 1 MiB becomes <name>.1. Where that cannot be, both stay where they are. */
void log_open_in_folder(const char *folder, const char *name);
void log_line(LogLevel level, const char *format, ...) _printf_(2, 3);
void log_failure(LogLevel level, const Error *error, const char *format, ...) _printf_(3, 4);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
