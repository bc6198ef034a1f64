/* Certificates as files: an authority of the project's own, and a server's and clients' certificates that it signed, made,
 * renewed and taken over. Each step may be repeated, and a kill in the middle leaves what the next call finishes.
 *
 * A renewal keeps the key: one file is replaced, atomically, and there is never a certificate without its key. Keys have
 * mode 0600. */
#ifndef BERTH_POSTGRES_TLS_FILES_H
#define BERTH_POSTGRES_TLS_FILES_H

#include "postgres/tls.h"

typedef struct TlsPlace {                      /* paths; borrowed */
        const char *authority, *authority_key; /* authority_key need not exist: then nothing can be signed */
        const char *certificate, *key;
} TlsPlace;

typedef struct TlsRequest {
        const char *common_name;
        TlsNames names; /* that it must have; a renewal adds those that it had */
        int days;
        int64_t now_s;   /* by which a renewal is due */
        bool force;      /* a new certificate in any case */
        bool renew_only; /* nothing that is missing is made */
} TlsRequest;

typedef struct TlsOutcome {
        bool changed;
        const char *reason; /* why there is a new one: static; NULL */
        int64_t not_after_s;
        bool foreign; /* not of this authority: renewed by whoever made it */
} TlsOutcome;

/* Makes the server's certificate where it is missing, lacks a name, belongs to another key or is due. ERROR_INVALID: a file
 * is no certificate or key; the key is encrypted; the certificate is somebody else's and has expired. */
int tls_files_issue(const TlsPlace *place, const TlsRequest *request, TlsOutcome *ret, Error **err);

/* Takes a certificate that one has (and its key) over to place, and the authority that signed it where it is given.
 * ERROR_INVALID, nothing changed: not a pair, encrypted, expired at now_s or not valid yet, not signed by the authority. */
int tls_files_adopt(const TlsPlace *place, const char *certificate, const char *key, const char *authority,
                    int64_t now_s, TlsOutcome *ret, Error **err);
/* A client's certificate for role, signed by the authority. */
int tls_files_client(const TlsPlace *place, const char *role, int days, TlsOutcome *ret, Error **err);

/* A renewal is due when less than 30 days are left, or a third of its time where that is shorter. */
bool tls_is_due(const TlsFacts *facts, int64_t now_s);

#endif
