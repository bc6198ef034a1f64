/* What the parts of `berth upgrade` share: upgrade.c decides, upgrade_copy.c makes the new cluster, upgrade_switch.c puts
 * one in the place of the other. */
#ifndef BERTH_CLI_UPGRADE_H
#define BERTH_CLI_UPGRADE_H

#include "cli/scope.h"
#include "operate/upgrade.h"

typedef struct UpgradeTask {
        Invocation *invocation;
        Scope *scope;
        UpgradeRecord record;
        ContainerInfo *old;     /* its container, running; NULL where it is not needed */
        char *old_folder;       /* of its data, on this machine */
        char *volume_key;       /* in the compose file */
        int jobs;
} UpgradeTask;

void upgrade_task_done(UpgradeTask *task);
#define _cleanup_upgrade_task_ _cleanup_(upgrade_task_done)

/* Makes the new cluster in record.kept and compares it with the old one, which goes on serving readers; then calls
 * finish(task) while writers still wait. Where it fails, or dies, nothing has changed. */
int upgrade_copy(UpgradeTask *task, int (*finish)(UpgradeTask *task, Error **err), Error **err);

/* The old server ends, the volumes change places, the compose file is brought in line, the new one comes up. Where it does
 * not become healthy everything is put back. Goes on with what an earlier call began. */
int upgrade_switch(UpgradeTask *task, Error **err);
/* The same the other way round. */
int upgrade_return(UpgradeTask *task, Error **err);

/* A request to the keeper about services or containers by name: "kill", "stop", "rm". */
int upgrade_ask(const UpgradeTask *task, const char *method, const char *name, json_t *params, Error **err);
void upgrade_say(const UpgradeTask *task, const char *format, ...) _printf_(2, 3);

#endif
