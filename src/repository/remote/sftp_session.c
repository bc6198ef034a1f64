#include "repository/remote/sftp_session.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"

#define VERSION      3
#define PIECE_BYTES  32768u  /* that every server takes in one packet */
#define PIECES       32u     /* on their way at a time */
#define PACKET_LIMIT (1u << 20)
#define LIST_LIMIT   (4u << 20)

enum {
        FXP_INIT = 1, FXP_VERSION = 2, FXP_OPEN = 3, FXP_CLOSE = 4, FXP_READ = 5, FXP_WRITE = 6, FXP_OPENDIR = 11,
        FXP_READDIR = 12, FXP_REMOVE = 13, FXP_MKDIR = 14, FXP_STAT = 17, FXP_RENAME = 18, FXP_STATUS = 101, FXP_HANDLE = 102,
        FXP_DATA = 103, FXP_NAME = 104, FXP_ATTRS = 105, FXP_EXTENDED = 200,
};

enum { FX_OK = 0, FX_EOF = 1, FX_NO_SUCH_FILE = 2, FX_PERMISSION_DENIED = 3, FX_UNSUPPORTED = 8 };

enum { ATTR_SIZE = 1, ATTR_OWNER = 2, ATTR_MODE = 4, ATTR_TIMES = 8 };
#define ATTR_EXTENDED 0x80000000u

struct SftpSession {
        char *where;            /* for messages */
        Process process;
        int to_fd, from_fd, words_fd; /* words: what ssh says */
        uint32_t id;
        bool lost, can_sync, can_replace;
        pthread_mutex_t lock;   /* of a whole exchange */
};

/* ---- packets ---- */

static void put_u32(Strbuf *packet, uint32_t value)
{
        uint32_t big = htobe32(value);

        strbuf_add(packet, &big, sizeof(big));
}

static void put_u64(Strbuf *packet, uint64_t value)
{
        uint64_t big = htobe64(value);

        strbuf_add(packet, &big, sizeof(big));
}

static void put_data(Strbuf *packet, const void *data, size_t size)
{
        put_u32(packet, (uint32_t)size);
        strbuf_add(packet, data, size);
}

static void put_text(Strbuf *packet, const char *text)
{
        put_data(packet, text, strlen(text));
}

/* A packet that was received, as far as it was taken apart. What it does not have is zero, and bad. */
typedef struct Packet {
        Strbuf data;
        size_t at;
        uint8_t type;
        uint32_t id;
        bool bad;
} Packet;

static void packet_done(Packet *packet)
{
        strbuf_done(&packet->data);
}
#define _cleanup_packet_ _cleanup_(packet_done)

static const char *get_bytes(Packet *packet, size_t size)
{
        const char *bytes = strbuf_text(&packet->data) + packet->at;

        if (packet->bad || size > packet->data.length - packet->at) {
                packet->bad = true;
                return NULL;
        }
        packet->at += size;
        return bytes;
}

static uint32_t get_u32(Packet *packet)
{
        const char *bytes = get_bytes(packet, 4);
        uint32_t value = 0;

        if (bytes)
                memcpy(&value, bytes, 4);
        return be32toh(value);
}

static uint64_t get_u64(Packet *packet)
{
        uint64_t high = get_u32(packet);

        return high << 32 | get_u32(packet);
}

static const char *get_data(Packet *packet, uint32_t *ret_size)
{
        *ret_size = get_u32(packet);
        return get_bytes(packet, *ret_size);
}

/* The caller's. */
static char *get_text(Packet *packet)
{
        uint32_t size;
        const char *bytes = get_data(packet, &size);

        return xstrndup(bytes ? bytes : "", bytes ? size : 0);
}

static void get_attributes(Packet *packet, SftpAttributes *ret)
{
        uint32_t flags = get_u32(packet);

        *ret = (SftpAttributes){ 0 };
        if (flags & ATTR_SIZE)
                ret->size_bytes = get_u64(packet);
        if (flags & ATTR_OWNER)
                get_u64(packet);
        if (flags & ATTR_MODE)
                ret->mode = get_u32(packet);
        if (flags & ATTR_TIMES) {
                get_u32(packet);
                ret->modified_s = get_u32(packet);
        }
        for (uint32_t n = flags & ATTR_EXTENDED ? get_u32(packet) : 0; n && !packet->bad; n--) {
                free(get_text(packet));
                free(get_text(packet));
        }
}

/* ---- the line ---- */

/* What ssh said last, which says more than a broken pipe. */
static int lost(SftpSession *session, Error **err)
{
        _cleanup_strbuf_ Strbuf words = STRBUF_INIT;
        char *text, *line;
        int r;

        session->lost = true;
        if (session->process.pid > 0)
                process_kill(&session->process);
        session->process.pid = 0;
        lseek(session->words_fd, 0, SEEK_SET);
        fs_read_fd(session->words_fd, 65536, &words, NULL);
        while (words.length && strchr("\r\n", words.data[words.length - 1]))
                strbuf_truncate(&words, words.length - 1);
        text = strbuf_take(&words);
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        if (strstr(text, "Host key verification failed") || strstr(text, "REMOTE HOST IDENTIFICATION HAS CHANGED")) {
                r = error_set(err, ERROR_DENIED, "%s: %s", session->where, "its host key is not known, or is another one");
                error_hint(err, r, "Connect once by hand and compare the key, or give a file of known hosts.");
        } else if (strstr(text, "Permission denied")) {
                r = error_set(err, ERROR_DENIED, "%s: %s", session->where, line);
                error_hint(err, r, "Give the private key that the account accepts; passwords are not asked for.");
        } else {
                r = error_set(err, ERROR_UNAVAILABLE, "%s: %s", session->where, *line ? line : "the connection was lost");
        }
        free(text);
        return r;
}

static int send_packet(SftpSession *session, const Strbuf *packet, Error **err)
{
        _cleanup_strbuf_ Strbuf framed = STRBUF_INIT;

        if (session->lost)
                return error_set(err, ERROR_UNAVAILABLE, "%s: the connection was lost", session->where);
        put_data(&framed, strbuf_text(packet), packet->length);
        return fs_write_all(session->to_fd, strbuf_text(&framed), framed.length, NULL) < 0 ? lost(session, err) : 0;
}

static bool read_exactly(int fd, void *buffer, size_t size)
{
        for (size_t got = 0; got < size;) {
                ssize_t n = read(fd, (char *)buffer + got, size - got);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                got += (size_t)n;
        }
        return true;
}

static int receive(SftpSession *session, Packet *ret, Error **err)
{
        uint32_t size;

        if (!read_exactly(session->from_fd, &size, sizeof(size)))
                return lost(session, err);
        size = be32toh(size);
        if (size < 1 || size > PACKET_LIMIT) {
                lost(session, NULL);
                return error_set(err, ERROR_IO, "%s does not speak SFTP", session->where);
        }
        strbuf_truncate(&ret->data, 0);
        strbuf_reserve(&ret->data, size + 1);
        if (!read_exactly(session->from_fd, ret->data.data, size))
                return lost(session, err);
        ret->data.length = size;
        ret->data.data[size] = '\0';
        ret->type = (uint8_t)ret->data.data[0];
        ret->at = 1;
        ret->bad = false;
        ret->id = ret->type == FXP_VERSION ? 0 : get_u32(ret);
        return 0;
}

static void begin(SftpSession *session, Strbuf *packet, uint8_t type)
{
        strbuf_truncate(packet, 0);
        strbuf_addc(packet, (char)type);
        put_u32(packet, ++session->id);
}

/* ---- answers ---- */

static int judge(const SftpSession *session, Packet *reply, const char *what, Error **err)
{
        uint32_t code = get_u32(reply);
        _cleanup_free_ char *message = get_text(reply);

        switch (code) {
        case FX_OK:
                return 0;
        case FX_NO_SUCH_FILE:
                return error_set(err, ERROR_NOT_FOUND, "\"%s\" is not there (%s)", what, session->where);
        case FX_PERMISSION_DENIED:
                return error_set(err, ERROR_DENIED, "\"%s\" is refused (%s)", what, session->where);
        case FX_UNSUPPORTED:
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\": the server cannot do that (%s)", what, session->where);
        default:
                return error_set(err, ERROR_IO, "\"%s\": %s (%s)", what, *message ? message : "it failed", session->where);
        }
}

/* Sends and receives one; *ret is of type wanted, or a status, which is judged. */
static int exchange(SftpSession *session, const Strbuf *packet, uint8_t wanted, const char *what, Packet *ret, Error **err)
{
        int r = send_packet(session, packet, err);

        if (r == 0)
                r = receive(session, ret, err);
        if (r < 0)
                return r;
        if (ret->type == FXP_STATUS && (wanted != FXP_STATUS || ret->id == session->id)) {
                r = judge(session, ret, what, err);
                if (r < 0 || wanted == FXP_STATUS)
                        return r;
        }
        if (ret->type == wanted && ret->id == session->id)
                return 0;
        return error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
}

/* The same under the lock, for requests that are a path and answer with a status. */
static int simple(SftpSession *session, Strbuf *packet, const char *what, Error **err)
{
        _cleanup_packet_ Packet reply = { 0 };

        return exchange(session, packet, FXP_STATUS, what, &reply, err);
}

static SftpSession *lock_session(SftpSession *session)
{
        pthread_mutex_lock(&session->lock);
        return session;
}

static void unlock_session(SftpSession **session)
{
        pthread_mutex_unlock(&(*session)->lock);
}
#define WITH_SESSION(session) _cleanup_(unlock_session) _unused_ SftpSession *locked_ = lock_session(session)

/* ---- beginning and end ---- */

static int start_ssh(SftpSession *session, const Location *location, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("ssh", "-oBatchMode=yes", "-oConnectTimeout=15", "-oServerAliveInterval=15",
                                              "-oServerAliveCountMax=4", "-oClearAllForwardings=yes", NULL);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        int to[2], from[2], r;

        if (location->port)
                strv_addf(&argv, "-p%d", location->port);
        if (location->user)
                strv_addf(&argv, "-l%s", location->user);
        if (location->identity_file) {
                strv_addf(&argv, "-i%s", location->identity_file);
                strv_add(&argv, "-oIdentitiesOnly=yes");
        }
        if (location->known_hosts_file)
                strv_addf(&argv, "-oUserKnownHostsFile=%s", location->known_hosts_file);
        strv_add(&argv, "-s");
        strv_add(&argv, "--");
        strv_add(&argv, location->host);
        strv_add(&argv, "sftp");
        session->words_fd = memfd_create("berth-ssh", MFD_CLOEXEC);
        if (session->words_fd < 0 || pipe2(to, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "pipe to ssh");
        if (pipe2(from, O_CLOEXEC) < 0) {
                r = error_set_errno(err, errno, "pipe to ssh");
                fs_close(to[0]);
                fs_close(to[1]);
                return r;
        }
        spec.argv = argv;
        spec.stdin_fd = to[0];
        spec.stdout_fd = from[1];
        spec.stderr_fd = session->words_fd;
        spec.die_with_parent = true;
        session->to_fd = to[1];
        session->from_fd = from[0];
        r = process_spawn(&spec, &session->process, err);
        fs_close(to[0]);
        fs_close(from[1]);
        return error_hint(err, r, "Install OpenSSH's client.");
}

static int greet(SftpSession *session, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_packet_ Packet reply = { 0 };
        int r;

        strbuf_addc(&packet, FXP_INIT);
        put_u32(&packet, VERSION);
        r = send_packet(session, &packet, err);
        if (r == 0)
                r = receive(session, &reply, err);
        if (r < 0)
                return r;
        if (reply.type != FXP_VERSION || get_u32(&reply) < VERSION)
                return error_set(err, ERROR_UNSUPPORTED, "%s does not speak SFTP version 3", session->where);
        while (reply.at < reply.data.length && !reply.bad) {
                _cleanup_free_ char *name = get_text(&reply), *value = get_text(&reply);
                session->can_sync |= streq(name, "fsync@openssh.com");
                session->can_replace |= streq(name, "posix-rename@openssh.com");
        }
        return 0;
}

int sftp_connect(const Location *location, SftpSession **ret, Error **err)
{
        _cleanup_(sftp_session_freep) SftpSession *session = xnew(SftpSession);
        int r;

        *session = (SftpSession){ .where = xasprintf("sftp server %s", location->host), .process = { 0, -1 },
                                  .to_fd = -1, .from_fd = -1, .words_fd = -1 };
        pthread_mutex_init(&session->lock, NULL);
        r = start_ssh(session, location, err);
        if (r == 0)
                r = greet(session, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(session);
        return 0;
}

void sftp_session_free(SftpSession *session)
{
        if (!session)
                return;
        fs_close(session->to_fd);
        fs_close(session->from_fd);
        if (session->process.pid > 0)
                process_kill(&session->process);
        fs_close(session->words_fd);
        pthread_mutex_destroy(&session->lock);
        free(session->where);
        free(session);
}

/* ---- files ---- */

static int get_handle(SftpSession *session, const Strbuf *packet, const char *what, SftpHandle *ret, Error **err)
{
        _cleanup_packet_ Packet reply = { 0 };
        const char *bytes;
        int r = exchange(session, packet, FXP_HANDLE, what, &reply, err);

        if (r < 0)
                return r;
        bytes = get_data(&reply, &ret->length);
        if (!bytes || ret->length > sizeof(ret->bytes))
                return error_set(err, ERROR_IO, "%s gives no handle", session->where);
        memcpy(ret->bytes, bytes, ret->length);
        return 0;
}

int sftp_open(SftpSession *session, const char *path, uint32_t flags, SftpHandle *ret, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        begin(session, &packet, FXP_OPEN);
        put_text(&packet, path);
        put_u32(&packet, flags);
        put_u32(&packet, ATTR_MODE);
        put_u32(&packet, 0600);
        return get_handle(session, &packet, path, ret, err);
}

static int close_handle(SftpSession *session, const SftpHandle *handle, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        begin(session, &packet, FXP_CLOSE);
        put_data(&packet, handle->bytes, handle->length);
        return simple(session, &packet, "a file", err);
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
        _cleanup_packet_ Packet reply = { 0 };
        unsigned sent = 0;
        int r = 0;

        for (size_t at = 0; at < size; at += PIECE_BYTES, sent++) {
                begin(session, &packet, FXP_WRITE);
                put_data(&packet, handle->bytes, handle->length);
                put_u64(&packet, offset + at);
                put_data(&packet, data + at, MIN(size - at, (size_t)PIECE_BYTES));
                r = send_packet(session, &packet, err);
                if (r < 0)
                        return r;
        }
        for (; sent; sent--) {
                int answer = receive(session, &reply, err);
                if (answer < 0)
                        return answer;
                answer = reply.type == FXP_STATUS ? judge(session, &reply, "write", err) : -ERROR_IO;
                r = r < 0 ? r : answer;
        }
        return r == -ERROR_IO ? error_set(err, ERROR_IO, "%s: a write failed", session->where) : r;
}

int sftp_write(SftpSession *session, const SftpHandle *handle, uint64_t offset, const void *data, size_t size, Error **err)
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

        begin(session, &packet, FXP_READ);
        put_data(&packet, handle->bytes, handle->length);
        put_u64(&packet, offset);
        put_u32(&packet, (uint32_t)size);
        return send_packet(session, &packet, err);
}

/* One round: pieces from offset on are asked for at once. *ret_size: bytes up to the first piece that came short. */
static int read_round(SftpSession *session, const SftpHandle *handle, uint64_t offset, char *buffer, size_t size,
                      size_t *ret_size, bool *ret_end, Error **err)
{
        _cleanup_packet_ Packet reply = { 0 };
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

                r = receive(session, &reply, err);
                piece = reply.id - first;
                if (r < 0 || piece >= pieces)
                        return r < 0 ? r : error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
                if (reply.type == FXP_STATUS) {
                        uint32_t code = get_u32(&reply);
                        if (code == FX_EOF)
                                continue;
                        return lost(session, NULL), error_set(err, ERROR_IO, "%s: a read failed (%u)", session->where, code);
                }
                data = reply.type == FXP_DATA ? get_data(&reply, &length) : NULL;
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

int sftp_read(SftpSession *session, const SftpHandle *handle, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
              Error **err)
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
        begin(session, &packet, FXP_EXTENDED);
        put_text(&packet, "fsync@openssh.com");
        put_data(&packet, handle->bytes, handle->length);
        return simple(session, &packet, "sync", err);
}

int sftp_rename(SftpSession *session, const char *from, const char *to, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        if (!session->can_replace) { /* then there is a moment without it, of objects that are small and written again */
                begin(session, &packet, FXP_REMOVE);
                put_text(&packet, to);
                simple(session, &packet, to, NULL);
        }
        begin(session, &packet, session->can_replace ? FXP_EXTENDED : FXP_RENAME);
        if (session->can_replace)
                put_text(&packet, "posix-rename@openssh.com");
        put_text(&packet, from);
        put_text(&packet, to);
        return simple(session, &packet, to, err);
}

int sftp_remove(SftpSession *session, const char *path, Error **err)
{
        WITH_SESSION(session);
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;

        begin(session, &packet, FXP_REMOVE);
        put_text(&packet, path);
        return simple(session, &packet, path, err);
}

static int get_stat(SftpSession *session, const char *path, SftpAttributes *ret, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_packet_ Packet reply = { 0 };
        int r;

        begin(session, &packet, FXP_STAT);
        put_text(&packet, path);
        r = exchange(session, &packet, FXP_ATTRS, path, &reply, err);
        if (r == 0)
                get_attributes(&reply, ret);
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

        begin(session, &packet, FXP_MKDIR);
        put_text(&packet, path);
        put_u32(&packet, ATTR_MODE);
        put_u32(&packet, 0700);
        r = simple(session, &packet, path, &failure);
        if (r == 0 || (!session->lost && get_stat(session, path, &attributes, NULL) == 0 && S_ISDIR(attributes.mode)))
                return 0;
        return error_move(err, &failure, r);
}

/* ---- folders ---- */

static int list_some(SftpSession *session, const SftpHandle *handle, const char *path, SftpEntryCall call, void *context,
                     bool *ret_end, Error **err)
{
        _cleanup_strbuf_ Strbuf packet = STRBUF_INIT;
        _cleanup_packet_ Packet reply = { 0 };
        int r;

        begin(session, &packet, FXP_READDIR);
        put_data(&packet, handle->bytes, handle->length);
        r = send_packet(session, &packet, err);
        if (r == 0)
                r = receive(session, &reply, err);
        if (r < 0)
                return r;
        if (reply.type == FXP_STATUS) {
                size_t at = reply.at;
                *ret_end = get_u32(&reply) == FX_EOF;
                reply.at = at;
                return *ret_end ? 0 : judge(session, &reply, path, err);
        }
        if (reply.type != FXP_NAME)
                return error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
        for (uint32_t n = get_u32(&reply); n && !reply.bad; n--) {
                _cleanup_free_ char *name = get_text(&reply), *line = get_text(&reply);
                SftpAttributes attributes;

                get_attributes(&reply, &attributes);
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

        begin(session, &packet, FXP_OPENDIR);
        put_text(&packet, path);
        r = get_handle(session, &packet, path, &handle, err);
        if (r < 0)
                return r;
        while (r == 0 && !end)
                r = list_some(session, &handle, path, call, context, &end, err);
        if (!session->lost)
                close_handle(session, &handle, NULL);
        return r;
}
