#include "image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "image/layer_writer.h"

#define BLOCK_SIZE ((size_t)256 * 1024)

/* Two readers in a row: one takes the compression off, the other reads the archive; each side's bytes are hashed. */
typedef struct Stream {
        int fd;
        int read_errno; /* of the last failed read of fd */
        unsigned char *block;
        EVP_MD_CTX *digest, *diff_id;
        struct archive *filter, *archive;
} Stream;

static void stream_done(Stream *stream)
{
        archive_read_free(stream->archive);
        archive_read_free(stream->filter);
        EVP_MD_CTX_free(stream->digest);
        EVP_MD_CTX_free(stream->diff_id);
        free(stream->block);
}
#define _cleanup_stream_ _cleanup_(stream_done)

static la_ssize_t read_blob(struct archive *archive, void *context, const void **ret)
{
        Stream *stream = context;
        ssize_t n;

        do
                n = read(stream->fd, stream->block, BLOCK_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0) {
                stream->read_errno = errno;
                archive_set_error(archive, errno, "read: %s", strerror(errno));
                return -1;
        }
        EVP_DigestUpdate(stream->digest, stream->block, (size_t)n);
        *ret = stream->block;
        return n;
}

static la_ssize_t read_uncompressed(struct archive *archive, void *context, const void **ret)
{
        Stream *stream = context;
        size_t size = 0;
        la_int64_t offset;
        int r = archive_read_data_block(stream->filter, ret, &size, &offset);

        if (r == ARCHIVE_EOF)
                return 0;
        if (r < ARCHIVE_WARN) {
                archive_set_error(archive, EIO, "%s", archive_error_string(stream->filter));
                return -1;
        }
        EVP_DigestUpdate(stream->diff_id, *ret, size);
        return (la_ssize_t)size;
}

static int fail(struct archive *archive, const char *fallback, Error **err)
{
        const char *text = archive ? archive_error_string(archive) : NULL;

        return error_set(err, ERROR_INVALID, "%s", text ? text : fallback);
}

static EVP_MD_CTX *start_hash(void)
{
        EVP_MD_CTX *hash = EVP_MD_CTX_new();

        if (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1)
                abort();
        return hash;
}

static void end_hash(EVP_MD_CTX *hash, char ret[72])
{
        unsigned char bytes[SHA256_SIZE];
        _cleanup_free_ char *hex = NULL;

        EVP_DigestFinal_ex(hash, bytes, NULL);
        hex = hex_encode(bytes, sizeof(bytes));
        snprintf(ret, 72, "sha256:%s", hex);
}

static int stream_open(Stream *stream, int fd, Error **err)
{
        struct archive_entry *entry;
        int r;

        *stream = (Stream){ .fd = fd, .block = xmalloc(BLOCK_SIZE), .digest = start_hash(), .diff_id = start_hash() };
        stream->filter = archive_read_new();
        archive_read_support_filter_gzip(stream->filter);
        archive_read_support_filter_zstd(stream->filter);
        archive_read_support_filter_xz(stream->filter);
        archive_read_support_filter_bzip2(stream->filter);
        archive_read_support_format_raw(stream->filter);
        archive_read_support_format_empty(stream->filter);
        if (archive_read_open(stream->filter, stream, NULL, read_blob, NULL) != ARCHIVE_OK)
                return fail(stream->filter, "not readable", err);
        r = archive_read_next_header(stream->filter, &entry);
        if (r == ARCHIVE_EOF)
                return error_set(err, ERROR_INVALID, "the archive is empty");
        if (r < ARCHIVE_WARN)
                return fail(stream->filter, "not readable", err);
        stream->archive = archive_read_new();
        archive_read_support_format_tar(stream->archive);
        if (archive_read_open(stream->archive, stream, NULL, read_uncompressed, NULL) != ARCHIVE_OK)
                return fail(stream->archive, "not a tar archive", err);
        return 0;
}

/* What follows the end of the archive belongs to its digests. */
static int stream_drain(Stream *stream, Error **err)
{
        const void *data;
        la_ssize_t n;

        while ((n = read_uncompressed(stream->filter, stream, &data)) > 0)
                ;
        if (n < 0)
                return fail(stream->filter, "not readable to its end", err);
        while ((n = read_blob(stream->filter, stream, &data)) > 0)
                ;
        return n < 0 ? fail(stream->filter, "not readable to its end", err) : 0;
}

static int unpack_entries(Stream *stream, LayerWriter *writer, const UnpackOptions *options, UnpackResult *ret,
                          Error **err)
{
        struct archive_entry *entry;

        for (;;) {
                int r = archive_read_next_header(stream->archive, &entry);

                if (r == ARCHIVE_EOF)
                        return 0;
                if (r < ARCHIVE_WARN)
                        return fail(stream->archive, "not a tar archive", err);
                if (options->cancelled && options->cancelled(options->context))
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                ret->entries++;
                r = layer_writer_add(writer, stream->archive, entry, err);
                if (r < 0)
                        return r;
        }
}

int layer_unpack(int fd, int root_fd, const UnpackOptions *options, UnpackResult *ret, Error **err)
{
        _cleanup_stream_ Stream stream = { 0 };
        _cleanup_layer_writer_ LayerWriter writer;
        UnpackResult result = { 0 };
        int r;

        layer_writer_init(&writer, root_fd, options->plain);
        r = stream_open(&stream, fd, err);
        if (r == 0)
                r = unpack_entries(&stream, &writer, options, &result, err);
        if (r == 0)
                r = stream_drain(&stream, err);
        if (r == 0)
                r = layer_writer_finish(&writer, err);
        if (r < 0)
                return r;
        end_hash(stream.digest, result.digest);
        end_hash(stream.diff_id, result.diff_id);
        result.size_bytes = writer.size_bytes;
        *ret = result;
        return 0;
}
