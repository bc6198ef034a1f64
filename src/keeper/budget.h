/* The room that backups take: looked at every ten minutes and after each backup. Past the budget it is told, in the log, by
 * x-berth.alerts and in <data>/projects/<project>/budget.json (docs/formats.md), from which up and backup ls tell it; nothing is stopped.
 * Loop's thread only. */
#ifndef BERTH_KEEPER_BUDGET_H
#define BERTH_KEEPER_BUDGET_H

#include "keeper/keeper.h"

typedef struct Budget Budget;

Budget *budget_create(Keeper *keeper);
void budget_free(Budget *budget); /* accepts NULL */

/* Begins to look, where a database is backed up and nobody looks yet. */
void budget_update(Keeper *keeper);
/* Looks now: a backup has been taken. */
void budget_look_now(Keeper *keeper);
/* What is past its budget is pruned before the next backup, too. */
bool budget_is_over(const Keeper *keeper, const char *service);

#endif
