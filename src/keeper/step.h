/* One action of a plan as work for a thread of the pool: everything it needs is copied in, everything it learnt is taken
 * out on the loop. */
#ifndef BERTH_KEEPER_STEP_H
#define BERTH_KEEPER_STEP_H

#include "deploy/plan.h"
#include "keeper/request.h"
#include "keeper/watch.h"

typedef struct Step {
        Execution *execution;
        size_t index;
        Engine *engine;
        const Layout *layout;
        const PlanAction *action; /* the plan's, which does not change while it is carried out */
        const char *id;           /* of the container it is about; NULL for CREATE */
        int stop_timeout_ms;
        StopReason stop_reason;
        bool purge;
        RequestProgress progress;
        char *created_id; /* CREATE */
        UnitNews news;    /* CREATE, START, STOP, RENAME */
} Step;

/* PoolWork. Everything but WAIT. */
int step_work(void *context, Error **err);
/* A database's container gets what its secrets' files hold now, and its server reads its settings again. On a thread of the
 * pool. */
int step_refresh(Engine *engine, const char *id, Error **err);
/* "creating" / "created" …: what clients are told before and after; NULL: nothing. */
const char *step_state_before(const PlanAction *action);
const char *step_state_after(const PlanAction *action);

#endif
