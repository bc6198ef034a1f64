/* Taking back what was changed in clusters: on request, and at an "up" that switches backups off. Loop's thread. */
#ifndef BERTH_KEEPER_RELEASE_H
#define BERTH_KEEPER_RELEASE_H

#include "keeper/request.h"

/* The service was released: it is not backed up until it is lifted. */
bool release_holds(const Keeper *keeper, const char *service);
/* services NULL: all. */
void release_lift(Keeper *keeper, char *const *services);

/* results: [{"service", "changes", "repository"}] as the worker's job "release" tells them. error: NULL where all is done. */
typedef void (*ReleaseDone)(void *context, const json_t *results, const Error *error);

/* Running databases whose backups are off and in which something of ours is left: it is taken back. false: there are none, and done
 * is not called. */
bool release_unwanted(Keeper *keeper, Request *request, ReleaseDone done, void *context);
/* One change for people; the caller's. */
char *release_text(const json_t *change);

#endif
