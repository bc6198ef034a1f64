/* A receiver that does not receive though its server answers tells nobody by itself, and tries for ever: a repository that it
 * must not write to, a server that refuses it. After a minute of that somebody hears of it. Loop's thread. */
#ifndef BERTH_KEEPER_RECEIVER_WATCH_H
#define BERTH_KEEPER_RECEIVER_WATCH_H

#include "keeper/keeper.h"

typedef struct ReceiverWatch {
        int64_t since_ns; /* of the loop: it has not received since; 0: it does */
        bool told;
} ReceiverWatch;

/* As it was just seen, any number of times. Tells what is new: the log, and whom x-berth.alerts names. */
void receiver_watch_see(ReceiverWatch *watch, const Keeper *keeper, const char *service, bool receives);

#endif
