/* A dump with its progress shown: for the verb, and for the moment before something is deleted. */
#ifndef BERTH_CLI_DUMP_H
#define BERTH_CLI_DUMP_H

#include "cli/scope.h"
#include "operate/dump.h"

/* path "-": to standard output. Ctrl-C ends it and leaves nothing. *ret is the caller's. */
int dump_show(const Invocation *invocation, const DumpOptions *options, const char *path, DumpResult *ret, Error **err);

#endif
