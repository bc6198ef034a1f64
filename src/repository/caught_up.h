/* caught-up.json: up to which moment the log is known to be complete though nothing came any more. A server that rests
 * sends nothing, and one that loads for hours commits nothing, so the log alone does not tell it. The receiver rewrites it
 * in place, in one write of always the same size; a lost write leaves an older moment, which is as true. */
#ifndef BERTH_REPOSITORY_CAUGHT_UP_H
#define BERTH_REPOSITORY_CAUGHT_UP_H

#include "postgres/wal_name.h"
#include "repository/repository.h"

#define CAUGHT_UP_KEY    "caught-up.json"
#define CAUGHT_UP_FORMAT 1

typedef struct CaughtUp {
        uint32_t timeline;
        Lsn lsn;       /* all that was written at at_ns lies before it, and is here */
        int64_t at_ns; /* realtime */
} CaughtUp;

/* For a repository on this machine. Not synced. */
int caught_up_write(const Repository *repository, const CaughtUp *moment, Error **err);
/* false where there is none that can be read. */
bool caught_up_read(Repository *repository, CaughtUp *ret);

#endif
