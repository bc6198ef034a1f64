/* MD5 (RFC 1321): for the passwords that PostgreSQL keeps that way, which is the default until 13. */
#ifndef BERTH_POSTGRES_MD5_H
#define BERTH_POSTGRES_MD5_H

#include <stddef.h>

#define MD5_VERIFIER_LENGTH 35

/* "md5" and the digest of the password and the user's name, as pg_authid has it; ret has room for its NUL as well. */
void md5_build_verifier(const char *password, const char *user, char ret[MD5_VERIFIER_LENGTH + 1]);

#endif
