/* How much room the backups of a database take on this machine, and how much they may take before it is told of. Blocks for as
 * long as it takes to look at their files. */
#ifndef BERTH_OPERATE_BUDGET_H
#define BERTH_OPERATE_BUDGET_H

#include "base/macros.h"

typedef struct BudgetFacts {
        uint64_t used_bytes; /* on disk, of all clusters of the service */
        uint64_t data_bytes; /* of the cluster, when it was last backed up; 0: there is no backup yet */
        uint64_t log_bytes;  /* of the log since */
        uint64_t disk_bytes; /* size of the file system */
} BudgetFacts;

/* folder: "<data>/backups/<project>/<service>". False: there is nothing. */
bool budget_look(const char *folder, BudgetFacts *ret);

/* word: "50g", "20%" of the disk, or NULL: twice the data or 20 % of the disk, whichever is less. Where nothing is said it is never
 * less than one backup and the log behind it need. *ret_rule says how it came about; the caller's. */
uint64_t budget_compute(const BudgetFacts *facts, const char *word, char **ret_rule);

#endif
