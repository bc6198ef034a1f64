/* The local engine: containers on this machine by an OCI runtime (crun or runc), conmon, overlayfs and the kernel's own
 * network. No daemon: everything is read from and written to files (docs/formats.md), under a lock per container.
 *
 * Two libraries: engine_local_read (links jansson only; for `berth`, which must start in a millisecond) and
 * engine_local (everything). */
#ifndef BERTH_ENGINE_LOCAL_LOCAL_H
#define BERTH_ENGINE_LOCAL_LOCAL_H

#include "engine/engine.h"
#include "state/layout.h"

/* The whole engine. layout is borrowed for the engine's life. Nothing is made on disk before the first call that needs
 * it. *ret is the caller's (engine_free). Library engine_local. */
int local_engine_create(const Layout *layout, Engine **ret, Error **err);

/* The same engine for programs that only look and talk: container_list, container_inspect, container_exit_fd,
 * container_pause, exec, exec_stdio, attach, logs, stats, top, the volume slots, network_list, network_inspect,
 * image_find. Its other slots are NULL and must not be called. Library engine_local_read. */
int local_reader_create(const Layout *layout, Engine **ret, Error **err);

#endif
