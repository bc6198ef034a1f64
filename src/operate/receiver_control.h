/* The receiver of a database's log as seen by others: what it tells, and what it may be told. Light: the state file and
 * signals. */
#ifndef BERTH_OPERATE_RECEIVER_CONTROL_H
#define BERTH_OPERATE_RECEIVER_CONTROL_H

#include <jansson.h>
#include <sys/types.h>

#include "base/error.h"
#include "state/layout.h"

/* <run>/projects/<project>/receivers/<service>.json of this boot (docs/formats.md); NULL. A new reference. */
json_t *receiver_state_load(const Layout *layout, const char *project, const char *service);
/* The process of that state, where it lives; 0. */
pid_t receiver_state_pid(const json_t *state);

/* When it last told its state, by the clock of files: for comparison with an earlier time; 0: never. */
int64_t receiver_told_ns(const Layout *layout, const char *project, const char *service);
/* The one that lives, or the last one, was told to be a synchronous standby. */
bool receiver_was_asked(const Layout *layout, const char *project, const char *service);
/* Commits do not wait for it from now on, until it is told otherwise. Blocks until it has done so. 1: it is so; 0: no receiver
 * that waits could be asked, or it did not answer in time. */
int receiver_pause(const Layout *layout, const char *project, const char *service);
/* It may be a synchronous standby again. */
void receiver_resume(const Layout *layout, const char *project, const char *service);
/* Waits until it has ended by itself, as it does once its server has: it files the last of the log first. */
void receiver_await_end(const Layout *layout, const char *project, const char *service, int timeout_ms);
/* Ends it, and waits for that: one that does not obey in time is killed, which harms nothing. ERROR_TIMEOUT where it lives even so. No
 * receiver is fine. */
int receiver_stop(const Layout *layout, const char *project, const char *service, Error **err);

#endif
