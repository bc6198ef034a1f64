/* Commits that wait for a receiver which is not there: from when on they go on without it, as x-berth.backup.when_unavailable says. By
 * state, not by event: what counts is that nobody has streamed since then and that nobody was let go since, however that came about,
 * and what the project says now. Loop's thread.
 *
 * who lets commits go, with async_after (with "wait": nobody, until one receives again; release and stop always do):
 * | receiver                                  | keeper lives                          | keeper is dead                         |
 * |-------------------------------------------|---------------------------------------|----------------------------------------|
 * | cannot receive (server refuses, full disk)| the receiver; the keeper, if it fails | the receiver                           |
 * | cannot open its repository                | the same: it needs none for that      | the receiver                           |
 * | died, or dies at each start               | the keeper                            | the next command's keeper              |
 * | lives, and does nothing (stopped, hung)   | the keeper; "wait": it is killed      | the next command's keeper              |
 * | was adopted, in whatever state            | the keeper, as if it had just gone    | -                                      |
 * | is not asked for any more, and is away    | the keeper, a moment later            | the next command's keeper              |
 * A receiver that was passed over is told once it streams that it may be a standby again. */
#ifndef BERTH_KEEPER_COMMIT_WATCH_H
#define BERTH_KEEPER_COMMIT_WATCH_H

#include "keeper/keeper.h"

typedef struct CommitWatch {
        Keeper *keeper;
        const char *service; /* borrowed */
        LoopCall due;        /* commits are to be let go: commit_watch_freed tells how that went */
        void *context;
        LoopTimer *timer;
        int64_t away_ns;       /* of the loop: since when nobody is known to stream; 0: somebody does */
        int64_t not_before_ns; /* of the loop */
        int64_t told_ns;       /* what the receiver's state bore when it was last seen to change */
        int64_t changed_ns;    /* when that was, of the loop */
        bool at_work, let_go;
} CommitWatch;

/* Nobody streams yet, as far as is known: an earlier receiver may have died with its keeper. */
void commit_watch_init(CommitWatch *watch, Keeper *keeper, const char *service, LoopCall due, void *context);
void commit_watch_done(CommitWatch *watch);

typedef enum ReceiverPulse {
        RECEIVER_LIVES,
        RECEIVER_HANGS,    /* it tells nothing although it should: it is as good as away */
        RECEIVER_IS_STUCK, /* for so long that it had better be killed */
} ReceiverPulse;

/* There is a receiver, which says that it streams, or not. */
ReceiverPulse commit_watch_see(CommitWatch *watch, bool streams);
/* There is none any more. */
void commit_watch_away(CommitWatch *watch);
/* The project may say something else now. */
void commit_watch_update(CommitWatch *watch);
/* < 0: they wait still; 0: they do not; 1: a receiver was there after all. */
void commit_watch_freed(CommitWatch *watch, int result);
/* How often to look at a receiver that is well: at_most_ns, or oftener where somebody counts on a short time. */
int64_t commit_watch_pause_ns(const CommitWatch *watch, int64_t at_most_ns);

#endif
