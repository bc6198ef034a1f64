#include "repository/remote/s3_client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "repository/chunk.h"

#define TRIES             6
#define RETRY_MS          200
#define CONNECT_TIMEOUT_S 15L
#define STALL_TIMEOUT_S   60L /* without a byte */
#define CREDENTIALS_LIMIT (64u << 10)
#define TEXT_LIMIT        ((size_t)64 << 20)

struct S3Client {
        char *base; /* endpoint and bucket */
        char *bucket, *endpoint, *signature, *ca_file;
        char *access_key, *secret_key, *token; /* NULL: none */
        long stall_s;
        unsigned retry_ms;
        pthread_mutex_t lock;
        VECTOR(CURL *) idle;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
        curl_global_init(CURL_GLOBAL_DEFAULT);
}

void s3_reply_done(S3Reply *reply)
{
        free(reply->etag);
        strbuf_done(&reply->text);
}

/* ---- credentials ---- */

/* "name = value" of a line; NULL where it is another's. */
static char *setting_of(const char *line, const char *name)
{
        const char *rest = startswith(line + strspn(line, " \t"), name);
        size_t length;

        if (!rest || *(rest += strspn(rest, " \t")) != '=')
                return NULL;
        rest++;
        rest += strspn(rest, " \t");
        length = strcspn(rest, " \t\r");
        return xstrndup(rest, length);
}

static void read_settings(S3Client *client, char **lines)
{
        const struct {
                const char *name;
                char **place;
        } settings[] = { { "aws_access_key_id", &client->access_key },
                         { "aws_secret_access_key", &client->secret_key },
                         { "aws_session_token", &client->token } };

        STRV_FOREACH(line, lines)
                for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                        char *value = setting_of(*line, settings[i].name);
                        if (value && !*settings[i].place)
                                *settings[i].place = value;
                        else
                                free_secret(value);
                }
}

/* "KEY:SECRET", or a line for each. */
static void read_pair(S3Client *client, const char *text)
{
        size_t first = strcspn(text, ":\r\n"), second;
        const char *rest = text + first + strspn(text + first, ":\r\n");

        second = strcspn(rest, " \t\r\n");
        if (!first || !second || memchr(text, '=', first) || memchr(text, ' ', first))
                return;
        client->access_key = xstrndup(text, first);
        client->secret_key = xstrndup(rest, second);
}

static int read_credentials(S3Client *client, const char *path, Error **err)
{
        Strbuf text = STRBUF_INIT;
        char **lines;
        int r = fs_read_file(AT_FDCWD, path, CREDENTIALS_LIMIT, &text, err);

        if (r == 0) {
                lines = strv_split(strbuf_text(&text), '\n');
                read_settings(client, lines);
                STRV_FOREACH(line, lines)
                        erase_memory(*line, strlen(*line));
                strv_free(lines);
                if (!client->access_key && !client->secret_key)
                        read_pair(client, strbuf_text(&text));
        }
        strbuf_erase(&text);
        strbuf_done(&text);
        if (r < 0)
                return error_prefix(err, r, "credentials of the S3 storage");
        if (client->access_key && client->secret_key)
                return 0;
        r = error_set(err, ERROR_INVALID, "\"%s\" holds no credentials of an S3 storage", path);
        return error_hint(
                err, r, "Write the lines \"aws_access_key_id = …\" and \"aws_secret_access_key = …\", or KEY:SECRET.");
}

int s3_client_create(const Location *location, S3Client **ret, Error **err)
{
        _cleanup_(s3_client_freep) S3Client *client = xnew(S3Client);
        int r;

        pthread_once(&curl_once, start_curl);
        *client = (S3Client){
                .base = xasprintf("%s/%s", location->endpoint, location->bucket),
                .bucket = xstrdup(location->bucket),
                .endpoint = xstrdup(location->endpoint),
                .signature = xasprintf("aws:amz:%s:s3", location->region),
                .ca_file = xstrdup(location->ca_file),
                .stall_s = location->stall_s ? location->stall_s : STALL_TIMEOUT_S,
                .retry_ms = location->retry_ms ? location->retry_ms : RETRY_MS,
        };
        pthread_mutex_init(&client->lock, NULL);
        r = location->credentials_file ? read_credentials(client, location->credentials_file, err) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(client);
        return 0;
}

void s3_client_free(S3Client *client)
{
        if (!client)
                return;
        VECTOR_FOREACH(handle, &client->idle)
                curl_easy_cleanup(*handle);
        vector_done(&client->idle);
        pthread_mutex_destroy(&client->lock);
        free(client->base);
        free(client->bucket);
        free(client->endpoint);
        free(client->signature);
        free(client->ca_file);
        free_secret(client->access_key);
        free_secret(client->secret_key);
        free_secret(client->token);
        free(client);
}

/* ---- one try ---- */

typedef struct Try {
        const S3Request *request;
        S3Reply *reply;
        CURL *handle;
        bool overflow;
} Try;

static size_t on_body(char *data, size_t unit, size_t count, void *context)
{
        Try *attempt = context;
        const S3Request *request = attempt->request;
        S3Reply *reply = attempt->reply;
        size_t size = unit * count;
        long status = 0;

        curl_easy_getinfo(attempt->handle, CURLINFO_RESPONSE_CODE, &status);
        if (!request->sink || status / 100 != 2) {
                attempt->overflow = reply->text.length + size > TEXT_LIMIT;
                if (!attempt->overflow)
                        strbuf_add(&reply->text, data, size);
        } else {
                attempt->overflow = reply->size + size > request->sink_size;
                if (!attempt->overflow) {
                        memcpy((char *)request->sink + reply->size, data, size);
                        reply->size += size;
                }
        }
        return attempt->overflow ? 0 : size;
}

static size_t on_header(char *data, size_t unit, size_t count, void *context)
{
        Try *attempt = context;
        size_t size = unit * count, name = strlen("etag:");

        if (size > name && strncasecmp(data, "etag:", name) == 0) {
                const char *from = data + name, *end = data + size;
                while (from < end && *from == ' ')
                        from++;
                while (end > from && isspace((unsigned char)end[-1]))
                        end--;
                free_and_replace(&attempt->reply->etag, xstrndup(from, (size_t)(end - from)));
        }
        return size;
}

static struct curl_slist *make_headers(const S3Client *client, const S3Request *request)
{
        struct curl_slist *headers = NULL;
        _cleanup_free_ char *digits = NULL, *hash = NULL, *range = NULL;
        char *token = NULL;
        ChunkId id;

        chunk_id_compute(request->body ? request->body : "", request->body_size, &id);
        digits = hex_encode(id.bytes, sizeof(id.bytes));
        hash = xasprintf("x-amz-content-sha256: %s", digits);
        headers = curl_slist_append(headers, hash);
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
        if (request->sink) {
                range = xasprintf("Range: bytes=%" PRIu64 "-%" PRIu64, request->offset,
                                  request->offset + request->sink_size - 1);
                headers = curl_slist_append(headers, range);
        }
        if (client->token) {
                token = xasprintf("x-amz-security-token: %s", client->token);
                headers = curl_slist_append(headers, token);
                free_secret(token);
        }
        return headers;
}

static void set_options(const S3Client *client, Try *attempt, const char *url, struct curl_slist *headers)
{
        CURL *handle = attempt->handle;
        const S3Request *request = attempt->request;

        curl_easy_setopt(handle, CURLOPT_URL, url);
        curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
        /* "Expect:" among the headers would switch it off, but libcurl 7.88 signs that header and does not send it. */
        curl_easy_setopt(handle, CURLOPT_EXPECT_100_TIMEOUT_MS, 200L);
        curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, client->stall_s);
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(handle, CURLOPT_WRITEDATA, attempt);
        curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(handle, CURLOPT_HEADERDATA, attempt);
        if (client->ca_file)
                curl_easy_setopt(handle, CURLOPT_CAINFO, client->ca_file);
        if (client->access_key) {
                curl_easy_setopt(handle, CURLOPT_AWS_SIGV4, client->signature);
                curl_easy_setopt(handle, CURLOPT_USERNAME, client->access_key);
                curl_easy_setopt(handle, CURLOPT_PASSWORD, client->secret_key);
        }
        if (request->body || streq(request->method, "POST")) {
                curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->body ? request->body : "");
                curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        }
        curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
}

static CURL *take_handle(S3Client *client)
{
        CURL *handle = NULL;

        pthread_mutex_lock(&client->lock);
        if (client->idle.length)
                handle = client->idle.items[--client->idle.length];
        pthread_mutex_unlock(&client->lock);
        if (!handle)
                handle = curl_easy_init();
        if (!handle)
                abort(); /* out of memory */
        return handle;
}

static void give_handle(S3Client *client, CURL *handle)
{
        curl_easy_reset(handle); /* keeps connections */
        pthread_mutex_lock(&client->lock);
        vector_add(&client->idle, handle);
        pthread_mutex_unlock(&client->lock);
}

/* CURLE_OK once there is an answer, whatever it says. */
static CURLcode try_once(S3Client *client, const S3Request *request, S3Reply *reply, bool *ret_overflow)
{
        _cleanup_free_ char *url = xasprintf("%s%s%s%s%s", client->base, *request->key ? "/" : "", request->key,
                                             request->query ? "?" : "", request->query ? request->query : "");
        Try attempt = { request, reply, take_handle(client), false };
        struct curl_slist *headers = make_headers(client, request);
        CURLcode code;

        s3_reply_done(reply);
        *reply = (S3Reply){ .repeated = reply->repeated };
        set_options(client, &attempt, url, headers);
        code = curl_easy_perform(attempt.handle);
        curl_easy_getinfo(attempt.handle, CURLINFO_RESPONSE_CODE, &reply->status);
        curl_slist_free_all(headers);
        give_handle(client, attempt.handle);
        *ret_overflow = attempt.overflow;
        return code;
}

/* ---- what an answer means ---- */

typedef struct Meaning {
        const char *code;
        ErrorKind kind;
        const char *hint;
} Meaning;

static const Meaning meanings[] = {
        { "NoSuchBucket", ERROR_UNAVAILABLE, "Make the bucket, or correct its name." },
        { "InvalidAccessKeyId", ERROR_DENIED, "The access key is not known there: correct the credentials file." },
        { "SignatureDoesNotMatch", ERROR_DENIED, "The secret key is wrong: correct the credentials file." },
        { "RequestTimeTooSkewed", ERROR_DENIED, "The clock of this machine is wrong: correct it." },
        { "ExpiredToken", ERROR_DENIED, "The session token has expired: write a new one into the credentials file." },
        { "AccessDenied", ERROR_DENIED,
          "Give the key the rights to list, read, write and delete objects below the prefix." },
        { "AuthorizationHeaderMalformed", ERROR_DENIED, "The region is probably another one." },
        { "PermanentRedirect", ERROR_DENIED, "The bucket is in another region: correct region or endpoint." },
        { "QuotaExceeded", ERROR_NO_SPACE, "Make room there, or shorten what is kept." },
};

static int judge(const S3Client *client, const S3Request *request, const S3Reply *reply, Error **err)
{
        _cleanup_free_ char *code = s3_xml_get(strbuf_text(&reply->text), "Code");
        _cleanup_free_ char *message = s3_xml_get(strbuf_text(&reply->text), "Message");
        const char *what = *request->key ? request->key : client->bucket;
        int r;

        for (size_t i = 0; code && i < ARRAY_SIZE(meanings); i++)
                if (streq(code, meanings[i].code)) {
                        r = error_set(err, meanings[i].kind, "%s at %s: %s: %s", what, client->endpoint, code,
                                      message ? message : "");
                        return error_hint(err, r, "%s", meanings[i].hint);
                }
        if (reply->status == 404)
                return error_set(err, ERROR_NOT_FOUND, "\"%s\" is not there", what);
        if (reply->status == 401 || reply->status == 403)
                return error_set(err, ERROR_DENIED, "%s at %s: %s", what, client->endpoint,
                                 code ? code : "it is refused");
        return error_set(err, reply->status >= 500 || reply->status == 429 ? ERROR_UNAVAILABLE : ERROR_IO,
                         "%s at %s: the server answers %ld %s", what, client->endpoint, reply->status,
                         code ? code : "");
}

static bool is_transient(const S3Reply *reply)
{
        _cleanup_free_ char *code = NULL;

        if (reply->status == 501)
                return false;
        if (reply->status >= 500 || reply->status == 429 || reply->status == 408)
                return true;
        code = reply->status == 400 ? s3_xml_get(strbuf_text(&reply->text), "Code") : NULL;
        return code && streq(code, "RequestTimeout");
}

/* Half of it by chance, so that several do not come back at once. */
static void pause_before(const S3Client *client, unsigned n)
{
        uint64_t pause_ms = (uint64_t)client->retry_ms << n;
        uint32_t random = 0;
        struct timespec time;

        if (getrandom(&random, sizeof(random), 0) == sizeof(random))
                pause_ms = pause_ms / 2 + random % (pause_ms / 2 + 1);
        time = (struct timespec){ (time_t)(pause_ms / 1000), (long)(pause_ms % 1000) * 1000000 };
        nanosleep(&time, NULL);
}

int s3_request(S3Client *client, const S3Request *request, S3Reply *ret, Error **err)
{
        CURLcode code = CURLE_OK;
        bool overflow = false;

        for (unsigned n = 0; n < TRIES; n++) {
                if (n)
                        pause_before(client, n - 1);
                ret->repeated = n > 0;
                code = try_once(client, request, ret, &overflow);
                if (overflow)
                        return error_set(err, ERROR_IO, "%s sends more than was asked for", client->endpoint);
                if (code == CURLE_OK && !is_transient(ret))
                        return ret->status / 100 == 2 ? 0 : judge(client, request, ret, err);
                if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
                    code == CURLE_URL_MALFORMAT)
                        break; /* will not get better */
        }
        if (code == CURLE_OK)
                return judge(client, request, ret, err);
        return error_set(err, ERROR_UNAVAILABLE, "reach %s: %s", client->endpoint, curl_easy_strerror(code));
}
