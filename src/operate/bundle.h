/* What a project consists of besides its data, so that it can be had again on an empty machine: compose files as they are
 * read, with .env, secrets, certificates, and whatever else is in the project's folder and small. A bundle is a tar archive,
 * compressed by zstd, whose files docs/backup-format.md describes; it is stored with each copy elsewhere. */
#ifndef BERTH_OPERATE_BUNDLE_H
#define BERTH_OPERATE_BUNDLE_H

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "base/vector.h"

#define BUNDLE_FORMAT 1
#define BUNDLE_LIMIT  ((size_t)192 << 20) /* bytes of an archive that is read */

typedef struct BundleFile {
        char *path; /* on this machine */
        char *name; /* in the archive: "folder/…" or "outside/…" */
        unsigned mode, uid, gid;
        int64_t mtime_s;
        uint64_t size_bytes;
        char *target; /* of a symbolic link; NULL */
        bool folder;
} BundleFile;

typedef struct Bundle {
        VECTOR(BundleFile) files;
        json_t *manifest;   /* berth/manifest.json */
        json_t *model;      /* berth/model.json: with passwords, so only where secrets may be; NULL */
        char signature[65]; /* changes with any of it */
        char **left_out;    /* what is not in it, with the reason; a strv */
} Bundle;

void bundle_done(Bundle *bundle);
#define _cleanup_bundle_ _cleanup_(bundle_done)

typedef struct BundleSource {
        const char *project, *working_dir;
        char *const *files;  /* compose files, absolute */
        const json_t *model; /* canonical */
        const char *key;     /* path of the key's file, which is never in it; NULL */
        bool secrets;        /* it will be encrypted; otherwise secrets and what may hold some stay out */
} BundleSource;

/* Looks at what there is to take; reads no more of files than it must. */
int bundle_collect(const BundleSource *source, Bundle *ret, Error **err);
/* The archive. A file that went away meanwhile is left out. */
int bundle_write(const Bundle *bundle, Strbuf *ret, Error **err);
/* The manifest of an archive. ERROR_CORRUPT, ERROR_UNSUPPORTED (a newer Berth made it). */
int bundle_read_manifest(const void *data, size_t size, json_t **ret, Error **err);
/* Lays the project's folder out in directory, which exists, and what was outside where it was (outside: only where the archive
 * is known to be ours). Nothing that exists is replaced. *ret_kept: the paths that existed; a strv. */
int bundle_unpack(const void *data, size_t size, const char *directory, bool outside, char ***ret_kept, Error **err);

#endif
