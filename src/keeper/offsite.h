/* Copies elsewhere, as x-berth.backup.offsite asks for them: brought up to date by a job of the worker, one at a time, at low
 * priority. A copy that fails holds nothing else up: it is tried again after the interval (at most a minute), then twice as
 * long each time up to 15 minutes; the fourth failure in a row is told to whom x-berth.alerts names, once, and again when it works.
 * How each stands is in <data>/projects/<project>/offsite.json (docs/formats.md). Loop's thread only. */
#ifndef BERTH_KEEPER_OFFSITE_H
#define BERTH_KEEPER_OFFSITE_H

#include "keeper/keeper.h"

typedef struct Offsite Offsite;

Offsite *offsite_create(Keeper *keeper);
/* Work that runs is told to give up. Accepts NULL. */
void offsite_free(Offsite *offsite);

/* Looks at what the project says and what runs now. */
void offsite_update(Keeper *keeper);
/* A backup of the service is complete: it is copied soon. */
void offsite_backup_taken(Keeper *keeper, const char *service);
/* How to reach the service's copy: {"copy", "key"?}, a new reference; NULL: the project asks for none. */
json_t *offsite_location(const Keeper *keeper, const char *service);
/* A database has been stopped, and the end of its log is still to be copied: the keeper stays for it. */
bool offsite_is_wanted(const Keeper *keeper);

#endif
