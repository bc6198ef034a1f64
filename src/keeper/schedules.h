/* What a project does by the clock: base backups and drills of its databases. When something is due is deploy/schedule.h's;
 * here are the timer, the file <data>/projects/<project>/schedule.json that survives the keeper, the starting of work and
 * the telling of failures. Loop's thread only; there where databases are backed up (KeeperParts.protect). */
#ifndef BERTH_KEEPER_SCHEDULES_H
#define BERTH_KEEPER_SCHEDULES_H

#include "keeper/keeper.h"

typedef struct Schedules Schedules;

/* Reads what is remembered. A damaged file is kept aside: the past is then unknown, and what is due begins now. */
Schedules *schedules_create(Keeper *keeper);
void schedules_free(Schedules *schedules); /* accepts NULL */

/* Looks at what the project says and what runs now. */
void schedules_update(Keeper *keeper);

#endif
