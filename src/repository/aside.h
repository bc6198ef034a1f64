/* What was damaged and has been replaced is kept in the repository, below "damaged/<time>/" under the names that it had: nothing
 * needs it, but whoever looks for what happened may. It goes after thirty days. */
#ifndef BERTH_REPOSITORY_ASIDE_H
#define BERTH_REPOSITORY_ASIDE_H

#include "base/error.h"

#define REPOSITORY_ASIDE "damaged"
#define ASIDE_KEPT_NS    (INT64_C(30) * 86400 * 1000000000)

/* "damaged/<time>" of now; the caller's. */
char *aside_name(void);
/* Removes what is older than that in the repository at path; adds to both numbers. */
int aside_prune(const char *path, int64_t now_ns, uint64_t *removed, uint64_t *freed_bytes, Error **err);

#endif
