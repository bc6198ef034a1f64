#include "repository/remote/sftp_packet.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void sftp_put_u32(Strbuf *packet, uint32_t value)
{
        uint32_t big = htobe32(value);

        strbuf_add(packet, &big, sizeof(big));
}

void sftp_put_u64(Strbuf *packet, uint64_t value)
{
        uint64_t big = htobe64(value);

        strbuf_add(packet, &big, sizeof(big));
}

void sftp_put_data(Strbuf *packet, const void *data, size_t size)
{
        sftp_put_u32(packet, (uint32_t)size);
        strbuf_add(packet, data, size);
}

void sftp_put_text(Strbuf *packet, const char *text)
{
        sftp_put_data(packet, text, strlen(text));
}

void sftp_packet_done(SftpPacket *packet)
{
        strbuf_done(&packet->data);
}

static const char *get_bytes(SftpPacket *packet, size_t size)
{
        const char *bytes = strbuf_text(&packet->data) + packet->at;

        if (packet->bad || size > packet->data.length - packet->at) {
                packet->bad = true;
                return NULL;
        }
        packet->at += size;
        return bytes;
}

uint32_t sftp_get_u32(SftpPacket *packet)
{
        const char *bytes = get_bytes(packet, 4);
        uint32_t value = 0;

        if (bytes)
                memcpy(&value, bytes, 4);
        return be32toh(value);
}

uint64_t sftp_get_u64(SftpPacket *packet)
{
        uint64_t high = sftp_get_u32(packet);

        return high << 32 | sftp_get_u32(packet);
}

const char *sftp_get_data(SftpPacket *packet, uint32_t *ret_size)
{
        *ret_size = sftp_get_u32(packet);
        return get_bytes(packet, *ret_size);
}

char *sftp_get_text(SftpPacket *packet)
{
        uint32_t size;
        const char *bytes = sftp_get_data(packet, &size);

        return xstrndup(bytes ? bytes : "", bytes ? size : 0);
}

void sftp_get_attributes(SftpPacket *packet, SftpAttributes *ret)
{
        uint32_t flags = sftp_get_u32(packet);

        *ret = (SftpAttributes){ 0 };
        if (flags & ATTR_SIZE)
                ret->size_bytes = sftp_get_u64(packet);
        if (flags & ATTR_OWNER)
                sftp_get_u64(packet);
        if (flags & ATTR_MODE)
                ret->mode = sftp_get_u32(packet);
        if (flags & ATTR_TIMES) {
                sftp_get_u32(packet);
                ret->modified_s = sftp_get_u32(packet);
        }
        for (uint32_t n = flags & ATTR_EXTENDED ? sftp_get_u32(packet) : 0; n && !packet->bad; n--) {
                free(sftp_get_text(packet));
                free(sftp_get_text(packet));
        }
}
