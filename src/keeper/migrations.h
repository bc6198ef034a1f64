/* Migrations at `up`: found before anything changes, run in the database's container once it is healthy. */
#ifndef BERTH_KEEPER_MIGRATIONS_H
#define BERTH_KEEPER_MIGRATIONS_H

#include "keeper/prepare.h"
#include "keeper/step.h"

/* Fills in what each MIGRATE action of the plan needs. ERROR_NOT_FOUND where its folder is missing. For --dry-run each
 * action's reason tells what is pending. */
int preparation_find_migrations(Preparation *preparation, Error **err);
/* Waits, on a thread of the pool, until the server of a container that runs answers; ERROR_FAILED where it ends instead. */
int database_wait_until_ready(const Step *step, const ContainerInfo *info, Error **err);
/* MIGRATE as a step: what is pending runs; each migration is told. The error has its place in the file. */
int migrate_container(Step *step, Error **err);

#endif
