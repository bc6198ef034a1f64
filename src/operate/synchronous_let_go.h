/* Commits of a running server stop waiting for our receiver. Nothing may keep that from happening: neither a repository that is away,
 * full, damaged or locked, nor connections that are all taken by commits that wait, nor a server that refuses us. */
#ifndef BERTH_OPERATE_SYNCHRONOUS_LET_GO_H
#define BERTH_OPERATE_SYNCHRONOUS_LET_GO_H

#include "postgres/connect.h"

/* slot: our standby's name. repository_path: where settings are remembered; NULL or anything else where that is not known: then the name
 * tells what is ours. What somebody else has set stays. Returns 0 once the server's commits do not wait; also where they did not.
 * A server that refuses the connection has its file changed and is told to read it; when it has, is not known then. */
int synchronous_let_go(const PostgresTarget *target, const char *slot, const char *repository_path, Error **err);

#endif
