/* What every engine must do, as tests that do not know which engine it is. */
#ifndef BERTH_TESTS_ENGINE_CONTRACT_H
#define BERTH_TESTS_ENGINE_CONTRACT_H

#include "engine/engine.h"

/* How one engine is set up for the tests. `image` has a shell; `command` runs until it is stopped, `ending` ends at
 * once with exit code 7. */
typedef struct ContractSetup {
        Engine *engine;
        const char *image;
        char *const *command, *const *ending;
        void (*let_end)(Engine *engine, const char *name); /* told before a container with `ending` starts; NULL */
} ContractSetup;

extern ContractSetup contract;

/* Runs all of them; the result is the process's exit status. */
int contract_run(const char *name);

#endif
