/* SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5802, RFC 7677), so that a server never sees a plain password.
 */
#ifndef BERTH_POSTGRES_SCRAM_H
#define BERTH_POSTGRES_SCRAM_H

#include "base/error.h"

#define SCRAM_SALT_SIZE          16
#define SCRAM_DEFAULT_ITERATIONS 4096
/* "SCRAM-SHA-256$4096:" + 24 + "$" + 44 + ":" + 44 */
#define SCRAM_VERIFIER_LENGTH 133

/* SASLprep (RFC 4013) changes nothing in it, whoever does it: ASCII, and the letters of Latin, Greek, Cyrillic, kana, CJK and
 * Hangul that are what they are composed to. For anything else a server must prepare it. */
bool scram_is_plain(const char *password);
/* salt: SCRAM_SALT_SIZE bytes, NULL for random ones. *ret is the caller's. ERROR_UNSUPPORTED for what is not plain. */
int scram_build_verifier(const char *password, const unsigned char *salt, unsigned iterations, char **ret, Error **err);
/* The salt of a verifier of ours (16 bytes); false where it is none. */
bool scram_read_salt(const char *verifier, unsigned char ret_salt[SCRAM_SALT_SIZE]);

#endif
