/* Image references as docker writes them: [registry/]repository[:tag][@digest]. */
#ifndef BERTH_IMAGE_REFERENCE_H
#define BERTH_IMAGE_REFERENCE_H

#include "base/error.h"

#define REFERENCE_DEFAULT_REGISTRY "docker.io"

typedef struct Reference {
        char *registry;   /* "docker.io", "localhost:5000" */
        char *repository; /* "library/postgres" */
        char *tag;        /* NULL where only a digest was given; else "latest" by default */
        char *digest;     /* "sha256:<64 hex>" or NULL */
} Reference;

void reference_done(Reference *reference);
#define _cleanup_reference_ _cleanup_(reference_done)

/* Fills in the defaults. ERROR_INVALID where malformed: the message names the part that is wrong. */
int reference_parse(const char *text, Reference *ret, Error **err);

/* "docker.io/library/postgres:16", with "@sha256:…" where given; owned by the caller. */
char *reference_text(const Reference *reference);
/* "docker.io/library/postgres": registry and repository; owned by the caller. */
char *reference_repository_name(const Reference *reference);
/* As people write it, "postgres:16" for "docker.io/library/postgres:16"; owned by the caller. */
char *reference_familiar(const char *normalized);

/* "sha256:" and 64 lower-case hexadecimal digits. */
bool digest_is_valid(const char *text);
/* The 64 digits of a valid digest; borrowed from it. */
const char *digest_hex(const char *digest);

#endif
