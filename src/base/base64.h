/* Base64 as in RFC 4648, section 4, with padding. */
#ifndef BERTH_BASE_BASE64_H
#define BERTH_BASE_BASE64_H

#include "base/macros.h"

/* Owned by the caller. */
char *base64_encode(const void *data, size_t size);
/* Owned by the caller, with a NUL behind it; white space and padding are passed over. NULL: another character stands in
 * it. */
char *base64_decode(const char *text, size_t *ret_size);

#endif
