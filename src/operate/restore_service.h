/* Restoring a service: a copy is laid out beside its data, recovered in a container of its own, checked by that, and
 * then exchanged with the data in one step. The old data stays. Light: the heavy part is done by a worker. Blocks;
 * every step may be repeated. */
#ifndef BERTH_OPERATE_RESTORE_SERVICE_H
#define BERTH_OPERATE_RESTORE_SERVICE_H

#include <jansson.h>

#include "engine/engine.h"
#include "state/layout.h"

typedef struct ServiceRestore {
        const Layout *layout;
        Engine *engine;
        const char *project, *service;
        const char *repository;  /* path */
        const char *to, *backup; /* as the worker's job "restore" takes them; NULL */
        int64_t timeline;        /* 0: the newest */
        const json_t *elsewhere; /* {"copy", "key"?}: damaged objects are taken from that copy; NULL */
        const char *into;        /* a volume that is made for the copy, which stays apart from the service; NULL */
        const char *key;         /* by which the project knows that volume; NULL: it is thrown away again */
        int64_t locks;           /* max_locks_per_transaction of the copy's server; 0: as it was */
        bool verify; /* restore_service_open: the image's pg_verifybackup looks at the files before the server starts */
        bool reflink; /* of the running database as it is now, by sharing blocks (operate/reflink.h): repository, to,
                       * backup and timeline are not looked at */
} ServiceRestore;

/* Where the data lies and where its copy is made; both on one file system. */
typedef struct RestorePlaces {
        char *container; /* id of the service's container */
        char *present;   /* root of the mount that holds the data */
        char *staged;    /* root of the copy; becomes the old data's when exchanged */
        char *volume;    /* name of the copy's volume; NULL: a folder beside a bind mount's */
        char *inside;    /* data folder as the container sees it */
        char *rest;      /* the data folder below the roots; "" for the root itself */
        char *target;    /* where the container has the root */
} RestorePlaces;

void restore_places_done(RestorePlaces *places);
#define _cleanup_restore_places_ _cleanup_(restore_places_done)

/* Finds the service's container and makes an empty place for the copy, clearing away what an interrupted restore left.
 * ERROR_EXISTS: there is a whole volume by the name of into. */
int restore_service_begin(const ServiceRestore *restore, RestorePlaces *ret, Error **err);
/* Lays out and recovers the copy in a container without network. On failure the copy is removed. *ret: {"backup",
 * "timeline", "end_lsn", "volume" or "folder"}. */
int restore_service_prepare(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                            json_t **ret, Error **err);
/* The same for a copy that stays apart (into); its server goes on running in *ret_container, reached by exec alone,
 * until restore_service_discard. ret->"ready_ms": from the beginning to the promoted server,
 * without "verified" ("yes", or why not), which verify adds; ERROR_CORRUPT: pg_verifybackup found fault. */
int restore_service_open(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                         json_t **ret, char **ret_container, Error **err);
/* Throws such a copy and its server away. What is absent is fine. */
int restore_service_discard(const ServiceRestore *restore, Error **err);
/* The container must not run (ERROR_CONFLICT). copy: what prepare gave: a volume's name or a folder. */
int restore_service_exchange(const ServiceRestore *restore, const char *copy, Error **err);

#endif
