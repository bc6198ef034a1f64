/* What of a repository stays and what goes. A pure function over backups, log, policy and time: it reads and removes
 * nothing (prune.h does), and gives a reason for each backup.
 *
 * A policy promises points in time (keep_ns, last) and archives single backups (daily, weekly, monthly). For a promised
 * point the backup before it and the log from there on stay. An archived backup is consistent by itself: its own log is in
 * it, and the archived log behind it may go. Whatever the policy says, the newest good backup and the log behind it stay.
 *
 * Which backup is the newest the log says, not the clock; and a clock that leaps ahead by more than keep_ns makes nothing
 * expire until backups of half a day are dated by it. */
#ifndef BERTH_REPOSITORY_RETENTION_H
#define BERTH_REPOSITORY_RETENTION_H

#include "repository/backup_record.h"
#include "repository/wal_archive.h"

typedef struct RetentionPolicy {
        int64_t keep_ns; /* any moment of this long until now can be restored; 0: not promised */
        unsigned last;   /* so many newest backups, and any moment since the oldest of them */
        unsigned daily, weekly,
                monthly; /* the newest backup of each of the last so many days, weeks (ISO) and months that
                          * have one, in local time */
} RetentionPolicy;

#define RETENTION_DEFAULT_NS (INT64_C(7) * 86400 * 1000000000)

/* "7d", or {"time": "7d", "last": 3, "daily": 7, "weekly": 4, "monthly": 6}, of which each may be left out; NULL: seven days.
 * ERROR_INVALID. */
int retention_policy_parse(const json_t *value, RetentionPolicy *ret, Error **err);

typedef enum RetentionReason {
        RETENTION_EXPIRED, /* nothing needs it: the only reason to go */
        RETENTION_WINDOW,  /* within keep_ns */
        RETENTION_ANCHOR,  /* the beginning of the window, or a timeline in it, is reached from it alone */
        RETENTION_LAST,
        RETENTION_DAILY,
        RETENTION_WEEKLY,
        RETENTION_MONTHLY,
        RETENTION_NEWEST_GOOD, /* without it there were none */
        _RETENTION_REASON_MAX,
} RetentionReason;

/* "expired", "window", "anchor", …: for listings. */
const char *retention_reason_name(RetentionReason reason);

typedef struct RetentionBackup {
        const BackupRecord *record; /* borrowed */
        bool damaged;               /* known to be: it counts for nothing, but is not thrown away earlier than others */
        RetentionReason reason;     /* the result */
        bool with_log;              /* the result: the log behind its start stays */
        int64_t at_ns;              /* the result: when it was finished, as far as clocks can be believed */
} RetentionBackup;

/* A timeline of the log: how it left its ancestors, and when its last byte came. */
typedef struct RetentionTimeline {
        uint32_t timeline;
        TimelineHistory history; /* owned; empty for the first */
        int64_t last_ns;         /* 0: it has no log yet */
} RetentionTimeline;

typedef struct Retention {
        VECTOR(RetentionBackup) backups; /* oldest first, by the log */
        VECTOR(RetentionTimeline) timelines;
        bool backup_follows; /* one is about to be taken: what there is is not old because it is the last */
} Retention;

void retention_done(Retention *retention);
#define _cleanup_retention_ _cleanup_(retention_done)

/* Fills in reason and with_log of every backup. */
void retention_decide(Retention *retention, const RetentionPolicy *policy, int64_t now_ns);
/* Whether a segment may be needed by a backup that stays with its log. After retention_decide. Without any such backup
 * everything is needed: a base backup may be on its way. */
bool retention_needs_segment(const Retention *retention, const WalSegment *segment, uint32_t segment_bytes);

/* What a repository has, ready for retention_decide. list outlives *ret; damaged: ids, a strv. */
int retention_load(Repository *repository, const BackupList *list, const WalList *wal, char *const *damaged,
                   Retention *ret, Error **err);

#endif
