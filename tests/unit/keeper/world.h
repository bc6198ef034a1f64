/* A keeper on a scripted engine with a clock of our own and no threads: whole lives of projects in milliseconds. */
#ifndef BERTH_TESTS_KEEPER_WORLD_H
#define BERTH_TESTS_KEEPER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/fake/fake.h"
#include "keeper/execute.h"
#include "keeper/keeper.h"
#include "keeper/request.h"
#include "keeper/watch.h"

typedef struct World {
        char folder[40];
        int64_t now_ns; /* monotonic; realtime is a constant more */
        Clock clock;
        Layout layout;
        Engine *engine;
        Loop *loop;
        ThreadPool *pool;
        Keeper *keeper;
} World;

/* A request that is on its way or done. */
typedef struct Asked {
        bool finished;
        json_t *result; /* NULL after a failure */
        Error *error;
        Request *request; /* valid until finished */
} Asked;

int world_set_up(void **state);
int world_tear_down(void **state);

/* Everything that can happen without time going by. */
void world_settle(World *world);
/* Time goes by, from timer to timer. */
void world_pass(World *world, int64_t duration_ns);
/* A kill -9 and a new keeper on the same engine and folders. */
void world_replace_keeper(World *world, bool at_boot);

/* params: a JSON text, with ' for ". Begins, and settles. */
void world_begin(World *world, Asked *asked, const char *method, const char *params);
/* The same, to its end, however much time it takes (a day at most). */
void world_ask(World *world, Asked *asked, const char *method, const char *params);
void asked_done(Asked *asked);
/* `up` of services (a JSON object with ' for ", the model's "services") in project demo. more: further params ("'wait': true"); "". */
char *up_params(const char *services, const char *more);

/* Position of a call in the engine's journal; -1. */
int journal_find(World *world, const char *call);
int journal_count(World *world, const char *call);
size_t journal_length(World *world); /* of what changed something */

#endif
