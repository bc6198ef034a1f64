#include "keeper/machine.h"

#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/vector.h"
#include "deploy/restart.h"
#include "engine/local/local.h"
#include "keeper/keeper.h"
#include "keeper/start.h"
#include "state/document.h"

static int spawn_keeper(const Layout *layout, char *const *words, Process *ret, Error **err)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-keeper");
        _cleanup_strv_ char **argv = strv_new(program, NULL);
        ProcessSpec spec = PROCESS_SPEC_INIT;

        STRV_FOREACH(word, (char **)words)
                strv_add(&argv, *word);
        spec.argv = argv;
        spec.directory = "/";
        spec.stderr_fd = STDERR_FILENO;
        return process_spawn(&spec, ret, err);
}

/* Its first process ends at once. */
static int start_detached(const Layout *layout, const char *project, bool at_boot, Error **err)
{
        char *words[] = { (char *)"run", (char *)project, at_boot ? (char *)"--boot" : NULL, NULL };
        Process process;
        int status, r = spawn_keeper(layout, words, &process, err);

        return r < 0 ? r : process_wait(&process, -1, &status, err);
}

int machine_revive(const Layout *layout, const char *project, Error **err)
{
        _cleanup_free_ char *lock_path = layout_run(layout, "projects/%s/keeper.lock", project);
        _cleanup_close_ int lock_fd = -1;

        if (fs_exists(lock_path) && lock_file(lock_path, 0, &lock_fd, NULL) == -ERROR_CONFLICT)
                return 0;
        lock_fd = fs_close(lock_fd);
        return start_detached(layout, project, false, err);
}

/* ---- all projects ---- */

static bool comes_back(const ContainerInfo *info)
{
        RestartPolicy policy;

        return info->spec && restart_policy_from_text(info->spec->restart, &policy) && policy.kind != RESTART_NO;
}

/* It runs, or may do so at any moment. */
static bool is_to_be_stopped(const ContainerInfo *info)
{
        return info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED ||
               (comes_back(info) && !container_was_told_to_stop(info));
}

/* The projects with a container that matters; the caller frees (strv). */
static int projects_with(const Layout *layout, bool (*matters)(const ContainerInfo *info), char ***ret, Error **err)
{
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_container_list_ ContainerList list = { 0 };
        int r = layout_prepare(layout, err);

        if (r >= 0)
                r = local_engine_create(layout, &engine, err);
        if (r >= 0)
                r = engine->operations->container_list(engine, NULL, &list, err);
        for (size_t i = 0; r >= 0 && i < list.length; i++)
                if (list.items[i]->project && matters(list.items[i]) && !strv_contains(*ret, list.items[i]->project))
                        strv_add(ret, list.items[i]->project);
        return r;
}

int machine_boot(const Layout *layout, Error **err)
{
        _cleanup_strv_ char **projects = NULL;
        int r = projects_with(layout, comes_back, &projects, err);

        STRV_FOREACH(project, projects) {
                _cleanup_error_ Error *reason = NULL;
                if (start_detached(layout, *project, true, &reason) < 0) /* the others shall come back all the same */
                        log_failure(LOG_LEVEL_ERROR, reason, "start the keeper of project \"%s\"", *project);
        }
        return r;
}

int machine_boot_under(const Layout *layout, const char *project, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:i}", "wait_timeout_ms", BOOT_WAIT_MS);

        return keeper_call(layout, project, "boot", params, NULL, NULL, NULL, err);
}

/* A process for each project: they wait side by side. */
static int halt_all(const Layout *layout, Error **err)
{
        _cleanup_strv_ char **projects = NULL;
        VECTOR(Process) processes = { 0 };
        size_t failures = 0;
        int r = projects_with(layout, is_to_be_stopped, &projects, err);

        STRV_FOREACH(project, projects) {
                _cleanup_error_ Error *reason = NULL;
                char *words[] = { (char *)"halt", *project, NULL };
                Process process;
                if (spawn_keeper(layout, words, &process, &reason) >= 0) {
                        vector_add(&processes, process);
                        continue;
                }
                failures++;
                log_failure(LOG_LEVEL_ERROR, reason, "stop project \"%s\"", *project);
        }
        VECTOR_FOREACH(process, &processes) {
                int status = 0;
                failures += process_wait(process, -1, &status, NULL) < 0 || status != 0;
        }
        vector_done(&processes);
        if (r >= 0 && failures)
                r = error_set(err, ERROR_FAILED, "%zu of %zu projects could not be stopped", failures,
                              strv_length(projects));
        return r;
}

int machine_halt(const Layout *layout, const char *project, Error **err)
{
        return project ? keeper_call(layout, project, "halt", NULL, NULL, NULL, NULL, err) : halt_all(layout, err);
}
