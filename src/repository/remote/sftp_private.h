/* A session's inside, shared by sftp_session.c (the line) and sftp_files.c (what is asked on it). */
#ifndef BERTH_REPOSITORY_REMOTE_SFTP_PRIVATE_H
#define BERTH_REPOSITORY_REMOTE_SFTP_PRIVATE_H

#include <pthread.h>

#include "base/process.h"
#include "repository/remote/sftp_packet.h"
#include "repository/remote/sftp_session.h"

struct SftpSession {
        char *where; /* for messages */
        Process process;
        int to_fd, from_fd, words_fd; /* words: what ssh says */
        uint32_t id;
        bool lost, can_sync, can_replace;
        pthread_mutex_t lock; /* of a whole exchange */
};

/* The session is over; why, in what ssh said last, which says more than a broken pipe. Always an error. */
int sftp_lost(SftpSession *session, Error **err);
/* An empty request of this type, with the session's next number. */
void sftp_begin(SftpSession *session, Strbuf *packet, uint8_t type);
int sftp_send(SftpSession *session, const Strbuf *packet, Error **err);
/* The next answer, whatever it belongs to. *ret is used again. */
int sftp_receive(SftpSession *session, SftpPacket *ret, Error **err);
/* What a status says, of which type and number were read. */
int sftp_judge(const SftpSession *session, SftpPacket *reply, const char *what, Error **err);
/* Sends and receives one; *ret is of type wanted, or a status, which is judged. */
int sftp_exchange(SftpSession *session, const Strbuf *packet, uint8_t wanted, const char *what, SftpPacket *ret,
                  Error **err);
/* The same for what is answered by a status. */
int sftp_ask(SftpSession *session, Strbuf *packet, const char *what, Error **err);

SftpSession *sftp_lock(SftpSession *session);
void sftp_unlock(SftpSession **session);
/* Nobody else speaks on the session until the block ends. */
#define WITH_SESSION(session) _cleanup_(sftp_unlock) _unused_ SftpSession *locked_ = sftp_lock(session)

#endif
