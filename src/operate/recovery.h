/* A restored server while it recovers: watched until it has been promoted, then made an ordinary one again. */
#ifndef BERTH_OPERATE_RECOVERY_H
#define BERTH_OPERATE_RECOVERY_H

#include "base/progress.h"
#include "postgres/connect.h"
#include "postgres/wal_name.h"

typedef struct RecoveryWatch {
        PostgresTarget target; /* by pid */
        const char *slot;      /* made when it is promoted, so that nothing of its log is lost; NULL: none */
        int stall_ms;          /* ERROR_TIMEOUT names the place where nothing has moved for so long */
} RecoveryWatch;

/* Blocks. ERROR_FAILED: the server ended before it was up: its log says why. The settings of the recovery are taken out of
 * it, and it is checkpointed. *ret_end: where its new timeline begins. */
int recovery_await(const RecoveryWatch *watch, const WorkProgress *progress, Lsn *ret_end, Error **err);

#endif
