#include "repository/remote/sftp_session.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/remote/sftp_private.h"

#define VERSION      3
#define PACKET_LIMIT (1u << 20)

int sftp_lost(SftpSession *session, Error **err)
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
                r = error_set(err, ERROR_DENIED, "%s: %s", session->where,
                              "its host key is not known, or is another one");
                error_hint(err, r, "Connect once by hand and compare the key, or give a file of known hosts.");
        } else if (strstr(text, "Permission denied")) {
                r = error_set(err, ERROR_DENIED, "%s: %s", session->where, line);
                error_hint(err, r, "Give the private key that the account accepts; passwords are not asked for.");
        } else {
                r = error_set(err, ERROR_UNAVAILABLE, "%s: %s", session->where,
                              *line ? line : "the connection was lost");
        }
        free(text);
        return r;
}

int sftp_send(SftpSession *session, const Strbuf *packet, Error **err)
{
        _cleanup_strbuf_ Strbuf framed = STRBUF_INIT;

        if (session->lost)
                return error_set(err, ERROR_UNAVAILABLE, "%s: the connection was lost", session->where);
        sftp_put_data(&framed, strbuf_text(packet), packet->length);
        return fs_write_all(session->to_fd, strbuf_text(&framed), framed.length, NULL) < 0 ? sftp_lost(session, err)
                                                                                           : 0;
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

int sftp_receive(SftpSession *session, SftpPacket *ret, Error **err)
{
        uint32_t size;

        if (!read_exactly(session->from_fd, &size, sizeof(size)))
                return sftp_lost(session, err);
        size = be32toh(size);
        if (size < 1 || size > PACKET_LIMIT) {
                sftp_lost(session, NULL);
                return error_set(err, ERROR_IO, "%s does not speak SFTP", session->where);
        }
        strbuf_truncate(&ret->data, 0);
        strbuf_reserve(&ret->data, size + 1);
        if (!read_exactly(session->from_fd, ret->data.data, size))
                return sftp_lost(session, err);
        ret->data.length = size;
        ret->data.data[size] = '\0';
        ret->type = (uint8_t)ret->data.data[0];
        ret->at = 1;
        ret->bad = false;
        ret->id = ret->type == FXP_VERSION ? 0 : sftp_get_u32(ret);
        return 0;
}

void sftp_begin(SftpSession *session, Strbuf *packet, uint8_t type)
{
        strbuf_truncate(packet, 0);
        strbuf_addc(packet, (char)type);
        sftp_put_u32(packet, ++session->id);
}

/* ---- answers ---- */

int sftp_judge(const SftpSession *session, SftpPacket *reply, const char *what, Error **err)
{
        uint32_t code = sftp_get_u32(reply);
        _cleanup_free_ char *message = sftp_get_text(reply);

        switch (code) {
        case FX_OK:
                return 0;
        case FX_NO_SUCH_FILE:
                return error_set(err, ERROR_NOT_FOUND, "\"%s\" is not there (%s)", what, session->where);
        case FX_PERMISSION_DENIED:
                return error_set(err, ERROR_DENIED, "\"%s\" is refused (%s)", what, session->where);
        case FX_UNSUPPORTED:
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\": the server cannot do that (%s)", what,
                                 session->where);
        default:
                return error_set(err, ERROR_IO, "\"%s\": %s (%s)", what, *message ? message : "it failed",
                                 session->where);
        }
}

int sftp_exchange(SftpSession *session, const Strbuf *packet, uint8_t wanted, const char *what, SftpPacket *ret,
                  Error **err)
{
        int r = sftp_send(session, packet, err);

        if (r == 0)
                r = sftp_receive(session, ret, err);
        if (r < 0)
                return r;
        if (ret->type == FXP_STATUS && (wanted != FXP_STATUS || ret->id == session->id)) {
                r = sftp_judge(session, ret, what, err);
                if (r < 0 || wanted == FXP_STATUS)
                        return r;
        }
        if (ret->type == wanted && ret->id == session->id)
                return 0;
        return error_set(err, ERROR_IO, "%s gives an answer that was not asked for", session->where);
}

int sftp_ask(SftpSession *session, Strbuf *packet, const char *what, Error **err)
{
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };

        return sftp_exchange(session, packet, FXP_STATUS, what, &reply, err);
}

SftpSession *sftp_lock(SftpSession *session)
{
        pthread_mutex_lock(&session->lock);
        return session;
}

void sftp_unlock(SftpSession **session)
{
        pthread_mutex_unlock(&(*session)->lock);
}

/* ---- beginning and end ---- */

static int start_ssh(SftpSession *session, const Location *location, Error **err)
{
        _cleanup_strv_ char **argv =
                strv_new("ssh", "-oBatchMode=yes", "-oConnectTimeout=15", "-oServerAliveInterval=15",
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
        _cleanup_sftp_packet_ SftpPacket reply = { 0 };
        int r;

        strbuf_addc(&packet, FXP_INIT);
        sftp_put_u32(&packet, VERSION);
        r = sftp_send(session, &packet, err);
        if (r == 0)
                r = sftp_receive(session, &reply, err);
        if (r < 0)
                return r;
        if (reply.type != FXP_VERSION || sftp_get_u32(&reply) < VERSION)
                return error_set(err, ERROR_UNSUPPORTED, "%s does not speak SFTP version 3", session->where);
        while (reply.at < reply.data.length && !reply.bad) {
                _cleanup_free_ char *name = sftp_get_text(&reply), *value = sftp_get_text(&reply);
                session->can_sync |= streq(name, "fsync@openssh.com");
                session->can_replace |= streq(name, "posix-rename@openssh.com");
        }
        return 0;
}

int sftp_connect(const Location *location, SftpSession **ret, Error **err)
{
        _cleanup_(sftp_session_freep) SftpSession *session = xnew(SftpSession);
        int r;

        *session = (SftpSession){ .where = xasprintf("sftp server %s", location->host),
                                  .process = { 0, -1 },
                                  .to_fd = -1,
                                  .from_fd = -1,
                                  .words_fd = -1 };
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
