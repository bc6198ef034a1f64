/* A first start that is under way, as it is seen on disk: the folder .berth-init inside the data folder. While it is
 * there, what lies beside it is worth nothing, and the next start throws it away and begins anew; it disappears, after
 * everything has been synced, as the last step. Its file "state" names the WAL folder outside, which goes with it. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_STAGE_H
#define BERTH_POSTGRES_ENTRYPOINT_STAGE_H

#include "base/error.h"

#define STAGE_NAME ".berth-init"

typedef struct Stage {
        char *data_dir;  /* final place */
        char *build_dir; /* <data_dir>/.berth-init/data: where initdb writes */
        char *waldir;    /* NULL */
        int lock_fd;     /* held until the end: two containers on one volume do not meet */
} Stage;

/* True where an earlier first start did not finish. */
bool stage_is_unfinished(const char *data_dir);
/* Removes what an unfinished first start left. ERROR_CONFLICT where another one is at work in it right now. */
int stage_clear(const char *data_dir, Error **err);

/* Makes the marker, durably. ERROR_EXISTS where the data folder holds something else. */
int stage_begin(const char *data_dir, const char *waldir, Stage *ret, Error **err);
/* Moves what was built into its final place, PG_VERSION last. */
int stage_move(Stage *stage, Error **err);
/* Everything is on disk: the marker goes. */
int stage_finish(Stage *stage, Error **err);
/* It failed: the data folder is emptied again. */
void stage_abandon(Stage *stage);
void stage_done(Stage *stage);
#define _cleanup_stage_ _cleanup_(stage_done)

#endif
