/* The tar archives that a PostgreSQL server sends (ustar, with GNU's base-256 sizes; tar.c), taken apart as they come. No
 * libarchive: the server's form is narrow, and what is not in it is refused. */
#ifndef BERTH_POSTGRES_TAR_STREAM_H
#define BERTH_POSTGRES_TAR_STREAM_H

#include "base/error.h"

typedef struct TarEntry {
        char type; /* 'f', 'd', 'l' */
        unsigned mode, uid, gid;
        int64_t mtime;
        uint64_t size_bytes;
        char path[256]; /* as sent, without a leading "./" or trailing '/'; checked: relative, no ".." */
        char target[101];
} TarEntry;

typedef struct TarStream {
        void *context;
        int (*entry)(void *context, const TarEntry *entry, Error **err);
        int (*content)(void *context, const char *data, size_t size, Error **err);
        int (*entry_end)(void *context, Error **err); /* of files, empty ones too */
        /* the parser's own */
        char header[512];
        size_t header_length;
        uint64_t left, padding;
        bool in_file;
} TarStream;

/* Pieces of any size. ERROR_CORRUPT where it is no such archive. */
int tar_stream_add(TarStream *stream, const char *data, size_t size, Error **err);
/* At an archive's end: ERROR_CORRUPT where it ends in the middle. Ready for the next one then. */
int tar_stream_end(TarStream *stream, Error **err);

#endif
