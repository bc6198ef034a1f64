/* Where a copy of repositories lies, and how to get there. Only the worker links what is behind this: libcurl, ssh. */
#ifndef BERTH_REPOSITORY_REMOTE_LOCATION_H
#define BERTH_REPOSITORY_REMOTE_LOCATION_H

#include <jansson.h>

#include "repository/storage.h"

typedef enum LocationKind { LOCATION_FOLDER, LOCATION_S3, LOCATION_SFTP } LocationKind;

typedef struct Location {
        LocationKind kind;
        char *url;         /* as it was given */
        char *host, *user; /* of SFTP */
        int port;          /* 0: the program's own choice */
        char *bucket;      /* of S3 */
        char *path;        /* a folder's or SFTP's; the prefix of S3, without slashes at its ends; may be "" there */
        char *endpoint, *region;                /* of S3: "https://…", "eu-central-1" */
        char *credentials_file;                 /* of S3: NULL: none, for buckets that ask for none */
        char *identity_file, *known_hosts_file; /* of SFTP: NULL: what ssh takes by itself */
        char *ca_file;                          /* of S3: NULL: the system's authorities */
        unsigned list_page;                     /* names asked for at once; 0: 1000 */
        unsigned stall_s;  /* of S3: a connection that says nothing for so long is given up; 0: 60 */
        unsigned retry_ms; /* the first pause before a request is tried again; it doubles. 0: 200 */
} Location;

void location_done(Location *location);
#define _cleanup_location_ _cleanup_(location_done)

/* {"url": "s3://bucket/prefix" | "sftp://user@host:port/path" | "file:///path" | "/path", "endpoint"?, "region"?,
 * "credentials"?, "identity"?, "known_hosts"?, "ca"?, "stall_s"?, "retry_ms"?, "list_page"?}: credentials to ca are paths of files.
 * ERROR_INVALID says what is wrong. */
int location_parse(const json_t *object, Location *ret, Error **err);

/* The storage below folder ("shop/db/7412…"; "": all) of the location. Nothing is asked of it yet, except that SFTP connects:
 * ERROR_UNAVAILABLE, ERROR_DENIED. A folder (which may be a mount) has to be there: ERROR_UNAVAILABLE with a hint. */
int location_open(const Location *location, const char *folder, Storage **ret, Error **err);

/* The drivers. folder as above. */
int storage_s3_create(const Location *location, const char *folder, Storage **ret, Error **err);
int storage_sftp_create(const Location *location, const char *folder, Storage **ret, Error **err);

#endif
