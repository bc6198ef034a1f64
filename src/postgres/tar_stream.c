#include "postgres/tar_stream.h"

#include <stdio.h>

#include "base/mem.h"

#define BLOCK 512

/* Where things stand in a header (POSIX ustar). */
enum {
        NAME = 0,
        MODE = 100,
        UID = 108,
        GID = 116,
        SIZE = 124,
        MTIME = 136,
        CHECKSUM = 148,
        TYPE = 156,
        LINK = 157,
        MAGIC = 257,
        PREFIX = 345
};

/* Octal digits, or, where the first bit is set, a big-endian number. */
static bool read_number(const char *field, size_t width, uint64_t *ret)
{
        uint64_t value = 0;

        if ((unsigned char)field[0] & 0x80) {
                for (size_t i = 1; i < width; i++)
                        value = value << 8 | (unsigned char)field[i];
        } else {
                for (size_t i = 0; i < width && field[i] && field[i] != ' '; i++) {
                        if (field[i] < '0' || field[i] > '7')
                                return false;
                        value = value * 8 + (uint64_t)(field[i] - '0');
                }
        }
        *ret = value;
        return true;
}

static bool checksum_is_right(const char *header)
{
        uint64_t stored;
        unsigned sum = 0;

        for (size_t i = 0; i < BLOCK; i++)
                sum += i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : (unsigned char)header[i];
        return read_number(header + CHECKSUM, 8, &stored) && stored == sum;
}

static bool is_zero(const char *header)
{
        for (size_t i = 0; i < BLOCK; i++)
                if (header[i])
                        return false;
        return true;
}

static bool path_is_safe(const char *path)
{
        return *path && *path != '/' && !streq(path, "..") && !startswith(path, "../") && !strstr(path, "/../") &&
               !endswith(path, "/..");
}

static void read_path(const char *header, TarEntry *entry)
{
        char name[NAME + 101], prefix[156];
        const char *start;
        size_t length;

        snprintf(name, sizeof(name), "%.100s", header + NAME);
        snprintf(prefix, sizeof(prefix), "%.155s", header + PREFIX);
        if (*prefix)
                snprintf(entry->path, sizeof(entry->path), "%.150s/%.100s", prefix, name);
        else
                snprintf(entry->path, sizeof(entry->path), "%s", name);
        start = startswith(entry->path, "./");
        if (start)
                memmove(entry->path, start, strlen(start) + 1);
        for (length = strlen(entry->path); length > 1 && entry->path[length - 1] == '/'; length--)
                entry->path[length - 1] = '\0';
}

static int read_header(const char *header, TarEntry *ret, Error **err)
{
        uint64_t mode, uid, gid, mtime;
        char type = header[TYPE];

        *ret = (TarEntry){ .type = type == '0' || !type ? 'f' : type == '5' ? 'd' : type == '2' ? 'l' : '\0' };
        if (!checksum_is_right(header) || memcmp(header + MAGIC, "ustar", 5) != 0)
                return error_set(err, ERROR_CORRUPT, "the server's archive has a damaged header");
        if (!read_number(header + MODE, 8, &mode) || !read_number(header + UID, 8, &uid) ||
            !read_number(header + GID, 8, &gid) || !read_number(header + SIZE, 12, &ret->size_bytes) ||
            !read_number(header + MTIME, 12, &mtime))
                return error_set(err, ERROR_CORRUPT, "the server's archive has a header that cannot be read");
        ret->mode = (unsigned)mode & 07777;
        ret->uid = (unsigned)uid;
        ret->gid = (unsigned)gid;
        ret->mtime = (int64_t)mtime;
        read_path(header, ret);
        snprintf(ret->target, sizeof(ret->target), "%.100s", header + LINK);
        if (!path_is_safe(ret->path))
                return error_set(err, ERROR_CORRUPT, "the server's archive has an entry \"%s\"", ret->path);
        if (!ret->type)
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\" in the server's archive is no file, folder or link",
                                 ret->path);
        return 0;
}

static int end_file(TarStream *stream, Error **err)
{
        stream->in_file = false;
        return stream->entry_end(stream->context, err);
}

static int take_header(TarStream *stream, Error **err)
{
        TarEntry entry;
        int r;

        stream->header_length = 0;
        if (is_zero(stream->header))
                return 0; /* the archive's end */
        r = read_header(stream->header, &entry, err);
        if (r == 0)
                r = stream->entry(stream->context, &entry, err);
        if (r < 0 || entry.type != 'f')
                return r;
        stream->in_file = true;
        stream->left = entry.size_bytes;
        stream->padding = (BLOCK - entry.size_bytes % BLOCK) % BLOCK;
        return stream->left ? 0 : end_file(stream, err);
}

static int take_content(TarStream *stream, const char *data, size_t size, Error **err)
{
        int r = stream->content(stream->context, data, size, err);

        stream->left -= size;
        return r < 0 || stream->left ? r : end_file(stream, err);
}

int tar_stream_add(TarStream *stream, const char *data, size_t size, Error **err)
{
        while (size > 0) {
                size_t n;
                int r = 0;

                if (stream->in_file) {
                        n = (size_t)MIN(stream->left, (uint64_t)size);
                        r = take_content(stream, data, n, err);
                } else if (stream->padding) {
                        n = (size_t)MIN(stream->padding, (uint64_t)size);
                        stream->padding -= n;
                } else {
                        n = MIN(BLOCK - stream->header_length, size);
                        memcpy(stream->header + stream->header_length, data, n);
                        stream->header_length += n;
                        if (stream->header_length == BLOCK)
                                r = take_header(stream, err);
                }
                if (r < 0)
                        return r;
                data += n;
                size -= n;
        }
        return 0;
}

int tar_stream_end(TarStream *stream, Error **err)
{
        if (stream->in_file || stream->padding || stream->header_length)
                return error_set(err, ERROR_CORRUPT, "the server's archive is cut off");
        return 0;
}
