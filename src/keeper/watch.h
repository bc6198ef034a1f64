/* The containers of the project as the keeper sees them: their ends, their restart policies, their health. */
#ifndef BERTH_KEEPER_WATCH_H
#define BERTH_KEEPER_WATCH_H

#include "deploy/health.h"
#include "deploy/restart.h"
#include "keeper/keeper.h"

typedef struct Unit {
        Keeper *keeper;
        char *id, *name, *service;
        int number;
        bool oneoff, remove_at_end; /* removed once it has ended and its owner has looked how */
        Channel *owner;             /* the client that runs a one-off; NULL */
        bool bound;                 /* the one-off is killed when its client goes */
        ContainerState state;
        int exit_code;
        char *error;   /* why its last start failed; NULL */
        unsigned run;  /* counts starts: results of an earlier run are thrown away */
        bool stopping; /* a command stops it: what ends now was asked for */
        /* exit */
        bool ending;   /* it has ended; what that means is being found out */
        bool end_told; /* "die" was published for this run */
        int exit_fd;
        LoopIo *exit_io;
        /* restart */
        RestartPolicy policy;
        int64_t attempts, restart_count, started_ns; /* monotonic */
        LoopTimer *restart_timer;
        bool restarting;        /* a policy starts it, now or after restart_timer */
        bool restart_in_flight; /* now, on the pool */
        /* health */
        HealthConfig *health_config; /* NULL: no check */
        Health health;
        LoopTimer *probe_timer;
        char *postmaster_path; /* what a database's server writes when it answers; NULL: no database */
        bool probing;
        bool noting;        /* the engine's record is being written */
        HealthStatus noted; /* what that record says, once it is written */
        int probe_exit_code;
        char *probe_output;
        int64_t log_max_size;
        bool serves_tls; /* with a certificate that may be ours to renew */
} Unit;

/* What a pool thread learnt about a container: taken over by watch_update. */
typedef struct UnitNews {
        ContainerInfo *info;
        int exit_fd; /* -1: it does not run */
} UnitNews;
void unit_news_done(UnitNews *news);
/* On a thread of the pool: inspects a container and, where it runs, opens its exit descriptor. */
int unit_news_read(Engine *engine, const char *id, UnitNews *ret, Error **err);

Unit *watch_find(Keeper *keeper, const char *id);        /* NULL */
Unit *watch_find_name(Keeper *keeper, const char *name); /* container name; NULL */
/* Knows the container from now on; fresh: it was started by us just now (health begins anew), otherwise it is taken over
 * as it is. Takes what is in news. */
Unit *watch_update(Keeper *keeper, UnitNews *news, bool fresh);
/* It was found ended (after a keeper's death): its restart policy decides. */
void watch_ended(Unit *unit, int64_t uptime_ns, bool manual);
/* Publishes how its run ended, once: who stopped it may know before the end itself is seen. */
void watch_tell_end(Unit *unit, const ContainerInfo *info);
/* It is removed: forget it. */
void watch_forget(Keeper *keeper, const char *id);
/* A command is about to stop it: neither its policy nor its health matter any more. */
void watch_expect_stop(Unit *unit);
/* After a failed stop, or before a start by a command. */
void watch_expect_nothing(Unit *unit);
/* A client has gone: its one-offs that ended are removed. */
void watch_owner_left(Keeper *keeper, const Channel *channel);
/* Some unit runs or is going to. */
bool watch_is_busy(const Keeper *keeper);
void watch_free_unit(void *unit);

/* What a client sees: "starting", "healthy", "unhealthy", or NULL without a check. */
const char *unit_health_name(const Unit *unit);

/* Dependencies: has `service` reached the condition? 1 yes, 0 not yet, negative with the reference's words: it never will. */
int watch_check_condition(Keeper *keeper, const char *service, DependencyCondition condition, bool running_is_enough,
                          Error **err);

/* The answer to "status". A new reference. */
json_t *watch_status(Keeper *keeper);

#endif
