#include "repository/remote/location.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "state/document.h"

void location_done(Location *location)
{
        char *const texts[] = { location->url,           location->host,
                                location->user,          location->bucket,
                                location->path,          location->endpoint,
                                location->region,        location->credentials_file,
                                location->identity_file, location->known_hosts_file,
                                location->ca_file };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                free(texts[i]);
        *location = (Location){ 0 };
}

/* Names of objects are signed as they are written: letters that would have to be escaped are left out of it. */
static bool is_plain(const char *text)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";

        return strspn(text, allowed) == strlen(text) && !strstr(text, "//") && !strstr(text, "..");
}

static char *without_slashes(const char *text)
{
        size_t length;

        text += strspn(text, "/");
        length = strlen(text);
        while (length && text[length - 1] == '/')
                length--;
        return xstrndup(text, length);
}

static int parse_s3(const char *rest, const json_t *object, Location *ret, Error **err)
{
        const char *slash = strchr(rest, '/'), *endpoint = json_get_string(object, "endpoint", NULL);

        ret->kind = LOCATION_S3;
        ret->bucket = slash ? xstrndup(rest, (size_t)(slash - rest)) : xstrdup(rest);
        ret->path = without_slashes(slash ? slash : "");
        ret->region = xstrdup(json_get_string(object, "region", "us-east-1"));
        ret->endpoint = endpoint ? xstrdup(endpoint) : xasprintf("https://s3.%s.amazonaws.com", ret->region);
        while (endswith(ret->endpoint, "/"))
                ret->endpoint[strlen(ret->endpoint) - 1] = '\0';
        if (!*ret->bucket || !is_plain(ret->bucket) || !is_plain(ret->path))
                return error_set(err, ERROR_INVALID,
                                 "\"%s\" must be s3://bucket/prefix of letters, digits, \"-\", \"_\" and \".\"",
                                 ret->url);
        if (!startswith(ret->endpoint, "https://") && !startswith(ret->endpoint, "http://"))
                return error_set(err, ERROR_INVALID, "endpoint \"%s\" must begin with https:// or http://",
                                 ret->endpoint);
        return 0;
}

static int parse_sftp(const char *rest, Location *ret, Error **err)
{
        const char *slash = strchr(rest, '/');
        _cleanup_free_ char *authority = slash ? xstrndup(rest, (size_t)(slash - rest)) : xstrdup(rest);
        char *at = strrchr(authority, '@'), *host = at ? at + 1 : authority, *colon = strrchr(host, ':');
        int64_t port;

        ret->kind = LOCATION_SFTP;
        if (at)
                ret->user = xstrndup(authority, (size_t)(at - authority));
        if (colon && !strchr(colon, ']')) {
                if (!parse_int64(colon + 1, 1, 65535, &port))
                        return error_set(err, ERROR_INVALID, "\"%s\" has no valid port", ret->url);
                ret->port = (int)port;
                *colon = '\0';
        }
        if (*host == '[' && endswith(host, "]"))
                ret->host = xstrndup(host + 1, strlen(host) - 2);
        else
                ret->host = xstrdup(host);
        ret->path = xstrdup(slash);
        if (!*ret->host || *ret->host == '-' || (ret->user && (!*ret->user || *ret->user == '-')) || !ret->path ||
            !ret->path[1])
                return error_set(err, ERROR_INVALID, "\"%s\" must be sftp://user@host/folder", ret->url);
        return 0;
}

static int parse_folder(const char *path, Location *ret, Error **err)
{
        ret->kind = LOCATION_FOLDER;
        ret->path = xstrdup(path);
        return *path == '/' && path[1]
                       ? 0
                       : error_set(err, ERROR_INVALID, "\"%s\" must be the absolute path of a folder", ret->url);
}

static int parse_url(const json_t *object, Location *ret, Error **err)
{
        const char *rest;

        if ((rest = startswith(ret->url, "s3://")))
                return parse_s3(rest, object, ret, err);
        if ((rest = startswith(ret->url, "sftp://")))
                return parse_sftp(rest, ret, err);
        if ((rest = startswith(ret->url, "file://")) || *ret->url == '/')
                return parse_folder(rest ? rest : ret->url, ret, err);
        return error_set(err, ERROR_INVALID,
                         "\"%s\" is none of s3://bucket/prefix, sftp://user@host/folder and /folder", ret->url);
}

int location_parse(const json_t *object, Location *ret, Error **err)
{
        _cleanup_location_ Location location = {
                .url = xstrdup(json_get_string(object, "url", "")),
                .credentials_file = xstrdup(json_get_string(object, "credentials", NULL)),
                .identity_file = xstrdup(json_get_string(object, "identity", NULL)),
                .known_hosts_file = xstrdup(json_get_string(object, "known_hosts", NULL)),
                .ca_file = xstrdup(json_get_string(object, "ca", NULL)),
                .list_page = (unsigned)json_get_int(object, "list_page", 0),
                .stall_s = (unsigned)json_get_int(object, "stall_s", 0),
                .retry_ms = (unsigned)json_get_int(object, "retry_ms", 0),
        };
        int r = parse_url(object, &location, err);

        if (r < 0)
                return r;
        *ret = location;
        location = (Location){ 0 };
        return 0;
}

static int open_folder(const Location *location, const char *folder, Storage **ret, Error **err)
{
        _cleanup_free_ char *path = *folder ? path_join(location->path, folder) : xstrdup(location->path);
        int r;

        if (fs_is_directory(location->path))
                return storage_folder_create(path, ret, err);
        r = error_set(err, ERROR_UNAVAILABLE, "the folder \"%s\" for copies of backups is not there", location->path);
        return error_hint(err, r, "Mount it or make it: it is not made by itself, so that a missing mount is noticed.");
}

int location_open(const Location *location, const char *folder, Storage **ret, Error **err)
{
        switch (location->kind) {
        case LOCATION_S3:
                return storage_s3_create(location, folder, ret, err);
        case LOCATION_SFTP:
                return storage_sftp_create(location, folder, ret, err);
        case LOCATION_FOLDER:
        default:
                return open_folder(location, folder, ret, err);
        }
}
