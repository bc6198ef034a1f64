#include "keeper/backup_tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/process.h"
#include "base/strv.h"
#include "keeper/budget.h"
#include "operate/backup_settings.h"
#include "operate/receiver_control.h"
#include "operate/synchronous_off.h"
#include "operate/target.h"
#include "state/document.h"
#include "state/worker.h"

#define START_TIMEOUT_MS 10000
#define MAX_RATE_KIB     (64 * 1024)

const json_t *backup_setting(const Keeper *keeper, const char *service, const char *key)
{
        return backup_setting_of(keeper->state.model, service, key);
}

/* ---- receivers ---- */

static int64_t async_after_ns(const Keeper *keeper, const char *service)
{
        const json_t *word = backup_setting(keeper, service, "when_unavailable");
        int64_t ns = -1;

        if (json_is_object(word) && parse_duration(json_get_string(word, "async_after", ""), &ns))
                return ns;
        return -1;
}

json_t *receiver_wanted(const Keeper *keeper, const char *service)
{
        bool synchronous = json_is_true(backup_setting(keeper, service, "synchronous"));

        return json_pack("{s:b, s:I}", "synchronous", synchronous, "async_after_ns",
                         (json_int_t)(synchronous ? async_after_ns(keeper, service) : -1));
}

ReceiverStart *receiver_start_create(Keeper *keeper, const char *service, const char *id)
{
        ReceiverStart *start = xnew(ReceiverStart);

        *start = (ReceiverStart){
                keeper, xstrdup(service), xstrdup(id), 0, -1, receiver_wanted(keeper, service), false
        };
        return start;
}

void receiver_start_free(ReceiverStart *start)
{
        fs_close(start->pidfd);
        json_decref(start->asked);
        free(start->service);
        free(start->id);
        free(start);
}

static json_t *load_state(const Keeper *keeper, const char *service)
{
        return receiver_state_load(keeper->parts.layout, keeper->project, service);
}

/* The one that another keeper started. */
static bool take_over(ReceiverStart *start, pid_t server_pid)
{
        _cleanup_json_ json_t *state = load_state(start->keeper, start->service);
        pid_t pid = receiver_state_pid(state);

        if (pid <= 0 || json_get_int(state, "server_pid", 0) != server_pid)
                return false;
        start->pid = pid;
        start->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (start->pidfd < 0)
                return false;
        json_object_update(start->asked, json_object_get(state, "asked"));
        receiver_resume(start->keeper->parts.layout, start->keeper->project, start->service);
        return true;
}

static int write_params(const ReceiverStart *start, const ContainerInfo *info, Error **err)
{
        const Layout *layout = start->keeper->parts.layout;
        _cleanup_free_ char *slot = xasprintf("berth_%s", layout->id);
        _cleanup_json_ json_t *params =
                json_pack("{s:s, s:s, s:s, s:o}", "project", start->keeper->project, "service", start->service, "slot",
                          slot, "target", database_target_to_json(info));
        int written = params ? json_object_update(params, start->asked) : -1;
        _cleanup_(free_secretp) char *text = json_dumps(params, JSON_COMPACT);

        return written < 0 ? error_set(err, ERROR_INTERNAL, "the receiver's parameters cannot be written")
                           : fs_memory_file("receiver", text, strlen(text), err);
}

static int spawn(ReceiverStart *start, const ContainerInfo *info, Error **err)
{
        _cleanup_free_ char *program = layout_libexec(start->keeper->parts.layout, "berth-receiver");
        _cleanup_close_ int params = write_params(start, info, err);
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[] = { program, NULL };
        ProcessRun run = PROCESS_RUN_INIT;
        int keep[] = { params, -1 }, r;

        if (params < 0)
                return params;
        run.spec.argv = (char *const *)argv;
        run.spec.keep_fds = keep;
        run.spec.directory = "/";
        run.timeout_ms = START_TIMEOUT_MS;
        r = process_run_checked(&run, &result, err); /* it goes into the background and tells its number */
        if (r < 0)
                return r;
        start->pid = (pid_t)atoi(strbuf_text(&result.output));
        if (start->pid > 0)
                start->pidfd = (int)syscall(SYS_pidfd_open, start->pid, 0);
        return 0;
}

int receiver_start_work(void *context, Error **err)
{
        ReceiverStart *start = context;
        Engine *engine = start->keeper->parts.engine;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        int r = engine->operations->container_inspect(engine, start->id, &info, err);

        if (r < 0)
                return r;
        if (info->pid <= 0)
                return error_set(err, ERROR_UNAVAILABLE, "the container does not run");
        return take_over(start, info->pid) ? 0 : spawn(start, info, err);
}

/* Later than since_ns: 0: any. */
static bool has_backup(const char *repository, int64_t since_ns)
{
        _cleanup_free_ char *folder = path_join(repository, "backups");
        _cleanup_strv_ char **ids = NULL;

        if (fs_list_directory(AT_FDCWD, folder, &ids, NULL) < 0)
                return false;
        STRV_FOREACH(id, ids) {
                _cleanup_free_ char *record = xasprintf("%s/%s/backup.json", folder, *id);
                struct stat status;

                if (stat(record, &status) == 0 && status.st_mtim.tv_sec * NSEC_PER_SEC >= since_ns)
                        return true;
        }
        return false;
}

int64_t receiver_gap_ns(const Keeper *keeper, const char *service)
{
        _cleanup_json_ json_t *state = load_state(keeper, service);

        return json_get_int(state, "gap_ns", 0);
}

ReceiverLook receiver_look(const Keeper *keeper, const char *service, pid_t pid)
{
        _cleanup_json_ json_t *state = load_state(keeper, service);
        const char *repository = json_get_string(state, "repository", NULL);

        if (!repository || json_get_int(state, "pid", 0) != pid ||
            !streq(json_get_string(state, "phase", ""), "streaming"))
                return RECEIVER_WAITS;
        return has_backup(repository, json_get_int(state, "gap_ns", 0)) ? RECEIVER_IS_WELL : RECEIVER_NEEDS_BACKUP;
}

/* ---- commits that wait for a receiver ---- */

int synchronous_off_work(void *context, Error **err)
{
        ReceiverStart *start = context;
        Engine *engine = start->keeper->parts.engine;
        _cleanup_json_ json_t *state = load_state(start->keeper, start->service);
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        int r;

        if (!start->hangs && receiver_state_pid(state) && streq(json_get_string(state, "phase", ""), "streaming"))
                return 1;
        r = engine->operations->container_inspect(engine, start->id, &info, err);
        return r < 0 ? r : synchronous_off_running(start->keeper->parts.layout, engine, info, err);
}

/* ---- backups ---- */

BackupTask *backup_task_create(Keeper *keeper, const char *service, const char *id, int cancel_fd, bool first)
{
        const char *rate = json_string_value(backup_setting(keeper, service, "max_rate"));
        BackupTask *task = xnew(BackupTask);
        int64_t bytes = 0;

        *task = (BackupTask){ keeper, xstrdup(service), xstrdup(id), cancel_fd, first, MAX_RATE_KIB, NULL, NULL };
        task->prune_first = budget_is_over(keeper, service);
        task->keep = backup_keep_of(keeper->state.model, service, "local");
        if (rate && parse_size(rate, &bytes)) /* what the server accepts */
                task->max_rate_kib = MIN(MAX(bytes / 1024, (int64_t)32), (int64_t)1024 * 1024);
        return task;
}

void backup_task_free(BackupTask *task)
{
        json_decref(task->keep);
        json_decref(task->result);
        free(task->service);
        free(task->id);
        free(task);
}

static void on_event(void *context, const json_t *event)
{
        const BackupTask *task = context;
        const char *warning = json_get_string(event, "warning", NULL);

        if (warning)
                log_warning("backup of %s: %s", task->service, warning);
}

int backup_task_work(BackupTask *task, Error **err)
{
        const KeeperParts *parts = &task->keeper->parts;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_json_ json_t *params = NULL;
        WorkerRun run = {
                .job = "backup", .input_fd = -1, .cancel_fd = task->cancel_fd, .context = task, .event = on_event
        };
        int r = parts->engine->operations->container_inspect(parts->engine, task->id, &info, err);

        if (r < 0)
                return r;
        params = json_pack("{s:s, s:s, s:o, s:b, s:b, s:I}", "project", task->keeper->project, "service", task->service,
                           "target", database_target_to_json(info), "gentle", 1, "spread", !task->first, "max_rate_kib",
                           (json_int_t)task->max_rate_kib);
        json_object_set_new(params, "keep", json_incref(task->keep));
        json_object_set_new(params, "prune_first", json_boolean(task->prune_first));
        run.params = params;
        return worker_run(parts->layout, &run, &task->result, err);
}
