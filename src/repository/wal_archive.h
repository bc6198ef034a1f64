/* The log in a repository: wal/<timeline, 8 digits>/<segment>.zst, a zstd frame with content size and checksum; beside the
 * segments <segment>.partial, the last one as far as it was received, not compressed, synced before it was acknowledged;
 * and wal/<timeline>.history. Written by the receiver alone. */
#ifndef BERTH_REPOSITORY_WAL_ARCHIVE_H
#define BERTH_REPOSITORY_WAL_ARCHIVE_H

#include "postgres/wal_name.h"
#include "repository/repository.h"

typedef struct WalSegment {
        char name[WAL_NAME_SIZE];
        uint32_t timeline;
        Lsn start;
        bool partial;
        uint64_t stored_bytes; /* of a partial one: with its pieces */
        int64_t modified_ns; /* of its file: when its last byte came here, or something later. Says nothing of when it was written */
} WalSegment;

/* A partial segment that grows elsewhere gets more objects, "<segment>.partial-<offset, 8 digits>", each with what follows from
 * there on; those count that begin where the one before ends. On the machine of the receiver there are none. */
typedef struct WalPiece {
        char name[WAL_NAME_SIZE]; /* the segment's */
        uint32_t timeline;
        uint32_t offset;
        uint64_t size_bytes;
        bool counts;
} WalPiece;

typedef struct WalList {
        VECTOR(WalPiece) pieces;     /* by segment, then offset */
        VECTOR(WalSegment) segments; /* by timeline, then place */
        VECTOR(uint32_t) histories;  /* timelines that have a history file */
} WalList;
void wal_list_done(WalList *list);
#define _cleanup_wal_list_ _cleanup_(wal_list_done)

/* Its object; the caller's. */
char *wal_segment_key(const WalSegment *segment);
int wal_list_load(Repository *repository, uint32_t segment_bytes, WalList *ret, Error **err);

char *wal_piece_key(const WalPiece *piece);
/* Removes the segment's object, and a partial one's pieces before it. */
int wal_segment_remove(Repository *repository, const WalList *list, const WalSegment *segment, Error **err);

/* A stretch without a gap, along one timeline and its ancestors. */
typedef struct WalRange {
        Lsn start, end;   /* end: the first byte that is missing */
        int64_t end_ns;   /* of its files, the time of the youngest */
        int64_t known_ns; /* all that was written until then is in it, as the receiver noted; 0: it noted nothing of it */
        Lsn known_lsn;    /* and lies before this place */
        uint32_t timeline;           /* at its end */
        VECTOR(WalSegment) segments; /* in order; the last may be partial */
        VECTOR(uint32_t) timelines;  /* from the backup's to the last one, in order */
} WalRange;
void wal_range_done(WalRange *range);
#define _cleanup_wal_range_ _cleanup_(wal_range_done)

/* How far the log reaches without a gap from start on timeline, along target_timeline's history (0: the newest that leaves
 * timeline behind start). Where not even start is there the range is empty. ERROR_NOT_FOUND: target_timeline does not
 * descend from it. */
int wal_range_find(Repository *repository, const WalList *list, uint32_t timeline, Lsn start, uint32_t segment_bytes,
                   uint32_t target_timeline, WalRange *ret, Error **err);

/* Files a segment that came in whole: <segment>.partial, compressed, takes its place in the archive, and is then removed.
 * Streams, with less than 1 MiB of memory. May be repeated after a crash. */
int wal_file_segment(Repository *repository, const char *name, uint32_t segment_bytes, Error **err);
/* Stores a history file as it came from the server. */
int wal_store_history(Repository *repository, uint32_t timeline, const void *data, size_t size, Error **err);
int wal_read_history(Repository *repository, uint32_t timeline, TimelineHistory *ret, Error **err);
/* A segment's content, checked; a partial one is filled up with zeroes. ret holds segment_bytes. */
int wal_read_segment(Repository *repository, const char *name, uint32_t segment_bytes, void *ret, Error **err);
/* The path of <segment>.partial on this machine; the caller's. */
char *wal_partial_path(const Repository *repository, const char *name);

#endif
