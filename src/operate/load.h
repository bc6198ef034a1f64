/* The way back of operate/dump.h: one database from a dump, by the server's own pg_restore and psql, which stop at the
 * first error. */
#ifndef BERTH_OPERATE_LOAD_H
#define BERTH_OPERATE_LOAD_H

#include "engine/engine.h"

typedef struct LoadDumpOptions {
        Engine *engine;
        const ContainerInfo *container; /* it runs */
        const char *path;               /* a file or a folder of this machine; its kind is found out */
        const char *database;           /* NULL: POSTGRES_DB */
        bool create;                    /* the database is made first, and goes again where the load fails */
        bool clean;                     /* what stands in the way is dropped first; archives only */
        bool no_owner;                  /* everything becomes the superuser's; archives only */
        int jobs;                       /* above 1: tables at a time, and what was loaded before a failure stays */
} LoadDumpOptions;

/* One transaction, unless there are several jobs: all or nothing. ERROR_FAILED: what the server said. ERROR_USAGE: the
 * kind of dump does not go with the options; ERROR_UNSUPPORTED: a dump of a whole cluster. */
int load_dump(const LoadDumpOptions *options, const EngineProgress *progress, Error **err);

#endif
