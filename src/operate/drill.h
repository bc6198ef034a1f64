/* A drill: the newest backup of a database is restored to a moment in a throwaway container without network, and everything in
 * it is looked at. What was seen, good or bad, goes to <data>/projects/<project>/drills/<service>.json. Blocks; the running
 * database is not touched. */
#ifndef BERTH_OPERATE_DRILL_H
#define BERTH_OPERATE_DRILL_H

#include <jansson.h>

#include "engine/engine.h"
#include "state/layout.h"

#define DRILL_FORMAT 1

typedef struct Drill {
        const Layout *layout;
        Engine *engine;
        const char *project, *service;
        const char *to; /* as the worker's job "restore" takes it; NULL: a moment by lot, behind the newest backup */
        const json_t *checks; /* SQL texts, each of which must give one true; NULL: none */
        bool no_amcheck;
        const json_t *
                elsewhere; /* {"copy", "key"?} of the copy elsewhere: what is damaged here is mended from it; NULL: none */
} Drill;

/* *ret: the file's content ("mended": objects that were damaged and came back from the copy), a new reference, also where the drill failed: then the error says what was wrong. */
int drill_run(const Drill *drill, const EngineProgress *progress, json_t **ret, Error **err);

/* Removes throwaway copies of the project that a killed keeper left, with their servers. */
int drill_clear_left(const Layout *layout, Engine *engine, const char *project, Error **err);

/* The volume of a throwaway copy; suffix: DRILL_SUFFIX or PART_SUFFIX. The caller's. */
#define DRILL_SUFFIX ".drill"
#define PART_SUFFIX  ".part"
char *throwaway_volume(const char *project, const char *service, const char *suffix);

#endif
