/* A connection to an SFTP server: the program ssh carries it (its configuration, keys, agent and known hosts are the user's
 * own), the protocol, version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions), is spoken here. Calls block, and
 * exclude each other: several threads may share a session. A session that is lost stays so: ERROR_UNAVAILABLE. */
#ifndef BERTH_REPOSITORY_REMOTE_SFTP_SESSION_H
#define BERTH_REPOSITORY_REMOTE_SFTP_SESSION_H

#include "repository/remote/location.h"

typedef struct SftpSession SftpSession;

/* ERROR_DENIED: the host or the key is refused; ERROR_UNAVAILABLE: no way there, with ssh's own words. */
int sftp_connect(const Location *location, SftpSession **ret, Error **err);
void sftp_session_free(SftpSession *session);
DEFINE_CLEANUP(SftpSession, sftp_session_free);

typedef struct SftpAttributes {
        uint64_t size_bytes;
        uint32_t mode; /* with the kind of file; 0: not said */
        int64_t modified_s;
} SftpAttributes;

typedef struct SftpHandle {
        char bytes[256];
        uint32_t length;
} SftpHandle;

#define SFTP_READ   0x01
#define SFTP_WRITE  0x02
#define SFTP_CREATE 0x08
#define SFTP_EXCL   0x20

int sftp_open(SftpSession *session, const char *path, uint32_t flags, SftpHandle *ret, Error **err);
int sftp_close(SftpSession *session, const SftpHandle *handle, Error **err);
int sftp_write(SftpSession *session, const SftpHandle *handle, uint64_t offset, const void *data, size_t size,
               Error **err);
/* *ret_size is less than size only at the end. */
int sftp_read(SftpSession *session, const SftpHandle *handle, uint64_t offset, void *buffer, size_t size,
              size_t *ret_size, Error **err);
/* Durable on return where the server can say so (OpenSSH's can). */
int sftp_sync(SftpSession *session, const SftpHandle *handle, Error **err);
/* Replaces what is at to. */
int sftp_rename(SftpSession *session, const char *from, const char *to, Error **err);
int sftp_remove(SftpSession *session, const char *path, Error **err);
int sftp_stat(SftpSession *session, const char *path, SftpAttributes *ret, Error **err);
/* An existing folder is fine; its parent has to exist. */
int sftp_make_directory(SftpSession *session, const char *path, Error **err);
/* Calls for every entry but . and .. */
typedef void (*SftpEntryCall)(void *context, const char *name, const SftpAttributes *attributes);
int sftp_list(SftpSession *session, const char *path, SftpEntryCall call, void *context, Error **err);

#endif
