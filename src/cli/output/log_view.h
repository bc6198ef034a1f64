/* The output of several containers as one stream of lines: each with the name of its container in front, merged by
 * time. A container is read by a thread of its own through a pipe, so that nothing is held in memory and no disk is
 * waited for. */
#ifndef BERTH_CLI_OUTPUT_LOG_VIEW_H
#define BERTH_CLI_OUTPUT_LOG_VIEW_H

#include "engine/engine.h"

typedef struct LogStyle {
        bool prefix; /* "db-1  | " */
        bool timestamps;
        bool color;
} LogStyle;

typedef struct LogView LogView;

/* engine is borrowed and must stay until the view is freed. */
LogView *log_view_create(Engine *engine, LogStyle style);
/* Stops all readers first. */
void log_view_free(LogView *view);
DEFINE_CLEANUP(LogView, log_view_free);

/* Labels that will come, so that the prefixes are equally wide from the start. */
void log_view_reserve_width(LogView *view, const char *label);
/* Starts to read a container. The same id may be added again once its source has ended (after a restart). */
int log_view_add(LogView *view, const char *id, const char *label, const LogQuery *query, Error **err);

typedef enum LogViewEnd {
        LOG_VIEW_ALL_ENDED,   /* no source is left */
        LOG_VIEW_ONE_ENDED,   /* *ret_id: a container whose output has ended; borrowed from the view */
        LOG_VIEW_INTERRUPTED, /* interrupt_fd is readable */
        LOG_VIEW_TIMEOUT,
} LogViewEnd;

/* Prints what comes. Lines are in order of time among the sources that have some ready; with in_order every source is
 * waited for, which gives the exact order and is for logs that have an end. A LogViewEnd, or an error of a reader or
 * of standard output (ERROR_CANCELLED where the reader of a pipe went away). */
int log_view_run(LogView *view, bool in_order, int interrupt_fd, int timeout_ms, const char **ret_id, Error **err);
/* A line of the view's own, in a container's colour: "db-1 exited with code 0". */
void log_view_note(LogView *view, const char *id, const char *text);

#endif
