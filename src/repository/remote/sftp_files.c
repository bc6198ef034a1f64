/* What is asked of an SFTP server: files and folders. */
#include <sys/stat.h>

#include "base/mem.h"
#include "repository/remote/sftp_private.h"

#define PIECE_BYTES 32768u /* that every server takes in one packet */
#define PIECES      32u    /* on their way at a time */

/* ---- files ---- */

static int get_handle(SftpSession *session, const Strbuf *packet, const char *what, SftpHandle *ret, Error **err)
{
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        const char *bytes;
        int r = sftp_exchange(session, packet, FXP_HANDLE, what, &reply, err);

        if (r < 0)
                return r;
        bytes = sftp_get_data(&reply, &ret->length);
        if (!bytes || ret->length > sizeof(ret->bytes))
                return error_set(err, ERROR_IO, "%s gives no handle", session->where);
        memcpy(ret->bytes, bytes, ret->length);
        return 0;
}

int sftp_open(SftpSession *session, const char *path, uint32_t flags, SftpHandle *ret, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        sftp_begin(session, &packet, FXP_OPEN);
        sftp_put_text(&packet, path);
        sftp_put_u32(&packet, flags);
        sftp_put_u32(&packet, ATTR_MODE);
        sftp_put_u32(&packet, 0600);
        return get_handle(session, &packet, path, ret, err);
}

static int close_handle(SftpSession *session, const SftpHandle *handle, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        sftp_begin(session, &packet, FXP_CLOSE);
        sftp_put_data(&packet, handle->bytes, handle->length);
        return sftp_ask(session, &packet, "a file", err);
}

int sftp_close(SftpSession *session, const SftpHandle *handle, Error **err)
{
        WITH_SESSION(session);
        return close_handle(session, handle, err);
}

/* As many pieces as may be on their way; all answers are taken also where one is bad. */
static int write_pieces(SftpSession *session, const SftpHandle *handle, uint64_t offset, const char *data, size_t size,
                        Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        unsigned sent = 0;
        int r = 0;

        for (size_t at = 0; at < size; at += PIECE_BYTES, sent++) {
                sftp_begin(session, &packet, FXP_WRITE);
                sftp_put_data(&packet, handle->bytes, handle->length);
                sftp_put_u64(&packet, offset + at);
                sftp_put_data(&packet, data + at, MIN(size - at, (size_t)PIECE_BYTES));
                r = sftp_send(session, &packet, err);
                if (r < 0)
                        return r;
        }
        for (; sent; sent--) {
                int answer = sftp_receive(session, &reply, err);
                if (answer < 0)
                        return answer;
                answer = reply.type == FXP_STATUS ? sftp_judge(session, &reply, "write", err) : -ERROR_IO;
                r = r < 0 ? r : answer;
        }
        return r == -ERROR_IO ? error_set(err, ERROR_IO, "%s: a write failed", session->where) : r;
}

int sftp_write(SftpSession *session, const SftpHandle *handle, uint64_t offset, const void *data, size_t size,
               Error **err)
{
        WITH_SESSION(session);
        int r = 0;

        for (size_t at = 0; r == 0 && at < size; at += (size_t)PIECES * PIECE_BYTES)
                r = write_pieces(session, handle, offset + at, (const char *)data + at,
                                 MIN(size - at, (size_t)PIECES * PIECE_BYTES), err);
        return r;
}

static int request_read(SftpSession *session, const SftpHandle *handle, uint64_t offset, size_t size, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        sftp_begin(session, &packet, FXP_READ);
        sftp_put_data(&packet, handle->bytes, handle->length);
        sftp_put_u64(&packet, offset);
        sftp_put_u32(&packet, (uint32_t)size);
        return sftp_send(session, &packet, err);
}

/* One round: pieces from offset on are asked for at once. *ret_size: bytes up to the first piece that came short. */
static int read_round(SftpSession *session, const SftpHandle *handle, uint64_t offset, char *buffer, size_t size,
                      size_t *ret_size, bool *ret_end, Error **err)
{
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        unsigned pieces = (unsigned)((size + PIECE_BYTES - 1) / PIECE_BYTES);
        uint32_t first = session->id + 1;
        size_t got[PIECES] = { 0 };
        int r = 0;

        for (unsigned i = 0; r == 0 && i < pieces; i++)
                r = request_read(session, handle, offset + (uint64_t)i * PIECE_BYTES,
                                 MIN(size - (size_t)i * PIECE_BYTES, (size_t)PIECE_BYTES), err);
        for (unsigned n = 0; r == 0 && n < pieces; n++) {
                uint32_t piece, length;
                const char *data;

                r = sftp_receive(session, &reply, err);
                piece = reply.id - first;
                if (r < 0 || piece >= pieces)
                        return r < 0 ? r
                                     : error_set(err, ERROR_IO, "%s gives an answer that was not asked for",
                                                 session->where);
                if (reply.type == FXP_STATUS) {
                        uint32_t code = sftp_get_u32(&reply);
                        if (code == FX_EOF)
                                continue;
                        return sftp_lost(session, NULL),
                               error_set(err, ERROR_IO, "%s: a read failed (%u)", session->where, code);
                }
                data = reply.type == FXP_DATA ? sftp_get_data(&reply, &length) : NULL;
                if (!data || length > MIN(size - (size_t)piece * PIECE_BYTES, (size_t)PIECE_BYTES))
                        return error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
                memcpy(buffer + (size_t)piece * PIECE_BYTES, data, length);
                got[piece] = length;
        }
        *ret_size = 0;
        for (unsigned i = 0; i < pieces; i++) {
                *ret_size += got[i];
                if (got[i] < MIN(size - (size_t)i * PIECE_BYTES, (size_t)PIECE_BYTES)) {
                        *ret_end = got[i] == 0; /* a short piece alone is no end */
                        break;
                }
        }
        return r;
}

int sftp_read(SftpSession *session, const SftpHandle *handle, uint64_t offset, void *buffer, size_t size,
              size_t *ret_size, Error **err)
{
        WITH_SESSION(session);
        bool end = false;
        int r = 0;

        *ret_size = 0;
        while (r == 0 && !end && *ret_size < size) {
                size_t got = 0;
                r = read_round(session, handle, offset + *ret_size, (char *)buffer + *ret_size,
                               MIN(size - *ret_size, (size_t)PIECES * PIECE_BYTES), &got, &end, err);
                *ret_size += got;
        }
        return r;
}

int sftp_sync(SftpSession *session, const SftpHandle *handle, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        if (!session->can_sync)
                return 0;
        sftp_begin(session, &packet, FXP_EXTENDED);
        sftp_put_text(&packet, "fsync@openssh.com");
        sftp_put_data(&packet, handle->bytes, handle->length);
        return sftp_ask(session, &packet, "sync", err);
}

int sftp_rename(SftpSession *session, const char *from, const char *to, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        if (!session->can_replace) { /* then there is a moment without it, of objects that are small and written again */
                sftp_begin(session, &packet, FXP_REMOVE);
                sftp_put_text(&packet, to);
                sftp_ask(session, &packet, to, NULL);
        }
        sftp_begin(session, &packet, session->can_replace ? FXP_EXTENDED : FXP_RENAME);
        if (session->can_replace)
                sftp_put_text(&packet, "posix-rename@openssh.com");
        sftp_put_text(&packet, from);
        sftp_put_text(&packet, to);
        return sftp_ask(session, &packet, to, err);
}

int sftp_remove(SftpSession *session, const char *path, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        sftp_begin(session, &packet, FXP_REMOVE);
        sftp_put_text(&packet, path);
        return sftp_ask(session, &packet, path, err);
}

static int get_stat(SftpSession *session, const char *path, SftpAttributes *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        int r;

        sftp_begin(session, &packet, FXP_STAT);
        sftp_put_text(&packet, path);
        r = sftp_exchange(session, &packet, FXP_ATTRS, path, &reply, err);
        if (r == 0)
                sftp_get_attributes(&reply, ret);
        return r;
}

int sftp_stat(SftpSession *session, const char *path, SftpAttributes *ret, Error **err)
{
        WITH_SESSION(session);
        return get_stat(session, path, ret, err);
}

int sftp_make_directory(SftpSession *session, const char *path, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_error_ Error *failure = NULL;
        SftpAttributes attributes;
        int r;

        sftp_begin(session, &packet, FXP_MKDIR);
        sftp_put_text(&packet, path);
        sftp_put_u32(&packet, ATTR_MODE);
        sftp_put_u32(&packet, 0700);
        r = sftp_ask(session, &packet, path, &failure);
        if (r == 0 || (!session->lost && get_stat(session, path, &attributes, NULL) == 0 && S_ISDIR(attributes.mode)))
                return 0;
        return error_move(err, &failure, r);
}

/* ---- folders ---- */

static int list_some(SftpSession *session, const SftpHandle *handle, const char *path, SftpEntryCall call,
                     void *context, bool *ret_end, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        int r;

        sftp_begin(session, &packet, FXP_READDIR);
        sftp_put_data(&packet, handle->bytes, handle->length);
        r = sftp_send(session, &packet, err);
        if (r == 0)
                r = sftp_receive(session, &reply, err);
        if (r < 0)
                return r;
        if (reply.type == FXP_STATUS) {
                size_t at = reply.at;
                *ret_end = sftp_get_u32(&reply) == FX_EOF;
                reply.at = at;
                return *ret_end ? 0 : sftp_judge(session, &reply, path, err);
        }
        if (reply.type != FXP_NAME)
                return error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
        for (uint32_t n = sftp_get_u32(&reply); n && !reply.bad; n--) {
                _cleanup_free_ char *name = sftp_get_text(&reply), *line = sftp_get_text(&reply);
                SftpAttributes attributes;

                sftp_get_attributes(&reply, &attributes);
                if (!reply.bad && !streq(name, ".") && !streq(name, ".."))
                        call(context, name, &attributes);
        }
        return reply.bad ? error_set(err, ERROR_IO, "%s gives a list that is cut off", session->where) : 0;
}

int sftp_list(SftpSession *session, const char *path, SftpEntryCall call, void *context, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        SftpHandle handle;
        bool end = false;
        int r;

        sftp_begin(session, &packet, FXP_OPENDIR);
        sftp_put_text(&packet, path);
        r = get_handle(session, &packet, path, &handle, err);
        if (r < 0)
                return r;
        while (r == 0 && !end)
                r = list_some(session, &handle, path, call, context, &end, err);
        if (!session->lost)
                close_handle(session, &handle, NULL);
        return r;
}
