/* Requests to a server of the S3 kind (the REST interface of Amazon S3, path-style), signed by libcurl (AWS signature,
 * version 4). Connections are kept and shared by threads. */
#ifndef BERTH_REPOSITORY_REMOTE_S3_CLIENT_H
#define BERTH_REPOSITORY_REMOTE_S3_CLIENT_H

#include "repository/remote/location.h"

typedef struct S3Client S3Client;

/* Reads the credentials file: "aws_access_key_id = …", "aws_secret_access_key = …" and, where there is one,
 * "aws_session_token = …" as in ~/.aws/credentials, whatever the section; or "KEY:SECRET", or both on a line of their own.
 * ERROR_INVALID where there is nothing of the kind. location is copied from. */
int s3_client_create(const Location *location, S3Client **ret, Error **err);
void s3_client_free(S3Client *client);
DEFINE_CLEANUP(S3Client, s3_client_free);

typedef struct S3Request {
        const char *method; /* "GET", "PUT", "POST", "DELETE" */
        const char *key;    /* "": the bucket itself */
        const char *query;  /* without '?', sorted and escaped; NULL */
        const void *body;
        size_t body_size;
        /* Where the content goes; NULL: into the reply's text. More than sink_size is ERROR_IO. */
        void *sink;
        size_t sink_size;
        uint64_t offset; /* of a part of an object: sink_size bytes from there */
} S3Request;

typedef struct S3Reply {
        long status;
        char *etag;    /* with its quotes; NULL */
        Strbuf text;   /* a document, or an error's */
        size_t size;   /* bytes in sink */
        bool repeated; /* an earlier try may have been carried out */
} S3Reply;

void s3_reply_done(S3Reply *reply);
#define _cleanup_s3_reply_ _cleanup_(s3_reply_done)

/* Tries again, with growing pauses, what failed on the way or with 5xx and 429: five times, then ERROR_UNAVAILABLE.
 * ERROR_NOT_FOUND (a missing bucket is ERROR_UNAVAILABLE), ERROR_DENIED with what the server says, else ERROR_IO. */
int s3_request(S3Client *client, const S3Request *request, S3Reply *ret, Error **err);

/* The content of the first <tag> in text, entities decoded; the caller's; NULL where there is none. */
char *s3_xml_get(const char *text, const char *tag);
/* The first <tag>…</tag> at or behind *from, without its tags; *from is moved behind it; the caller's; NULL at the end. */
char *s3_xml_next(const char **from, const char *tag);
/* %XX for everything but letters, digits, '-', '_', '.' and '~'; the caller's. */
char *s3_escape(const char *text);
/* The other way, in place. */
void s3_unescape(char *text);

#endif
