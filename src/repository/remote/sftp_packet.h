/* SFTP's packets, version 3 (draft-ietf-secsh-filexfer-02): numbers, and texts behind their length, all big-endian. Pure. */
#ifndef BERTH_REPOSITORY_REMOTE_SFTP_PACKET_H
#define BERTH_REPOSITORY_REMOTE_SFTP_PACKET_H

#include <stdint.h>

#include "base/strbuf.h"
#include "repository/remote/sftp_session.h"

enum {
        FXP_INIT = 1,
        FXP_VERSION = 2,
        FXP_OPEN = 3,
        FXP_CLOSE = 4,
        FXP_READ = 5,
        FXP_WRITE = 6,
        FXP_OPENDIR = 11,
        FXP_READDIR = 12,
        FXP_REMOVE = 13,
        FXP_MKDIR = 14,
        FXP_STAT = 17,
        FXP_RENAME = 18,
        FXP_STATUS = 101,
        FXP_HANDLE = 102,
        FXP_DATA = 103,
        FXP_NAME = 104,
        FXP_ATTRS = 105,
        FXP_EXTENDED = 200,
};

enum { FX_OK = 0, FX_EOF = 1, FX_NO_SUCH_FILE = 2, FX_PERMISSION_DENIED = 3, FX_UNSUPPORTED = 8 };

enum { ATTR_SIZE = 1, ATTR_OWNER = 2, ATTR_MODE = 4, ATTR_TIMES = 8 };
#define ATTR_EXTENDED 0x80000000u

void sftp_put_u32(Strbuf *packet, uint32_t value);
void sftp_put_u64(Strbuf *packet, uint64_t value);
void sftp_put_data(Strbuf *packet, const void *data, size_t size);
void sftp_put_text(Strbuf *packet, const char *text);

/* A packet that was received, as far as it was taken apart. What it does not have is zero, and bad. */
typedef struct SftpPacket {
        Strbuf data;
        size_t at;
        uint8_t type;
        uint32_t id;
        bool bad;
} SftpPacket;

void sftp_packet_done(SftpPacket *packet);
#define _cleanup_sftp_packet_ _cleanup_(sftp_packet_done)

uint32_t sftp_get_u32(SftpPacket *packet);
uint64_t sftp_get_u64(SftpPacket *packet);
/* Points into the packet; NULL where it has less. */
const char *sftp_get_data(SftpPacket *packet, uint32_t *ret_size);
/* The caller's; "" where it has none. */
char *sftp_get_text(SftpPacket *packet);
void sftp_get_attributes(SftpPacket *packet, SftpAttributes *ret);

#endif
