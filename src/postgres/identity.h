/* The identity of a cluster that was copied from a template: its own system identifier (in pg_control and in the log's
 * segments), its own nonce for mock authentication, and its own password in place of the template's. All offline, in a
 * cluster that was shut down cleanly; where anything is not as expected nothing is promised and ERROR_UNSUPPORTED is
 * returned, for the caller to make a cluster by initdb instead. Nothing is synced here. */
#ifndef BERTH_POSTGRES_IDENTITY_H
#define BERTH_POSTGRES_IDENTITY_H

#include "base/error.h"

typedef struct ControlFile {
        uint64_t system_identifier;
        uint32_t control_version; /* 1300: 13 to 16, 1700, 1800 */
        uint32_t catalog_version;
        bool shut_down;    /* cleanly */
        uint64_t redo_lsn; /* of the newest checkpoint: where recovery would begin */
} ControlFile;

#define CONTROL_FILE_BYTES 8192

/* ERROR_CORRUPT where its checksum is found nowhere. */
int identity_read(const char *data_dir, ControlFile *ret, Error **err);
/* The same from an open pg_control, with its bytes. */
int identity_read_control(int fd, unsigned char control[CONTROL_FILE_BYTES], ControlFile *ret, Error **err);
/* A number as PostgreSQL makes them (time, and random bits in place of a process id), never the same twice. */
uint64_t identity_new_system_identifier(void);
/* Gives the cluster a new system identifier and nonce. */
int identity_renew(const char *data_dir, uint64_t system_identifier, Error **err);
/* Replaces the verifier old, which must be in pg_authid, by one of the same length. */
int identity_replace_verifier(const char *data_dir, const char *old, const char *verifier, Error **err);

#endif
