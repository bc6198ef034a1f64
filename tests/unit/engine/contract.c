#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "contract.h"

ContractSetup contract;

#define OPS (contract.engine->operations)
#define E   (contract.engine)

static void must(int r, Error **err)
{
        if (r < 0)
                print_error("%s\n", *err ? (*err)->message : "failed without a message");
        assert_true(r >= 0);
}

#define MUST(call)                    \
        do {                          \
                Error *error = NULL;  \
                Error **err = &error; \
                int result = (call);  \
                must(result, err);    \
                error_free(error);    \
        } while (0)

#define MUST_FAIL(expected, call)                      \
        do {                                           \
                _cleanup_error_ Error *error = NULL;   \
                Error **err = &error;                  \
                int result = (call);                   \
                assert_int_equal(result, -(expected)); \
                assert_non_null(error);                \
                assert_non_null(error->message);       \
        } while (0)

static ContainerSpec *spec_of(const char *name, char *const *command)
{
        ContainerSpec *spec = container_spec_create();
        Image *image = NULL;

        MUST(OPS->image_find(E, contract.image, "auto", &image, err));
        spec->name = arena_strdup(spec->arena, name);
        spec->project = arena_strdup(spec->arena, "contract");
        spec->service = arena_strdup(spec->arena, "s");
        spec->image = arena_strdup(spec->arena, contract.image);
        spec->image_id = arena_strdup(spec->arena, image->id);
        spec->argv = arena_strv(spec->arena, command);
        spec->network_mode = arena_strdup(spec->arena, "none");
        spec->stop_grace_ns = 2 * INT64_C(1000000000);
        image_free(image);
        return spec;
}

static char *create(const char *name, char *const *command)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = spec_of(name, command);
        char *id = NULL;

        MUST(OPS->container_create(E, spec, NULL, &id, err));
        return id;
}

static ContainerInfo *inspect(const char *id)
{
        ContainerInfo *info = NULL;

        MUST(OPS->container_inspect(E, id, &info, err));
        return info;
}

static ContainerState state_of(const char *id)
{
        _cleanup_(container_info_freep) ContainerInfo *info = inspect(id);

        return info->state;
}

static void end(const char *id)
{
        MUST(OPS->container_stop(E, id, 0, STOP_BY_COMMAND, err));
        MUST(OPS->container_remove(E, id, REMOVE_ANONYMOUS_VOLUMES, err));
}

static void test_life(void **state)
{
        _cleanup_free_ char *id = create("contract-life", contract.command);

        assert_int_equal(state_of(id), CONTAINER_CREATED);
        MUST(OPS->container_start(E, id, NULL, err));
        assert_int_equal(state_of(id), CONTAINER_RUNNING);
        assert_int_equal(state_of("contract-life"), CONTAINER_RUNNING);
        MUST(OPS->container_start(E, id, NULL, err)); /* again: nothing to do */
        MUST_FAIL(ERROR_CONFLICT, OPS->container_remove(E, id, 0, err));
        MUST(OPS->container_stop(E, id, 1000, STOP_RELEASE, err));
        assert_int_equal(state_of(id), CONTAINER_EXITED);
        MUST(OPS->container_stop(E, id, 1000, STOP_RELEASE, err));
        MUST(OPS->container_start(E, id, NULL, err));
        assert_int_equal(state_of(id), CONTAINER_RUNNING);
        end(id);
        MUST(OPS->container_remove(E, id, 0, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_inspect(E, id, &(ContainerInfo *){ NULL }, err));
}

static void test_stopped_for_a_reason(void **state)
{
        const struct {
                StopReason reason;
                bool manually_stopped, halted;
        } cases[] = { { STOP_RELEASE, false, false },
                      { STOP_BY_COMMAND, true, false },
                      { STOP_FOR_HALT, false, true } };
        _cleanup_free_ char *id = create("contract-reason", contract.command);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_(container_info_freep) ContainerInfo *info = NULL;
                MUST(OPS->container_start(E, id, NULL, err)); /* forgets the reason before */
                MUST(OPS->container_stop(E, id, 0, cases[i].reason, err));
                info = inspect(id);
                assert_int_equal(info->manually_stopped, cases[i].manually_stopped);
                assert_int_equal(info->halted, cases[i].halted);
        }
        end(id);
}

static void test_creating_twice(void **state)
{
        _cleanup_(container_spec_freep) ContainerSpec *other = spec_of("contract-twice", contract.command);
        _cleanup_free_ char *id = create("contract-twice", contract.command),
                            *again = create("contract-twice", contract.command);
        char *none = NULL;

        assert_string_equal(id, again);
        other->hostname = arena_strdup(other->arena, "elsewhere");
        MUST_FAIL(ERROR_EXISTS, OPS->container_create(E, other, NULL, &none, err));
        assert_null(none);
        end(id);
}

static void test_exit_code_and_descriptor(void **state)
{
        _cleanup_free_ char *id = create("contract-exit", contract.ending);
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;

        if (contract.let_end)
                contract.let_end(E, "contract-exit");
        MUST(OPS->container_start(E, id, NULL, err));
        for (int i = 0; i < 1000 && state_of(id) == CONTAINER_RUNNING; i++)
                usleep(10000);
        info = inspect(id);
        assert_int_equal(info->state, CONTAINER_EXITED);
        assert_int_equal(info->exit_code, 7);
        assert_int_equal(info->pid, 0);
        assert_true(info->finished_ns >= info->started_ns && info->started_ns >= info->created_ns);
        assert_false(info->manually_stopped);
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_exit_fd(E, id, &(int){ -1 }, err));
        end(id);
}

static void test_exit_descriptor(void **state)
{
        _cleanup_free_ char *id = create("contract-fd", contract.command);
        struct pollfd poller = { .events = POLLIN };

        MUST(OPS->container_start(E, id, NULL, err));
        MUST(OPS->container_exit_fd(E, id, &poller.fd, err));
        assert_int_equal(poll(&poller, 1, 0), 0);
        MUST(OPS->container_kill(E, id, SIGKILL, err));
        assert_int_equal(poll(&poller, 1, 10000), 1);
        close(poller.fd);
        assert_int_equal(state_of(id), CONTAINER_EXITED);
        MUST_FAIL(ERROR_CONFLICT, OPS->container_kill(E, id, SIGKILL, err));
        end(id);
}

static void test_manual_stop(void **state)
{
        _cleanup_free_ char *id = create("contract-manual", contract.command);
        ContainerInfo *info;

        MUST(OPS->container_start(E, id, NULL, err));
        MUST(OPS->container_stop(E, id, 0, STOP_BY_COMMAND, err));
        info = inspect(id);
        assert_true(info->manually_stopped);
        container_info_free(info);
        MUST(OPS->container_start(E, id, NULL, err));
        info = inspect(id);
        assert_false(info->manually_stopped);
        container_info_free(info);
        end(id);
}

static void test_pause(void **state)
{
        _cleanup_free_ char *id = create("contract-pause", contract.command);

        MUST_FAIL(ERROR_CONFLICT, OPS->container_pause(E, id, true, err));
        MUST(OPS->container_start(E, id, NULL, err));
        MUST(OPS->container_pause(E, id, true, err));
        assert_int_equal(state_of(id), CONTAINER_PAUSED);
        MUST_FAIL(ERROR_CONFLICT,
                  OPS->exec(E, id, &(ExecSpec){ .argv = contract.ending, .timeout_ms = -1 }, &(ExecResult){ 0 }, err));
        MUST(OPS->container_pause(E, id, false, err));
        assert_int_equal(state_of(id), CONTAINER_RUNNING);
        MUST(OPS->container_pause(E, id, true, err));
        end(id); /* a paused one can be stopped */
}

static void test_rename(void **state)
{
        _cleanup_free_ char *id = create("contract-old", contract.command), *second = NULL;

        MUST(OPS->container_rename(E, id, "contract-new", err));
        assert_int_equal(state_of("contract-new"), CONTAINER_CREATED);
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_inspect(E, "contract-old", &(ContainerInfo *){ NULL }, err));
        second = create("contract-old", contract.command); /* the name is free */
        MUST_FAIL(ERROR_EXISTS, OPS->container_rename(E, second, "contract-new", err));
        end(id);
        end(second);
}

static void test_list(void **state)
{
        _cleanup_free_ char *one = create("contract-b", contract.command),
                            *two = create("contract-a", contract.command);
        ContainerList list;

        MUST(OPS->container_list(E, "contract", &list, err));
        assert_int_equal(list.length, 2);
        assert_string_equal(list.items[0]->project, "contract");
        container_list_done(&list);
        MUST(OPS->container_list(E, "another", &list, err));
        assert_int_equal(list.length, 0);
        container_list_done(&list);
        MUST(OPS->container_list(E, NULL, &list, err));
        assert_true(list.length >= 2);
        container_list_done(&list);
        end(one);
        end(two);
}

static void test_note(void **state)
{
        _cleanup_free_ char *id = create("contract-note", contract.command);
        ContainerInfo *info;

        MUST(OPS->container_start(E, id, NULL, err));
        MUST(OPS->container_note(E, id, "healthy", 3, err));
        info = inspect(id);
        assert_string_equal(info->health, "healthy");
        assert_int_equal(info->restart_count, 3);
        container_info_free(info);

        /* What was said of one run does not stand for the next. */
        MUST(OPS->container_stop(E, id, 0, STOP_BY_COMMAND, err));
        MUST(OPS->container_start(E, id, NULL, err));
        info = inspect(id);
        assert_string_equal(info->health, "starting");
        assert_int_equal(info->restart_count, 3);
        container_info_free(info);
        end(id);
}

static void test_what_does_not_exist(void **state)
{
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_start(E, "contract-none", NULL, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_stop(E, "contract-none", 0, STOP_RELEASE, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->container_inspect(E, "contract-none", &(ContainerInfo *){ NULL }, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->network_inspect(E, "contract-none", &(NetworkInfo *){ NULL }, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->volume_inspect(E, "contract-none", false, &(VolumeInfo *){ NULL }, err));
        MUST(OPS->container_remove(E, "contract-none", 0, err));
        MUST(OPS->volume_remove(E, "contract-none", false, err));
}

static void test_volumes(void **state)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = spec_of("contract-volume", contract.command);
        VolumeSpec volume = { .name = (char *)"contract-data", .project = (char *)"contract", .key = (char *)"data" };
        VolumeInfo *info = NULL;
        char *id = NULL;

        MUST(OPS->volume_create(E, &volume, err));
        MUST(OPS->volume_create(E, &volume, err));
        MUST(OPS->volume_inspect(E, "contract-data", false, &info, err));
        assert_string_equal(info->name, "contract-data");
        volume_info_free(info);
        spec->mounts = arena_new_array(spec->arena, SpecMount, 1);
        spec->n_mounts = 1;
        spec->mounts[0] = (SpecMount){ .kind = SPEC_MOUNT_VOLUME,
                                       .source = arena_strdup(spec->arena, "contract-data"),
                                       .target = arena_strdup(spec->arena, "/mnt"),
                                       .tmpfs_size = -1,
                                       .tmpfs_mode = -1 };
        MUST(OPS->container_create(E, spec, NULL, &id, err));
        MUST_FAIL(ERROR_CONFLICT, OPS->volume_remove(E, "contract-data", false, err));
        end(id);
        free(id);
        MUST(OPS->volume_remove(E, "contract-data", true, err));
        MUST_FAIL(ERROR_NOT_FOUND, OPS->volume_inspect(E, "contract-data", false, &info, err));
}

static void test_missing_image(void **state)
{
        Image *image = NULL;

        MUST(OPS->image_find(E, contract.image, "auto", &image, err));
        assert_non_null(image->id);
        image_free(image);
}

static void test_recover_changes_nothing(void **state)
{
        _cleanup_free_ char *runs = create("contract-runs", contract.command),
                            *made = create("contract-made", contract.command);

        MUST(OPS->container_start(E, runs, NULL, err));
        MUST(OPS->recover(E, "contract", NULL, err));
        MUST(OPS->recover(E, "contract", NULL, err));
        assert_int_equal(state_of(runs), CONTAINER_RUNNING);
        assert_int_equal(state_of(made), CONTAINER_CREATED);
        end(runs);
        end(made);
}

int contract_run(const char *name)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_life),
                cmocka_unit_test(test_stopped_for_a_reason),
                cmocka_unit_test(test_creating_twice),
                cmocka_unit_test(test_exit_code_and_descriptor),
                cmocka_unit_test(test_exit_descriptor),
                cmocka_unit_test(test_manual_stop),
                cmocka_unit_test(test_pause),
                cmocka_unit_test(test_rename),
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_note),
                cmocka_unit_test(test_what_does_not_exist),
                cmocka_unit_test(test_volumes),
                cmocka_unit_test(test_missing_image),
                cmocka_unit_test(test_recover_changes_nothing),
        };

        return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
