/* What protects a project's databases: a receiver of the log for each that runs, and a first base backup as soon as its log
 * is received. The receivers are processes that outlive the keeper: one that finds them takes them over. Loop's thread
 * only; switched on by KeeperParts.protect. */
#ifndef BERTH_KEEPER_BACKUPS_H
#define BERTH_KEEPER_BACKUPS_H

#include "keeper/keeper.h"

typedef struct Backups Backups;

Backups *backups_create(Keeper *keeper);
/* Work that runs is told to give up. Accepts NULL. */
void backups_free(Backups *backups);

/* Looks at what runs and what the project says now: after a start, an end, and every request. */
void backups_update(Keeper *keeper);
/* The project says that this service is backed up: nothing said is yes. A project whose model is not known: no. */
bool backups_are_wanted(const Keeper *keeper, const char *service);
/* A backup, a receiver's start or another of its work goes on. */
bool backups_are_busy(const Keeper *keeper);

/* Another keeper comes in this one's place: until it has taken over, commits wait for no receiver. */
void backups_hand_over(Keeper *keeper);
/* Readable once work shall give up, since the keeper ends; -1: never. */
int backups_cancel_fd(const Keeper *keeper);

/* result: what the worker's job said, borrowed; NULL after a failure, which error tells. */
typedef void (*BackupDone)(void *context, const char *service, const json_t *result, const Error *error);

/* Begins a base backup of a service's running database, at low priority and throttled. ERROR_CONFLICT: one is at work;
 * ERROR_NOT_FOUND: no database of that name runs, or its backups are off. done (may be NULL) is called on the loop, unless
 * the keeper ends before. */
int backups_begin(Keeper *keeper, const char *service, BackupDone done, void *context, Error **err);

#endif
