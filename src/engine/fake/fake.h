/* An engine that keeps everything in memory and does as a script says: for the unit tests of what stands on an engine,
 * and beside the local one for the contract's own tests. Thread-safe. Not part of any program. */
#ifndef BERTH_ENGINE_FAKE_FAKE_H
#define BERTH_ENGINE_FAKE_FAKE_H

#include "base/clock.h"
#include "engine/engine.h"

/* *ret is the caller's (engine_free). Any image reference is found, with the id "sha256:<reference>" and the command
 * "run", unless fake_engine_forget_image took it away. clock: what times are told; NULL: the system's. */
int fake_engine_create(const Clock *clock, Engine **ret);

/* ---- the script; name NULL stands for every container (network, volume, image) ---- */

/* The next `times` calls of `call` ("create", "start", "stop", "remove", "exec", "pull", "network_create", …) on name
 * fail so. */
void fake_engine_fail(Engine *engine, const char *call, const char *name, int times, ErrorKind kind,
                      const char *message);
/* Calls take this long, in real time. */
void fake_engine_delay(Engine *engine, const char *call, const char *name, int delay_ms);
/* The container's process ends now, or (where it does not run) as soon as it is started, every time. */
void fake_engine_exit(Engine *engine, const char *name, int exit_code);
/* What exec in it gives from now on. */
void fake_engine_exec_result(Engine *engine, const char *name, int exit_code, const char *output);
/* image_find says ERROR_NOT_FOUND until it is pulled. */
void fake_engine_forget_image(Engine *engine, const char *reference);
/* A line in the container's log, of stream 1 or 2. */
void fake_engine_log(Engine *engine, const char *name, int stream, const char *text);

/* The calls that changed something, in order of their beginning: "create demo-db-1", "start demo-db-1"; a copy, the
 * caller's (strv_free). */
char **fake_engine_journal(Engine *engine);

#endif
