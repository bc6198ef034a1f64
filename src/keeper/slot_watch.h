/* A replication slot that nobody serves keeps the server's log up to max_slot_wal_keep_size, and is lost then; or the disk is full
 * before, and the server stops. Looked at while a receiver is away, so that somebody hears of it before. Loop's thread. */
#ifndef BERTH_KEEPER_SLOT_WATCH_H
#define BERTH_KEEPER_SLOT_WATCH_H

#include <jansson.h>

#include "keeper/keeper.h"

typedef enum SlotState { SLOT_IS_WELL, SLOT_FILLS_DISK, SLOT_IS_NEAR, SLOT_IS_LOST } SlotState;

typedef struct SlotWatch {
        SlotState state;   /* as it was told */
        int64_t looked_ns; /* of the loop; 0: never */
        bool looking;
} SlotWatch;

/* cluster: the result of the worker's job "status". */
SlotState slot_judge(const json_t *cluster);
/* Asks the server, unless that was just done. seen is called with its cluster, or not at all. */
typedef void (*SlotSeen)(Keeper *keeper, const char *service, const char *id, const json_t *cluster);
bool slot_watch_look(SlotWatch *watch, Keeper *keeper, const char *service, const char *id, bool receives,
                     SlotSeen seen);
/* Tells what is new: the log, and whom x-berth.alerts names. */
void slot_watch_tell(SlotWatch *watch, const Keeper *keeper, const char *service, const json_t *cluster);

#endif
