/* Running nft(8) on a text. A transaction is in effect some milliseconds before nft ends: the kernel makes it wait, when it
 * closes its socket, until nobody uses the old rules any more. We wait for the kernel's word instead. */
#ifndef BERTH_ENGINE_LOCAL_NFT_H
#define BERTH_ENGINE_LOCAL_NFT_H

#include "base/process.h"

typedef struct NftRun {
        Process process;
        int generations, errors;
        bool running;
} NftRun;

#define NFT_RUN_INIT { .generations = -1, .errors = -1 }

/* Starts it with the commands, which are one transaction. ERROR_UNAVAILABLE where there is no nft. What was begun must be
 * finished. */
int nft_begin(const char *commands, NftRun *ret, Error **err);
/* Returns once they are in effect; ERROR_FAILED with nft's last word where it refused. A run that was not begun is fine. */
int nft_finish(NftRun *run, Error **err);

#endif
