/* What the parts of `berth upgrade` share: upgrade.c decides, upgrade_prepare.c finds what there is, upgrade_copy.c makes the
 * new cluster (upgrade_programs.c the part of pg_upgrade, upgrade_server.c the containers), upgrade_switch.c puts one in the
 * place of the other. */
#ifndef BERTH_CLI_UPGRADE_H
#define BERTH_CLI_UPGRADE_H

#include "cli/scope.h"
#include "net/channel_client.h"
#include "operate/upgrade.h"

typedef enum UpgradeMethod {
        UPGRADE_BY_EITHER, /* pg_upgrade where it goes */
        UPGRADE_BY_DUMP,
        UPGRADE_BY_PROGRAMS,
} UpgradeMethod;

typedef struct UpgradeTask {
        Invocation *invocation;
        Scope *scope;
        UpgradeRecord record;
        ContainerInfo *old; /* its container, running; NULL where it is not needed */
        char *old_folder;   /* of its data, on this machine */
        char *volume_key;   /* in the compose file */
        int jobs;
        int lock_timeout_s; /* how long to wait for open transactions */
        UpgradeMethod method;
} UpgradeTask;

/* A container beside the old one, a one-off that ends with this process. */
typedef struct UpgradeServer {
        char *id, *name;
        char *folder; /* of its data, on this machine */
        char *volume_folder;
        ChannelClient *client; /* as long as it is open the container may run */
} UpgradeServer;

void upgrade_task_done(UpgradeTask *task);
#define _cleanup_upgrade_task_ _cleanup_(upgrade_task_done)

/* Fills the record of an upgrade of the service to record.to, checks that it goes, and asks; 1: it was only asked what would
 * be done. */
int upgrade_prepare(UpgradeTask *task, const char *service, Error **err);

/* Makes the new cluster in record.kept and compares it with the old one, which goes on serving readers; then calls
 * finish(task) while writers still wait. Where it fails, or dies, nothing has changed. */
int upgrade_copy(UpgradeTask *task, int (*finish)(UpgradeTask *task, Error **err), Error **err);

/* The old server ends, the volumes change places, the compose file is brought in line, the new one comes up. Where it does
 * not become healthy everything is put back. Goes on with what an earlier call began. */
int upgrade_switch(UpgradeTask *task, Error **err);
/* The same the other way round. */
int upgrade_return(UpgradeTask *task, Error **err);

/* Where anything still uses the volume beside, it is a remnant and goes with it. */
int upgrade_discard_beside(UpgradeTask *task, const char *kept, bool purge, Error **err);

void upgrade_server_done(UpgradeServer *server);
/* idle: nothing runs in it but what is executed there. */
int upgrade_server_create(UpgradeTask *task, bool idle, UpgradeServer *server, Error **err);
int upgrade_server_start(UpgradeTask *task, UpgradeServer *server, Error **err);
/* Where its data are; ERROR_INVALID where that is not in the volume beside. */
int upgrade_server_look(UpgradeTask *task, UpgradeServer *server, Error **err);
/* In good order: its last checkpoint stands for all that was written without syncing. */
int upgrade_server_end(UpgradeTask *task, UpgradeServer *server, Error **err);
/* It is removed by the keeper once nobody looks at it any more. */
void upgrade_server_await_removal(UpgradeTask *task, UpgradeServer *server);
/* A step of operate/upgrade_steps.h; ERROR_CANCELLED after Ctrl-C. */
int upgrade_task_step(UpgradeTask *task, const char *container, const char *name, char *const *arguments, char **ret,
                      Error **err);

/* The way of pg_upgrade: on a copy of the old server's files, which itself goes on. */
typedef struct UpgradePrograms {
        UpgradeServer workshop;        /* a container with the programs of both majors */
        char *old_folder, *new_folder; /* of these programs, in it */
        char *owner;                   /* "UID:GID" of the data */
        bool reindex;                  /* text may sort differently under the new image */
} UpgradePrograms;

void upgrade_programs_done(UpgradePrograms *programs);
#define _cleanup_upgrade_programs_ _cleanup_(upgrade_programs_done)
/* Looks whether that is possible, and makes an empty cluster of the old one's kind. Every error but ERROR_CANCELLED says
 * why it is not. */
int upgrade_programs_open(UpgradeTask *task, UpgradePrograms *ret, Error **err);
/* With writers held: the new cluster lies in record.kept afterwards. */
int upgrade_programs_run(UpgradeTask *task, UpgradePrograms *programs, Error **err);

/* A request to the keeper about services or containers by name: "kill", "stop", "rm". */
int upgrade_ask(const UpgradeTask *task, const char *method, const char *name, json_t *params, Error **err);
void upgrade_say(const UpgradeTask *task, const char *format, ...) _printf_(2, 3);

#endif
