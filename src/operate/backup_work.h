/* A backup that is at work, as others see it: <run>/projects/<project>/backups/<service>.json, which whoever takes the backup holds
 * a lock on while it does. A process that is killed lets go of it, so that what it wrote last never counts. */
#ifndef BERTH_OPERATE_BACKUP_WORK_H
#define BERTH_OPERATE_BACKUP_WORK_H

#include <jansson.h>

#include "base/progress.h"
#include "repository/backup_record.h"
#include "state/layout.h"

/* Of a service; the caller's. */
char *backup_work_path(const Layout *layout, const char *project, const char *service);

typedef struct BackupWork {
        const WorkProgress *told;   /* whoever asked for the backup; borrowed */
        WorkProgress progress;      /* hands on to it, and notes */
        const BackupRecord *record; /* borrowed; kind may change on the way */
        int fd;                     /* -1: there is nowhere to note it, which keeps no backup from being taken */
        char *phase;
        uint64_t done, total;
        int64_t first_ns, last_ns; /* monotonic: of the first byte, and when it was written last */
} BackupWork;

/* path NULL: it is noted nowhere. Use ret->progress for the work. */
void backup_work_begin(BackupWork *ret, const char *path, const BackupRecord *record, const WorkProgress *told);
void backup_work_done(BackupWork *work);

/* {"id", "kind", "started_ns", "phase", "pid", "done_bytes", "total_bytes", "rate_bytes" (a second), "left_ns"}; what is not known
 * is left out. A new reference; NULL where none is at work. */
json_t *backup_work_look(const char *path);
/* Those of a project, or of one of its services, each with "service": a new array. */
json_t *backup_work_list(const Layout *layout, const char *project, const char *service);
/* "1.2GB of 3.4GB, 64MB a second, 35 seconds left", or the phase while there are no bytes; the caller's. */
char *backup_work_text(const json_t *work);

#endif
