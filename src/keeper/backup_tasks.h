/* What the keeper's backups do on threads of the pool: everything is copied in, and taken out on the loop. */
#ifndef BERTH_KEEPER_BACKUP_TASKS_H
#define BERTH_KEEPER_BACKUP_TASKS_H

#include <jansson.h>

#include "keeper/keeper.h"

/* x-berth.backup of the service, else of the project; or, with key, that member of it. Borrowed; NULL: not said. */
const json_t *backup_setting(const Keeper *keeper, const char *service, const char *key);

typedef struct ReceiverStart {
        Keeper *keeper;
        char *service, *id;
        pid_t pid;
        int pidfd;     /* -1 where it has ended already */
        json_t *asked; /* what it was told to be: receiver_wanted */
        bool hangs;    /* it lives, and does not do what it says */
} ReceiverStart;

/* {"synchronous", "async_after_ns"} as the project says now. A new reference. */
json_t *receiver_wanted(const Keeper *keeper, const char *service);

ReceiverStart *receiver_start_create(Keeper *keeper, const char *service, const char *id);
void receiver_start_free(ReceiverStart *start);
/* PoolWork: takes over a receiver that is at work on this run of the server, or starts one. */
int receiver_start_work(void *context, Error **err);

/* PoolWork on a ReceiverStart: commits stop waiting for its receiver; 1 where it streams and does not hang: they go on waiting for it. */
int synchronous_off_work(void *context, Error **err);

typedef enum ReceiverLook {
        RECEIVER_WAITS,        /* it does not receive yet */
        RECEIVER_NEEDS_BACKUP, /* it receives, and there is no backup, or none behind a gap */
        RECEIVER_IS_WELL,
} ReceiverLook;

/* When a part of the log was found lost, by the receiver that is at work; 0: none is. */
int64_t receiver_gap_ns(const Keeper *keeper, const char *service);
/* Reads what the receiver pid tells, and whether there is a backup; quick. What an earlier one has told counts for nothing. */
ReceiverLook receiver_look(const Keeper *keeper, const char *service, pid_t pid);

typedef struct BackupTask {
        Keeper *keeper;
        char *service, *id;
        int cancel_fd;
        bool first; /* at once: no spread checkpoint */
        int64_t max_rate_kib;
        json_t *keep;     /* what stays behind it */
        bool prune_first; /* past the budget: what is not kept goes before, not only behind it */
        json_t *result;
} BackupTask;

BackupTask *backup_task_create(Keeper *keeper, const char *service, const char *id, int cancel_fd, bool first);
void backup_task_free(BackupTask *task);
int backup_task_work(BackupTask *task, Error **err);

#endif
