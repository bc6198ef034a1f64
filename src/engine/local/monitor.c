#include "engine/local/monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/process.h"
#include "base/strv.h"
#include "engine/local/private.h"
#include "engine/local/runtime.h"
#include "state/document.h"

#define CREATE_TIMEOUT_MS 120000
#define MAX_PORT_FDS      60

/* ---- conmon's command line ---- */

static char **make_argv(const MonitorStart *start, const char *program)
{
        const ContainerRecord *record = start->record;
        const ContainerSpec *spec = record->spec;
        _cleanup_free_ char *state = runtime_state_path(start->layout);
        const char *run = record->run_path;
        char **argv = strv_new(program, "--api-version", "1", "--cid", record->id, "--cuuid", record->id, "--name",
                               spec->name, "--runtime", start->runtime, "--runtime-arg", "--root", "--runtime-arg",
                               state, "--full-attach", "--log-level", "error", "--no-new-keyring", NULL);

        strv_addf(&argv, "--bundle=%s/bundle", run);
        strv_addf(&argv, "--persist-dir=%s", run);
        strv_addf(&argv, "--container-pidfile=%s/pid", run);
        strv_addf(&argv, "--conmon-pidfile=%s/monitor.pid", run);
        if (spec->log_driver && streq(spec->log_driver, "none"))
                strv_add(&argv, "--log-path=null");
        else
                strv_addf(&argv, "--log-path=k8s-file:%s/logs/container.log", record->data_path);
        if (spec->tty)
                strv_add(&argv, "--terminal");
        if (spec->open_stdin) {
                strv_add(&argv, "--stdin");
                if (!spec->oneoff) /* `run` passes the end of its input on */
                        strv_add(&argv, "--leave-stdin-open");
        }
        for (char **part = start->exit_command; part && *part; part++) {
                strv_add(&argv, part == start->exit_command ? "--exit-command" : "--exit-command-arg");
                strv_add(&argv, *part);
        }
        return argv;
}

static char **make_environment(int sync_fd)
{
        char **environment = NULL;

        STRV_FOREACH(entry, environ)
                if (!startswith(*entry, "_OCI_") && !startswith(*entry, "LISTEN_") &&
                    !startswith(*entry, "NOTIFY_SOCKET="))
                        strv_add(&environment, *entry);
        strv_addf(&environment, "_OCI_SYNCPIPE=%d", sync_fd);
        return environment;
}

/* ---- what the runtime said ---- */

/* runc logs "time=… level=error msg="…"" lines, crun plain ones: the message of the last that has one. */
static char *readable_reason(const char *text)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');
        const char *best = NULL;
        char *reason;

        STRV_FOREACH(line, lines)
                if (**line && !strstr(*line, "level=warning"))
                        best = *line;
        if (!best)
                return xstrdup("the runtime gave no reason");
        if (strstr(best, "msg=\"")) {
                Strbuf plain = STRBUF_INIT;
                for (const char *c = strstr(best, "msg=\"") + 5; *c && *c != '"'; c++)
                        strbuf_addc(&plain, *c == '\\' && c[1] ? *++c : *c);
                return strbuf_take(&plain);
        }
        reason = xstrdup(best);
        return reason;
}

static int create_failed(const ContainerSpec *spec, const char *message, Error **err)
{
        _cleanup_free_ char *reason = readable_reason(message ? message : "");
        const char *what = strstr(reason, "exec: ");

        if (what && strstr(what, "not found"))
                return error_set(err, ERROR_FAILED, "start container %s: \"%s\" is not in its PATH", spec->name,
                                 spec->argv[0]);
        if (what && strstr(what, "no such file"))
                return error_set(err, ERROR_FAILED, "start container %s: \"%s\" does not exist in it", spec->name,
                                 spec->argv[0]);
        return error_set(err, ERROR_FAILED, "start container %s: %s", spec->name, reason);
}

/* {"data": pid} or {"data": -1, "message": "…"}, one line. */
static int read_answer(int fd, const ContainerSpec *spec, pid_t *ret_pid, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *json = NULL;
        int64_t deadline = clock_monotonic_ns() + CREATE_TIMEOUT_MS * NSEC_PER_MSEC;

        while (!memchr(strbuf_text(&text), '\n', text.length)) {
                struct pollfd poller = { .fd = fd, .events = POLLIN };
                int64_t left_ms = (deadline - clock_monotonic_ns()) / NSEC_PER_MSEC;
                char chunk[4096];
                ssize_t n;
                if (left_ms <= 0 || poll(&poller, 1, (int)left_ms) == 0)
                        return error_set(err, ERROR_TIMEOUT, "start container %s: the runtime does not answer",
                                         spec->name);
                n = read(fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                strbuf_add(&text, chunk, (size_t)n);
        }
        json = json_loads(strbuf_text(&text), JSON_DISABLE_EOF_CHECK, NULL);
        *ret_pid = (pid_t)json_get_int(json, "data", -1);
        return *ret_pid > 0 ? 0 : create_failed(spec, json_get_string(json, "message", NULL), err);
}

static pid_t read_pid_file(const ContainerRecord *record, const char *name)
{
        _cleanup_free_ char *path = path_join(record->run_path, name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int64_t pid;

        if (fs_read_file(AT_FDCWD, path, 64, &text, NULL) < 0)
                return 0;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        return parse_int64(strbuf_text(&text), 1, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

/* ---- its cgroup ---- */

/* A cgroup of its own, so that whoever ends ours (a session, a unit) does not end it. NULL where there is none to make.
 */
static char *monitors_cgroup(const Layout *layout)
{
        const char *root = cgroup_is_v2() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/systemd";
        _cleanup_free_ char *path = xasprintf("%s/berth-%s/monitors", root, layout->id);

        if (!fs_is_directory(root) || fs_make_directories(path, 0755, NULL) < 0)
                return NULL;
        return path_join(path, "cgroup.procs");
}

static int prepare_folders(const ContainerRecord *record, Error **err)
{
        const char *const stale[] = { "exit", "oom", "bundle/oom", "pid", ".pid", "monitor.pid" };
        _cleanup_free_ char *logs = path_join(record->data_path, "logs"),
                            *bundle = path_join(record->run_path, "bundle");
        int r = fs_make_directories(logs, 0700, err);

        if (r >= 0)
                r = fs_make_directories(bundle, 0700, err);
        for (size_t i = 0; i < ARRAY_SIZE(stale); i++) {
                _cleanup_free_ char *path = path_join(record->run_path, stale[i]);
                unlink(path);
        }
        return r;
}

/* Once more where the cgroup was taken away in between: with the last container it is removed. */
static int run_in_cgroup(const Layout *layout, ProcessRun *run, ProcessResult *ret, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = -ERROR_IO;

        for (int i = 0; r == -ERROR_IO || r == -ERROR_NOT_FOUND; i++) {
                _cleanup_free_ char *cgroup = monitors_cgroup(layout);
                error_free(TAKE_PTR(error));
                run->spec.cgroup_procs = cgroup;
                r = process_run(run, ret, &error);
                if (i == 5)
                        break;
        }
        return error_move(err, &error, r);
}

static int spawn(const MonitorStart *start, const char *program, int sync_fd, Error **err)
{
        _cleanup_strv_ char **argv = make_argv(start, program), **environment = make_environment(3);
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        int kept[MAX_PORT_FDS + 2] = { sync_fd }, n = 1, r;

        for (const int *fd = start->port_fds; fd && *fd >= 0; fd++) {
                if (n > MAX_PORT_FDS)
                        return error_set(err, ERROR_UNSUPPORTED, "more than %d published ports", MAX_PORT_FDS);
                kept[n++] = *fd;
        }
        kept[n] = -1;
        run.spec.argv = argv;
        run.spec.environment = environment;
        run.spec.keep_fds = kept;
        run.spec.directory = start->record->run_path; /* it writes a file "oom" where it is */
        r = run_in_cgroup(start->layout, &run, &result, err);
        if (r < 0)
                return r;
        if (result.status != 0)
                return error_set(err, ERROR_FAILED, "start container %s: conmon: %s", start->record->spec->name,
                                 result.errors.length ? strbuf_text(&result.errors) : "it failed without a word");
        return 0;
}

int monitor_create(const MonitorStart *start, pid_t *ret_pid, pid_t *ret_monitor_pid, Error **err)
{
        _cleanup_free_ char *program = process_find("conmon");
        _cleanup_close_ int sync_read = -1, sync_write = -1;
        int fds[2], r;

        if (!program)
                return error_hint(err, error_set(err, ERROR_UNAVAILABLE, "conmon: not found in PATH"),
                                  "Install the package conmon.");
        r = prepare_folders(start->record, err);
        if (r < 0)
                return r;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        sync_read = fds[0];
        sync_write = fds[1];
        r = spawn(start, program, sync_write, err);
        if (r < 0)
                return r;
        sync_write = fs_close(sync_write);
        r = read_answer(sync_read, start->record->spec, ret_pid, err);
        *ret_monitor_pid = read_pid_file(start->record, "monitor.pid");
        return r;
}

/* runc's `start` does nothing but open this FIFO, which its waiting process blocks on: a Go program less to start. */
static bool open_runc_fifo(const Layout *layout, const ContainerRecord *record, const char *runtime)
{
        _cleanup_free_ char *state = runtime_state_path(layout), *path = NULL;
        _cleanup_close_ int fd = -1;
        char byte;

        if (!startswith(path_basename(runtime), "runc"))
                return false;
        path = xasprintf("%s/%s/exec.fifo", state, record->id);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return false;
        for (int i = 0; i < 2000; i++) {
                struct pollfd poller = { .fd = fd, .events = POLLIN };
                poll(&poller, 1, 5);
                if (read(fd, &byte, 1) == 1) {
                        unlink(path);
                        return true;
                }
                if (!process_is_alive((pid_t)record->run.pid, record->run.pid_start))
                        return true;
        }
        return false;
}

static int run_runtime(const Layout *layout, const ContainerRecord *record, const char *runtime, const char *verb,
                       const char *option, Error **err)
{
        _cleanup_free_ char *state = runtime_state_path(layout);
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[7] = { runtime, "--root", state, verb };
        ProcessRun run = PROCESS_RUN_INIT;
        size_t n = 4;
        int r;

        if (option)
                argv[n++] = option;
        argv[n] = record->id;
        run.spec.argv = (char *const *)argv;
        run.timeout_ms = 60000;
        r = process_run(&run, &result, err);
        if (r >= 0 && result.status != 0) {
                _cleanup_free_ char *reason = readable_reason(strbuf_text(&result.errors));
                r = error_set(err, ERROR_FAILED, "%s container %s: %s", verb, record->spec->name, reason);
        }
        return r;
}

int monitor_start(const Layout *layout, const ContainerRecord *record, const char *runtime, Error **err)
{
        if (open_runc_fifo(layout, record, runtime))
                return 0;
        return run_runtime(layout, record, runtime, "start", NULL, err);
}

int monitor_delete(const Layout *layout, const ContainerRecord *record, const char *runtime, Error **err)
{
        _cleanup_free_ char *state = runtime_state_path(layout), *path = path_join(state, record->id);

        if (!fs_exists(path))
                return 0;
        return run_runtime(layout, record, runtime, "delete", "--force", err);
}
