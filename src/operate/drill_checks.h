/* Parts of a drill: what is looked at in the restored copy. */
#ifndef BERTH_OPERATE_DRILL_CHECKS_H
#define BERTH_OPERATE_DRILL_CHECKS_H

#include "operate/drill.h"

/* All of them, whatever the earlier ones found; each is an object {"name", "good", "message", "skipped"?} of results. false: one
 * found something. The copy's server runs in container; moment_ns: no commit behind it may be there (0: any may). */
bool drill_checks_run(const Drill *drill, const ContainerInfo *container, int64_t moment_ns,
                      const EngineProgress *progress, json_t *results);
/* Adds one. message may be NULL. */
void drill_add_check(json_t *results, const char *name, bool good, const char *message);

#endif
