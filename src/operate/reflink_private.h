/* Parts of reflink_copy. */
#ifndef BERTH_OPERATE_REFLINK_PRIVATE_H
#define BERTH_OPERATE_REFLINK_PRIVATE_H

#include "operate/reflink.h"
#include "postgres/wal_name.h"

typedef struct Reflinking {
        const ReflinkCopy *copy;
        const WorkProgress *progress;
        int from_fd, to_fd; /* data folders */
        unsigned uid, gid;  /* of the data folder */
        uint64_t files;
} Reflinking;

/* ---- reflink_files.c ---- */

/* Opens both data folders, and tries whether the file system shares blocks between them. */
int reflink_open(Reflinking *work, Error **err);
void reflink_close(Reflinking *work);
/* All but the log and pg_control. */
int reflink_data(Reflinking *work, Error **err);
/* After everything else: what is in it is not older than any file. */
int reflink_control(Reflinking *work, Error **err);
/* The segments with these bytes, and the histories. ERROR_NOT_FOUND: one has gone already. */
int reflink_log(Reflinking *work, uint32_t timeline, Lsn start, Lsn end, uint32_t segment_bytes, Error **err);
/* A file of the copy's data folder. */
int reflink_put(const Reflinking *work, const char *name, const char *text, Error **err);

#endif
