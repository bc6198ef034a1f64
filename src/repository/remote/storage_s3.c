/* A bucket, or a part of one, as storage. A large object goes up in parts; nothing is seen of it before the last step. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "repository/remote/s3_client.h"

#define PART_BYTES ((size_t)8 << 20) /* S3 wants 5 MiB at least, and at most 10000 of them */

typedef struct S3Storage {
        Storage storage;
        S3Client *client;
        char *prefix;  /* "" or with a slash at its end */
        unsigned page; /* names asked for at once */
} S3Storage;

struct StorageWriter {
        S3Storage *storage;
        char *key;
        char *upload; /* of several parts; NULL: none begun */
        Strbuf part;
        Strbuf finished; /* the list of parts, as S3 wants it at the end */
        unsigned number;
        uint64_t written;
};

static char *full_key(const S3Storage *s3, const char *key)
{
        return xasprintf("%s%s", s3->prefix, key);
}

/* ---- writing ---- */

static void writer_free(StorageWriter *writer)
{
        free(writer->key);
        free(writer->upload);
        strbuf_done(&writer->part);
        strbuf_done(&writer->finished);
        free(writer);
}

static int s3_write_begin(Storage *storage, const char *key, StorageWriter **ret, Error **err)
{
        *ret = xnew(StorageWriter);
        **ret = (StorageWriter){ .storage = (S3Storage *)storage, .key = full_key((S3Storage *)storage, key) };
        return 0;
}

static int begin_upload(StorageWriter *writer, Error **err)
{
        S3Request request = { .method = "POST", .key = writer->key, .query = "uploads=" };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        _cleanup_free_ char *id = NULL;
        int r = s3_request(writer->storage->client, &request, &reply, err);

        if (r < 0)
                return r;
        id = s3_xml_get(strbuf_text(&reply.text), "UploadId");
        if (!id)
                return error_set(err, ERROR_IO, "\"%s\": the server began no upload", writer->key);
        writer->upload = s3_escape(id);
        return 0;
}

static int send_part(StorageWriter *writer, Error **err)
{
        _cleanup_free_ char *query = NULL;
        S3Request request = { .method = "PUT",
                              .key = writer->key,
                              .body = strbuf_text(&writer->part),
                              .body_size = writer->part.length };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        int r = writer->upload ? 0 : begin_upload(writer, err);

        if (r < 0)
                return r;
        request.query = query = xasprintf("partNumber=%u&uploadId=%s", ++writer->number, writer->upload);
        r = s3_request(writer->storage->client, &request, &reply, err);
        if (r < 0)
                return r;
        strbuf_addf(&writer->finished, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", writer->number,
                    reply.etag ? reply.etag : "");
        strbuf_truncate(&writer->part, 0);
        return 0;
}

static int s3_write_add(StorageWriter *writer, const void *data, size_t size, Error **err)
{
        const char *from = data;

        while (size) {
                size_t piece = MIN(size, PART_BYTES - writer->part.length);
                int r;

                strbuf_add(&writer->part, from, piece);
                writer->written += piece;
                from += piece;
                size -= piece;
                r = writer->part.length == PART_BYTES ? send_part(writer, err) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static void s3_write_abort(StorageWriter *writer)
{
        if (writer->upload) {
                _cleanup_free_ char *query = xasprintf("uploadId=%s", writer->upload);
                S3Request request = { .method = "DELETE", .key = writer->key, .query = query };
                _cleanup_s3_reply_ S3Reply reply = { 0 };

                s3_request(writer->storage->client, &request, &reply, NULL); /* else sweep finds it */
        }
        writer_free(writer);
}

/* Whether the object is there with as many bytes as were written. */
static bool is_complete(const StorageWriter *writer)
{
        char bytes[2];
        S3Request request = {
                .method = "GET", .key = writer->key, .sink = bytes, .sink_size = 2, .offset = writer->written - 1
        };
        _cleanup_s3_reply_ S3Reply reply = { 0 };

        return s3_request(writer->storage->client, &request, &reply, NULL) == 0 && reply.status == 206 &&
               reply.size == 1;
}

static int finish_upload(StorageWriter *writer, Error **err)
{
        _cleanup_free_ char *query = xasprintf("uploadId=%s", writer->upload), *body = NULL, *code = NULL;
        S3Request request = { .method = "POST", .key = writer->key, .query = query };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        _cleanup_error_ Error *failure = NULL;
        int r = writer->part.length ? send_part(writer, err) : 0;

        if (r < 0)
                return r;
        request.body = body =
                xasprintf("<CompleteMultipartUpload>%s</CompleteMultipartUpload>", strbuf_text(&writer->finished));
        request.body_size = strlen(body);
        r = s3_request(writer->storage->client, &request, &reply, &failure);
        /* The answer to an earlier try may have been lost, and then there is no such upload any more. */
        if ((r == -ERROR_NOT_FOUND || r == -ERROR_UNAVAILABLE) && reply.repeated && is_complete(writer))
                return 0;
        if (r < 0)
                return error_move(err, &failure, r);
        code = strstr(strbuf_text(&reply.text), "<Error>") ? s3_xml_get(strbuf_text(&reply.text), "Code") : NULL;
        return code ? error_set(err, ERROR_UNAVAILABLE, "\"%s\": the server answers %s", writer->key, code) : 0;
}

static int put_whole(StorageWriter *writer, Error **err)
{
        S3Request request = { .method = "PUT",
                              .key = writer->key,
                              .body = strbuf_text(&writer->part),
                              .body_size = writer->part.length };
        _cleanup_s3_reply_ S3Reply reply = { 0 };

        return s3_request(writer->storage->client, &request, &reply, err);
}

static int s3_write_commit(StorageWriter *writer, Error **err)
{
        int r = writer->upload ? finish_upload(writer, err) : put_whole(writer, err);

        if (r < 0)
                s3_write_abort(writer);
        else
                writer_free(writer);
        return r;
}

/* ---- reading ---- */

static int s3_read(Storage *storage, const char *key, uint64_t offset, void *buffer, size_t size, size_t *ret_size,
                   Error **err)
{
        S3Storage *s3 = (S3Storage *)storage;
        _cleanup_free_ char *full = full_key(s3, key);
        S3Request request = { .method = "GET", .key = full, .sink = buffer, .sink_size = size, .offset = offset };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        _cleanup_error_ Error *failure = NULL;
        int r = s3_request(s3->client, &request, &reply, &failure);

        *ret_size = reply.size;
        if (reply.status == 416) { /* nothing lies so far behind: the end */
                *ret_size = 0;
                return 0;
        }
        if (r == 0 && reply.status == 200 && offset)
                return error_set(err, ERROR_IO, "\"%s\": the server sends whole objects only", full);
        return r < 0 ? error_move(err, &failure, r) : 0;
}

static void add_entry(const S3Storage *s3, const char *contents, StorageList *ret)
{
        _cleanup_free_ char *key = s3_xml_get(contents, "Key"), *size = s3_xml_get(contents, "Size"),
                            *modified = s3_xml_get(contents, "LastModified");
        StorageEntry entry = { 0 };

        if (!key || !size)
                return;
        s3_unescape(key);
        if (!startswith(key, s3->prefix) || endswith(key, "/"))
                return; /* folders that other programs make */
        entry.key = xstrdup(key + strlen(s3->prefix));
        entry.size_bytes = strtoull(size, NULL, 10);
        if (modified)
                clock_parse_time(modified, &entry.modified_ns);
        vector_add(&ret->entries, entry);
}

static int list_page(const S3Storage *s3, const char *prefix, char **token, StorageList *ret, Error **err)
{
        _cleanup_free_ char *query = xasprintf("%s%s%sencoding-type=url&list-type=2&max-keys=%u&prefix=%s",
                                               *token ? "continuation-token=" : "", *token ? *token : "",
                                               *token ? "&" : "", s3->page, prefix);
        S3Request request = { .method = "GET", .key = "", .query = query };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        _cleanup_free_ char *more = NULL, *next = NULL;
        const char *from;
        char *contents;
        int r = s3_request(s3->client, &request, &reply, err);

        if (r < 0)
                return r;
        from = strbuf_text(&reply.text);
        while ((contents = s3_xml_next(&from, "Contents"))) {
                add_entry(s3, contents, ret);
                free(contents);
        }
        more = s3_xml_get(strbuf_text(&reply.text), "IsTruncated");
        next = s3_xml_get(strbuf_text(&reply.text), "NextContinuationToken");
        free_and_replace(token, more && streq(more, "true") && next ? s3_escape(next) : NULL);
        return 0;
}

static int s3_list(Storage *storage, const char *folder, StorageList *ret, Error **err)
{
        S3Storage *s3 = (S3Storage *)storage;
        _cleanup_free_ char *prefix = xasprintf("%s%s%s", s3->prefix, folder, *folder ? "/" : ""),
                            *escaped = s3_escape(prefix), *token = NULL;
        _cleanup_storage_list_ StorageList list = { 0 };
        int r;

        do
                r = list_page(s3, escaped, &token, &list, err);
        while (r == 0 && token);
        if (r < 0)
                return r;
        storage_list_sort(&list);
        *ret = list;
        list = (StorageList){ 0 };
        return 0;
}

/* ---- removing ---- */

static int s3_remove(Storage *storage, const char *key, Error **err)
{
        S3Storage *s3 = (S3Storage *)storage;
        _cleanup_free_ char *full = full_key(s3, key);
        S3Request request = { .method = "DELETE", .key = full };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        _cleanup_error_ Error *failure = NULL;
        int r = s3_request(s3->client, &request, &reply, &failure);

        return r == -ERROR_NOT_FOUND || r == 0 ? 0 : error_move(err, &failure, r);
}

static int sweep_upload(S3Storage *s3, const char *upload, int64_t before_ns, Error **err)
{
        _cleanup_free_ char *key = s3_xml_get(upload, "Key"), *id = s3_xml_get(upload, "UploadId"),
                            *initiated = s3_xml_get(upload, "Initiated"), *escaped = NULL, *query = NULL;
        S3Request request = { .method = "DELETE" };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        int64_t time_ns;

        if (!key || !id || !startswith(key, s3->prefix) || !initiated || !clock_parse_time(initiated, &time_ns) ||
            time_ns >= before_ns)
                return 0;
        escaped = s3_escape(id);
        request.key = key;
        request.query = query = xasprintf("uploadId=%s", escaped);
        return s3_request(s3->client, &request, &reply, err);
}

static int s3_sweep(Storage *storage, int64_t before_ns, Error **err)
{
        S3Storage *s3 = (S3Storage *)storage;
        _cleanup_free_ char *escaped = s3_escape(s3->prefix), *query = xasprintf("prefix=%s&uploads=", escaped);
        S3Request request = { .method = "GET", .key = "", .query = query };
        _cleanup_s3_reply_ S3Reply reply = { 0 };
        const char *from;
        char *upload;
        int r = 0;

        if (s3_request(s3->client, &request, &reply, NULL) < 0)
                return 0; /* not every server knows this; what is left costs room, not safety */
        from = strbuf_text(&reply.text);
        while (r == 0 && (upload = s3_xml_next(&from, "Upload"))) {
                r = sweep_upload(s3, upload, before_ns, err);
                free(upload);
        }
        return r;
}

static void s3_free(Storage *storage)
{
        S3Storage *s3 = (S3Storage *)storage;

        s3_client_free(s3->client);
        free(s3->prefix);
        free(s3);
}

static const StorageOperations s3_operations = {
        .name = "s3",
        .free = s3_free,
        .write_begin = s3_write_begin,
        .write_add = s3_write_add,
        .write_commit = s3_write_commit,
        .write_abort = s3_write_abort,
        .read = s3_read,
        .list = s3_list,
        .remove = s3_remove,
        .sweep = s3_sweep,
};

int storage_s3_create(const Location *location, const char *folder, Storage **ret, Error **err)
{
        _cleanup_(s3_client_freep) S3Client *client = NULL;
        S3Storage *s3;
        int r = s3_client_create(location, &client, err);

        if (r < 0)
                return r;
        s3 = xnew(S3Storage);
        *s3 = (S3Storage){ { &s3_operations },
                           TAKE_PTR(client),
                           xasprintf("%s%s%s%s", location->path, *location->path ? "/" : "", folder,
                                     *folder ? "/" : ""),
                           location->list_page ? location->list_page : 1000 };
        *ret = &s3->storage;
        return 0;
}
