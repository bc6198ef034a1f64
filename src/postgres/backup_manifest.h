/* The manifest of a base backup (PostgreSQL's documentation, "Backup Manifest Format"), with CRC-32C checksums: what the
 * server says it has sent. */
#ifndef BERTH_POSTGRES_BACKUP_MANIFEST_H
#define BERTH_POSTGRES_BACKUP_MANIFEST_H

#include "base/error.h"
#include "base/strbuf.h"
#include "base/strmap.h"
#include "base/vector.h"
#include "postgres/wal_name.h"

typedef struct ManifestFile {
        uint64_t size_bytes;
        uint32_t crc32c;
} ManifestFile;

/* Fills an empty map of paths to ManifestFile, which it owns. The manifest's own checksum is checked, too. ERROR_CORRUPT. */
int backup_manifest_parse(const char *text, size_t length, Strmap *ret, Error **err);

typedef struct ManifestChange {
        const char *from, *to; /* paths */
        ManifestFile file;     /* what it is now */
} ManifestChange;

typedef struct ManifestChanges {
        VECTOR(ManifestChange) files;
} ManifestChanges;

/* The manifest that says of these files what they have become; pg_verifybackup and a later incremental backup read it. */
int backup_manifest_rewrite(const char *text, size_t length, const ManifestChanges *changes, Strbuf *ret, Error **err);

/* One of our own, of files that were read from a folder: begin, add for each file, end. server_version: 150020. */
void backup_manifest_begin(Strbuf *text, int server_version, uint64_t system_identifier);
void backup_manifest_add(Strbuf *text, bool first, const char *path, const ManifestFile *file, int64_t mtime);
void backup_manifest_end(Strbuf *text, uint32_t timeline, Lsn start_lsn, Lsn stop_lsn);

#endif
