/* A private certificate authority and the certificates it signs (X.509 v3, ECDSA P-256, SHA-256), by OpenSSL.
 * Everything is PEM. Keys never leave the process except into files that are made with their final mode. */
#ifndef BERTH_POSTGRES_TLS_H
#define BERTH_POSTGRES_TLS_H

#include "base/error.h"

typedef struct TlsNames {
        char *const *dns;       /* host, service and container names; NULL */
        char *const *addresses; /* IPv4 and IPv6; NULL */
} TlsNames;

typedef struct TlsCertificate {
        char *certificate; /* PEM; owned */
        char *key;         /* PEM, PKCS #8, not encrypted; owned and erased */
} TlsCertificate;

void tls_certificate_done(TlsCertificate *certificate);
#define _cleanup_tls_certificate_ _cleanup_(tls_certificate_done)

/* A self-signed authority that may sign for `days` days; name becomes its common name. */
int tls_make_authority(const char *name, int days, TlsCertificate *ret, Error **err);
/* A server's certificate, signed by the authority, for all names, and not longer good than that. key: PEM of the key that
 * it is for; NULL: a new one. */
int tls_make_server(const TlsCertificate *authority, const char *common_name, const TlsNames *names, int days,
                    const char *key, TlsCertificate *ret, Error **err);
/* A client's certificate: role becomes the common name, which PostgreSQL compares with the user. */
int tls_make_client(const TlsCertificate *authority, const char *role, int days, TlsCertificate *ret, Error **err);

typedef struct TlsFacts {
        int64_t not_before_s, not_after_s; /* since 1970 UTC */
        bool self_signed, is_authority;
        char *common_name;
        char **names; /* subject alternative names, DNS and addresses */
} TlsFacts;

void tls_facts_done(TlsFacts *facts);
#define _cleanup_tls_facts_ _cleanup_(tls_facts_done)

/* What the first certificate of a PEM text says; ERROR_INVALID where it is none. */
int tls_read(const char *pem, TlsFacts *ret, Error **err);
/* The key belongs to the certificate: ERROR_INVALID where it does not, or is encrypted. */
int tls_check_pair(const char *certificate_pem, const char *key_pem, Error **err);
/* The authority signed the certificate, or one that stands in the same text after it and so on, and all are valid at time_s
 * (-1: whenever). */
int tls_verify(const char *authority_pem, const char *certificate_pem, int64_t time_s, Error **err);

#endif
