#include "repository/transfer.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"

#define PIECE_BYTES     ((size_t)1 << 20)
#define PIECES_A_SECOND 4 /* where there is a rate: so that it is even */

static size_t piece_bytes(const Transfer *transfer)
{
        size_t wanted = (size_t)MIN(transfer->max_rate / PIECES_A_SECOND, (uint64_t)PIECE_BYTES);

        return transfer->max_rate ? MAX(wanted, (size_t)1024) : PIECE_BYTES;
}

static int cancelled(Error **err)
{
        return error_set(err, ERROR_CANCELLED, "the copy was cancelled");
}

/* Until the bytes that went have had their time. */
static int wait_for_turn(Transfer *transfer, size_t sent, Error **err)
{
        int64_t now_ns = clock_monotonic_ns();

        if (!transfer->max_rate)
                return 0;
        transfer->free_ns =
                MAX(transfer->free_ns, now_ns) + (int64_t)((double)sent / (double)transfer->max_rate * NSEC_PER_SEC);
        while ((now_ns = clock_monotonic_ns()) < transfer->free_ns) {
                struct pollfd item = { .fd = transfer->progress->cancel_fd, .events = POLLIN };
                int n = poll(&item, 1, (int)MIN((transfer->free_ns - now_ns) / NSEC_PER_MSEC + 1, INT64_C(60000)));

                if (n > 0)
                        return cancelled(err);
                if (n < 0 && errno != EINTR)
                        return error_set_errno(err, errno, "poll");
        }
        return 0;
}

static int read_piece(Transfer *transfer, Storage *from, const char *key, uint64_t offset, void *buffer,
                      size_t *ret_size, Error **err)
{
        if (progress_cancelled(transfer->progress))
                return cancelled(err);
        return from->operations->read(from, key, offset, buffer, piece_bytes(transfer), ret_size, err);
}

static int send_content(Transfer *transfer, Storage *from, Storage *to, const char *key, uint64_t offset, void *buffer,
                        size_t got, StorageWriter *writer, Error **err)
{
        for (;;) {
                int r = got ? to->operations->write_add(writer, buffer, got, err) : 0;

                if (r < 0)
                        return r;
                offset += got;
                transfer->bytes += got;
                progress_bytes(transfer->progress, "copy", transfer->bytes, 0);
                r = wait_for_turn(transfer, got, err);
                if (r < 0 || got < piece_bytes(transfer))
                        return r;
                r = transfer->between ? transfer->between(transfer->context, err) : 0;
                if (r == 0)
                        r = read_piece(transfer, from, key, offset, buffer, &got, err);
                if (r < 0)
                        return r;
        }
}

int transfer_rest(Transfer *transfer, Storage *from, Storage *to, const char *key, uint64_t offset, const char *to_key,
                  Error **err)
{
        _cleanup_free_ void *buffer = xmalloc(PIECE_BYTES);
        StorageWriter *writer;
        size_t first = 0;
        int r = read_piece(transfer, from, key, offset, buffer, &first, err);

        if (r == 0)
                r = to->operations->write_begin(to, to_key, &writer, err);
        if (r < 0)
                return r;
        r = send_content(transfer, from, to, key, offset, buffer, first, writer, err);
        if (r < 0) {
                to->operations->write_abort(writer);
                return r;
        }
        return to->operations->write_commit(writer, err);
}

int transfer_object(Transfer *transfer, Storage *from, Storage *to, const char *key, Error **err)
{
        return transfer_rest(transfer, from, to, key, 0, key, err);
}
