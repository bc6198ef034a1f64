/* Numbers, sizes and durations as people write them. All return false and leave *ret alone where the text is wrong. */
#ifndef BERTH_BASE_PARSE_H
#define BERTH_BASE_PARSE_H

#include "base/macros.h"

/* The whole text is one decimal number within [low, high]. */
bool parse_int64(const char *text, int64_t low, int64_t high, int64_t *ret);
bool parse_bool(const char *text, bool *ret); /* true/false, yes/no, on/off, 1/0 */
/* A number and an optional unit b, k, kb, kib, m, …, p in any case; all binary. */
bool parse_size(const char *text, int64_t *ret_bytes);
/* Go's form with days and weeks: "1h30m", "1.5s", "300ms", "10us", "2d"; a bare "0" is zero. */
bool parse_duration(const char *text, int64_t *ret_ns);
/* Go's form: "1m30s", "1.5s", "300ms", "0s"; owned by the caller. */
char *format_duration(int64_t duration_ns);
/* "39.2MB" in decimal units as docker prints them; owned by the caller. */
char *format_size(uint64_t bytes);

#endif
