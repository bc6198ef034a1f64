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
        const char *slot;       /* "berth_<installation>" */
        int stop_fd;            /* readable: end */
        void (*failed)(const Error *error); /* each time it has to try again; NULL */
} ReceiverOptions;

/* Returns 0 when the server's process has ended or stop_fd says so. Its state is in
 * <run>/projects/<project>/receivers/<service>.json while it runs. */
int receiver_run(const ReceiverOptions *options, Error **err);

#endif
