/* The supervisor of one project: a loop, a control socket, the containers it watches and the requests it carries out, one
 * at a time. All of it in one struct and on one thread; what blocks runs on the pool and comes back to the loop. */
#ifndef BERTH_KEEPER_KEEPER_H
#define BERTH_KEEPER_KEEPER_H

#include "base/strmap.h"
#include "base/vector.h"
#include "engine/engine.h"
#include "keeper/project_state.h"
#include "net/channel.h"
#include "net/thread_pool.h"
#include "state/layout.h"

typedef struct Execution Execution;
typedef struct Keeper Keeper;
typedef struct Request Request;

/* What the keeper is built of, borrowed for its life: tests put a fake engine and clock here. */
typedef struct KeeperParts {
        const Layout *layout;
        Loop *loop;
        ThreadPool *pool;
        Engine *engine;
        /* Somebody else changed what containers rely on (firewall rules): watch_fd (-1: none) is readable, watch_read tells
         * whether it matters, watch_repair puts it right. watch_read and watch_repair get layout. */
        int watch_fd;
        bool (*watch_read)(const Layout *layout, int fd);
        int (*watch_repair)(const Layout *layout, Error **err);
        /* `down --rmi`; ERROR_CONFLICT where a container uses it. NULL: this engine keeps no images of its own */
        int (*remove_image)(const Layout *layout, Engine *engine, const char *reference, Error **err);
        /* Would these be made, and can these ports be had now? For checks before anything changes; each may be NULL */
        int (*check_network)(const NetworkSpec *spec, Error **err);
        int (*check_volume)(const VolumeSpec *spec, Error **err);
        int (*check_ports)(const Layout *layout, const char *container, const SpecPort *ports, size_t n_ports,
                           Error **err);
        /* Remembers what wrote a volume's data; NULL */
        int (*note_volume)(const Layout *layout, const char *name, const char *written_by, Error **err);
        bool protect;                /* databases are backed up (backups.h) */
        const char *backup_schedule; /* by this line of a crontab where nothing is said; NULL: at two o'clock */
        /* Renews what a container serves where that is due; NULL */
        int (*renew_certificate)(const Layout *layout, const ContainerInfo *info, int64_t now_s, bool *ret_renewed,
                                 Error **err);
} KeeperParts;

struct Keeper {
        KeeperParts parts;
        char *project;
        ProjectState state;
        ChannelServer *server;   /* NULL: not listening (tests) */
        Strmap units;            /* container id → Unit (watch.h) */
        VECTOR(Request *) queue; /* not begun yet, in order */
        Request *current;
        Execution *execution;        /* of current, while a plan is carried out */
        VECTOR(Channel *) followers; /* of events */
        bool ready;                  /* what runs has been taken over */
        char *takeover_error;        /* why it could not be, wholly; NULL */
        bool at_boot;                /* started by the boot unit: policies decide what starts */
        bool quitting, reexec;
        bool halting; /* the machine goes down: nothing is started any more */
        LoopIo *watch_io;
        LoopTimer *idle_timer, *rotation_timer, *repair_timer, *renewal_timer;
        bool rotating;
        struct Backups *backups;     /* NULL: parts.protect is not set */
        struct Schedules *schedules; /* likewise */
        struct Offsite *offsite;     /* likewise */
        char **released;             /* services, as long as this cannot be written down (release.h) */
        char **drilling;             /* services whose drill is at work (drills.h) */
        struct Budget *budget;       /* likewise */
};

/* How long "boot" waits for dependencies before it starts what depends on them all the same. */
#define BOOT_WAIT_MS (5 * 60 * 1000)

/* parts is copied. *ret is the caller's. */
int keeper_create(const KeeperParts *parts, const char *project, Keeper **ret, Error **err);
void keeper_free(Keeper *keeper);
DEFINE_CLEANUP(Keeper, keeper_free);

/* Takes over what runs and begins with the queued requests; at_boot: starts what policies say. */
void keeper_begin(Keeper *keeper, bool at_boot);
/* Where a running container's log has a limit: looks at it every few seconds from now on. */
void keeper_schedule_rotation(Keeper *keeper);
/* renewal.c: where a running server has a certificate that is ours to renew: looks at it every few hours from now on. */
void keeper_schedule_renewal(Keeper *keeper);
/* Looks whether there is anything left to do, and ends the loop a moment later where there is not. */
void keeper_check_idle(Keeper *keeper);

/* ---- control.c ---- */
int keeper_listen(Keeper *keeper, const char *socket_path, Error **err);
/* Takes the request over: begun now, or when those before it are done. */
void keeper_enqueue(Keeper *keeper, Request *request);
/* {"event": "container", …} to everyone who follows. id, name, service may be NULL. */
void keeper_publish(Keeper *keeper, const char *action, const char *id, const char *name, const char *service,
                    json_t *attributes);

#endif
