/* A base backup and the log behind it, laid out as a data folder that a server can start from. Orders nobody around: who
 * starts, watches and swaps is above. */
#ifndef BERTH_OPERATE_RESTORE_H
#define BERTH_OPERATE_RESTORE_H

#include <jansson.h>

#include "base/progress.h"
#include "repository/backup_record.h"
#include "repository/rescue.h"
#include "repository/wal_archive.h"

typedef enum RestoreTargetKind {
        RESTORE_LATEST,    /* as far as the log reaches */
        RESTORE_IMMEDIATE, /* the backup's own end */
        RESTORE_TIME,
        RESTORE_LSN,
        RESTORE_NAME, /* of pg_create_restore_point */
} RestoreTargetKind;

typedef struct RestoreTarget {
        RestoreTargetKind kind;
        int64_t time_ns; /* realtime */
        Lsn lsn;
        const char *name;
        uint32_t timeline; /* 0: the newest that descends from the backup's */
} RestoreTarget;

/* "latest", "immediate", a time (clock_parse_moment), an LSN, or a name. ERROR_USAGE for an empty one. name is borrowed from text. */
int restore_target_parse(const char *text, RestoreTarget *ret, Error **err);

typedef struct RestorePlan {
        BackupRecord *backup;
        WalRange range;       /* the log that is there from the backup's start on */
        RestoreTarget target; /* timeline filled in */
        Lsn resumes;          /* there is log behind a gap after range: where it goes on; 0: range is all there is */
        int64_t until_ns;     /* the newest moment to which backup and range certainly lead */
        bool may_end; /* the log is known to be complete until the time that is wanted: nothing need be behind it */
} RestorePlan;
void restore_plan_done(RestorePlan *plan);
#define _cleanup_restore_plan_ _cleanup_(restore_plan_done)

/* Chooses the newest backup from which target can be reached (backup_id NULL), or checks that the named one can.
 * A time can be reached where the log has a commit behind it, or is known to be complete until then; where nothing at all came
 * behind it, it is RESTORE_LATEST of the plan, which ends at range.end. One of the last seconds is waited for where a receiver is at work.
 * ERROR_NOT_FOUND says which range is possible. */
int restore_plan_make(Repository *repository, const char *backup_id, const RestoreTarget *target, RestorePlan *ret,
                      Error **err);

/* Refuses what is asked for as "latest" where the log has a gap: what lies behind it would be missing without a word.
 * ERROR_NOT_FOUND says until when all is there. */
int restore_plan_check_gap(const RestorePlan *plan, const RestoreTarget *asked, Error **err);
/* For an error that damage led to: adds the newest point before it, or the backup that may do instead. Returns r. */
int restore_plan_offer(Repository *repository, const RestorePlan *plan, int r, Error **err);

#define RESTORE_OWNER UINT32_MAX

/* The settings that a restore leaves in postgresql.auto.conf until the server has been promoted; ends with NULL. */
extern const char *const restore_settings[];

typedef struct RestoreOptions {
        const char *directory; /* exists and is empty; gets the mode of a data folder */
        const char *inside;    /* where the server will see it: tablespaces lie in it and are linked by that path */
        unsigned uid, gid;     /* of every file; RESTORE_OWNER: as the server's were */
        unsigned threads;      /* 0: one for each processor, at most 4 */
        Rescue *rescue;        /* for what is damaged; NULL: damage is an error. Borrowed */
} RestoreOptions;

/* Files, the log that is needed, and the recovery settings; synced on return. ERROR_CORRUPT where anything does not match
 * its checksum: nothing in directory is then worth anything. *ret_tablespaces: those that the log makes anew when it is replayed,
 * [{"oid", "location"}]: their folders have to be there then. */
int restore_lay_out(Repository *repository, const RestorePlan *plan, const RestoreOptions *options,
                    const WorkProgress *progress, json_t **ret_tablespaces, Error **err);

#endif
