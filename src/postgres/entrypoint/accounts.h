/* passwd and group read from their files: a static program must not enter NSS (its modules are dynamic and crash it).
 */
#ifndef BERTH_POSTGRES_ENTRYPOINT_ACCOUNTS_H
#define BERTH_POSTGRES_ENTRYPOINT_ACCOUNTS_H

#include <sys/types.h>

#include "base/error.h"

typedef struct Account {
        uid_t uid;
        gid_t gid;
        char *name; /* NULL where the number is in no passwd */
        char *home; /* "/" where unknown */
} Account;

void account_done(Account *account);
#define _cleanup_account_ _cleanup_(account_done)

/* user[:group], names or numbers, as `docker run --user` takes it. ERROR_NOT_FOUND for an unknown name. */
int account_find(const char *specification, Account *ret, Error **err);
/* True where a passwd entry has this number. */
bool account_exists(uid_t uid);
/* Becomes the account for good: supplementary groups (none where the specification named a group), gid, uid; sets HOME.
 */
int account_become(const Account *account, bool with_groups, Error **err);

#endif
