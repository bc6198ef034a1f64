/* Commits must not wait for a receiver when a database ends, whoever starts it again. */
#ifndef BERTH_OPERATE_SYNCHRONOUS_OFF_H
#define BERTH_OPERATE_SYNCHRONOUS_OFF_H

#include "engine/engine.h"
#include "state/layout.h"

/* Before a running database is stopped: its receiver takes the setting back, or, where none can, a worker. Blocks. ERROR_…: the
 * server could not be asked: synchronous_off_stopped does it afterwards. */
int synchronous_off_running(const Layout *layout, Engine *engine, const ContainerInfo *info, Error **err);
/* Of one that does not run: out of its postgresql.auto.conf. 1: there was something. */
int synchronous_off_stopped(Engine *engine, const ContainerInfo *info, Error **err);

#endif
