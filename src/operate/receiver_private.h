/* Parts of the receiver. */
#ifndef BERTH_OPERATE_RECEIVER_PRIVATE_H
#define BERTH_OPERATE_RECEIVER_PRIVATE_H

#include <jansson.h>

#include "operate/receiver.h"
#include "postgres/replication.h"
#include "repository/caught_up.h"
#include "repository/wal_archive.h"

/* ---- receiver_segment.c: the segment in work ---- */

typedef struct SegmentFile {
        char name[WAL_NAME_SIZE];
        Lsn start;
        int fd; /* -1: none */
} SegmentFile;

/* Opens (and keeps what is in) <segment>.partial. */
int segment_open(SegmentFile *segment, const Repository *repository, uint32_t timeline, Lsn start,
                 uint32_t segment_bytes, Error **err);
int segment_write(const SegmentFile *segment, Lsn at, const char *data, size_t size, Error **err);
int segment_sync(const SegmentFile *segment, Error **err);
void segment_close(SegmentFile *segment);

/* ---- receiver_filer.c: a thread that compresses whole segments ---- */

typedef struct Filer Filer;

int filer_create(Repository *repository, uint32_t segment_bytes, Filer **ret, Error **err);
/* Ends it after what was posted. Accepts NULL. */
void filer_free(Filer *filer);
DEFINE_CLEANUP(Filer, filer_free);
void filer_post(Filer *filer, const char *name);
/* Whole segments that a crash left unfiled; removes partial ones that are filed already. */
int filer_take_over(Filer *filer, Error **err);
/* The last error that filing met, and forgets it; 0: none. */
int filer_error(Filer *filer, Error **err);

/* ---- receiver_pulse.c: moments at which nothing was missing ---- */

typedef struct Pulse {
        int64_t asked_ns;  /* monotonic */
        int64_t open_ns;   /* realtime of the question that is not answered yet; 0: none */
        Lsn before;        /* what the last answer said */
        int64_t before_ns; /* when that was asked; 0: nothing is known, or something came since */
        CaughtUp busy;     /* of what came: waits to be synced; lsn 0: nothing does */
        int64_t busy_ns;   /* at_ns of the last that was told */
} Pulse;

/* Something came, or another connection begins. */
void pulse_forget(Pulse *pulse);
int64_t pulse_due_in_ns(const Pulse *pulse);
void pulse_asked(Pulse *pulse);
/* True where it says something: *ret has lsn and at_ns. */
bool pulse_answered(Pulse *pulse, Lsn server, CaughtUp *ret);
/* What came was all that the server had synced when it sent it, at sent_ns. */
void pulse_came(Pulse *pulse, Lsn server, int64_t sent_ns);
/* All before flushed is synced. True about every second where that says something. */
bool pulse_synced(Pulse *pulse, Lsn flushed, CaughtUp *ret);

/* ---- receiver_synchronous.c ---- */

typedef enum SynchronousState {
        SYNCHRONOUS_OFF,     /* not asked for */
        SYNCHRONOUS_WAITING, /* it does not stream, or lacks something */
        SYNCHRONOUS_ON,
        SYNCHRONOUS_REFUSED, /* a setting of the user's is in the way */
        SYNCHRONOUS_PAUSED,  /* as SIGUSR1 said */
} SynchronousState;

typedef struct Synchronous {
        const ReceiverOptions *options;
        SynchronousState state;
        bool paused;
        bool let_go;               /* by us, since it was last switched on: certainly not on */
        char *message;             /* why it is not on; NULL */
        int64_t retry_ns, down_ns; /* monotonic; down_ns: since when it does not stream; 0: it does */
} Synchronous;

const char *synchronous_state_name(SynchronousState state);
void synchronous_init(Synchronous *synchronous, const ReceiverOptions *options);
bool synchronous_is_wanted(const Synchronous *synchronous);
/* A new connection, or a word from the keeper: what was set before may have been taken back meanwhile, and is looked at anew. */
void synchronous_look_anew(Synchronous *synchronous);
/* It streams and has all: switches it on where that is wanted. true: the state has changed. */
bool synchronous_streams(Synchronous *synchronous, const char *repository_path);
/* It does not stream: after async_after_ns commits stop waiting. Nanoseconds until then; INT64_MAX: not at all. */
int64_t synchronous_is_down(Synchronous *synchronous, const char *repository_path);
/* Takes the setting back where it is ours, also without a repository: repository_path may be NULL. 0: it is so. */
int synchronous_end(Synchronous *synchronous, const char *repository_path, Error **err);

/* ---- receiver_start.c: where to begin ---- */

typedef struct ReceiverStart {
        uint32_t timeline;
        Lsn start; /* of a segment */
        bool gap;  /* the log before it is lost: a new base backup is needed */
} ReceiverStart;

/* Limits and makes the slot, fetches histories, and finds the first segment that the repository lacks. removed: the server has
 * said that it does not have that one any more. */
int receiver_find_start(const ReceiverOptions *options, PGconn *connection, const ServerIdentity *identity,
                        Repository *repository, bool removed, ReceiverStart *ret, Error **err);

/* ---- receiver_state.c: what others are told ---- */

typedef struct ReceiverState {
        const char *phase; /* "connecting", "streaming", "failed" */
        uint32_t timeline;
        Lsn received, flushed, server;
        int64_t received_ns;  /* realtime of the last byte */
        int64_t caught_up_ns; /* nothing was missing then; 0: never yet */
        int64_t gap_ns;       /* when a part of the log was found lost; 0: nothing is */
        char *message;        /* why it failed; NULL */
        int64_t told_ns;      /* monotonic */
        const Synchronous *synchronous;
} ReceiverState;

/* Writes the file when something changed and the last time is a while ago, or now. */
void receiver_state_tell(ReceiverState *state, const ReceiverOptions *options, const Repository *repository, bool now);
/* What is asked of it, for comparison with what is wanted: {"synchronous", "async_after_ns"}. */
json_t *receiver_wish(bool synchronous, int64_t async_after_ns);
char *receiver_state_path(const ReceiverOptions *options);

#endif
