/* Whole objects from one storage to another, with progress, no faster than is wished. */
#ifndef BERTH_REPOSITORY_TRANSFER_H
#define BERTH_REPOSITORY_TRANSFER_H

#include "base/progress.h"
#include "repository/storage.h"

typedef struct Transfer {
        const WorkProgress *progress;
        uint64_t max_rate; /* bytes a second, of all objects together; 0: as fast as it goes */
        uint64_t bytes;    /* sent so far */
        int64_t free_ns;   /* when the next byte may go; monotonic */
        int (*between)(void *context,
                       Error **err); /* between two pieces: what does not wait for a large object's end; NULL */
        void *context;
} Transfer;

/* The same key there, durable and whole or not at all. ERROR_NOT_FOUND: from has it not; ERROR_CANCELLED. */
int transfer_object(Transfer *transfer, Storage *from, Storage *to, const char *key, Error **err);
/* What key has from offset on, as an object of its own. */
int transfer_rest(Transfer *transfer, Storage *from, Storage *to, const char *key, uint64_t offset, const char *to_key,
                  Error **err);

#endif
