/* The receiver of one server's log: holds a slot, streams, syncs before it acknowledges, files complete segments. It lives
 * as long as the server's process and reconnects while that lives; the program is receiver_main.c. */
#ifndef BERTH_OPERATE_RECEIVER_H
#define BERTH_OPERATE_RECEIVER_H

#include "postgres/connect.h"
#include "state/layout.h"

typedef struct ReceiverOptions {
        const Layout *layout;
        PostgresTarget target;
        const char *project, *service;
        const char *slot;       /* "berth_<installation>"; what it calls itself as a standby too */
        bool synchronous;       /* commits wait for it */
        int64_t async_after_ns; /* and do so no longer when it has not streamed for this time; -1: they wait */
        int signal_fd;          /* a signalfd: SIGTERM, SIGINT: end; SIGUSR1: be no synchronous standby until SIGUSR2 */
        void (*failed)(const Error *error); /* each time it has to try again; NULL */
} ReceiverOptions;

/* Returns 0 when the server's process has ended or a signal says so: then commits do not wait for it any more. Its state is in
 * <run>/projects/<project>/receivers/<service>.json while it runs. */
int receiver_run(const ReceiverOptions *options, Error **err);

#endif
