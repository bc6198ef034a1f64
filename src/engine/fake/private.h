/* Between the files of the fake engine. */
#ifndef BERTH_ENGINE_FAKE_PRIVATE_H
#define BERTH_ENGINE_FAKE_PRIVATE_H

#include <pthread.h>

#include "base/vector.h"
#include "engine/fake/fake.h"

typedef struct FakeRule {
        char *call, *name, *message;
        int times, delay_ms, exit_code;
        ErrorKind kind;
} FakeRule;

typedef struct FakeLine {
        int stream;
        int64_t time_ns;
        char *text;
} FakeLine;

typedef struct FakeContainer {
        char *id, *health, *exec_output;
        ContainerSpec *spec;
        ContainerState state;
        int exit_code, exit_fd; /* an eventfd, raised at the end of a run */
        bool manually_stopped, halted;
        int64_t created_ns, started_ns, finished_ns, restart_count;
        VECTOR(FakeLine) log;
} FakeContainer;

typedef struct FakeEngine {
        Engine engine;
        EngineOperations operations;
        pthread_mutex_t mutex;
        const Clock *clock;
        int next_id;
        VECTOR(FakeContainer *) containers;
        VECTOR(FakeRule) rules;
        char **journal, **missing_images, **networks, **volumes;
} FakeEngine;

FakeEngine *fake_lock(Engine *engine);
void fake_unlockp(FakeEngine **fake);
#define _cleanup_fake_lock_ _cleanup_(fake_unlockp)

int64_t fake_now(const FakeEngine *fake);
/* Writes the journal, waits and fails as the script says. Without the lock held. */
int fake_begin(Engine *engine, const char *call, const char *name, Error **err);
FakeContainer *fake_find(FakeEngine *fake, const char *id_or_name);
int fake_get(FakeEngine *fake, const char *id_or_name, FakeContainer **ret, Error **err);
bool fake_runs(const FakeContainer *container);
void fake_end(FakeEngine *fake, FakeContainer *container, int exit_code);
void fake_container_free(FakeContainer *container);
const FakeRule *fake_last_rule(const FakeEngine *fake, const char *call, const char *name);

void fake_container_operations(EngineOperations *operations);
void fake_other_operations(EngineOperations *operations);

#endif
