#include "engine/local/exec_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/local/enter_reaper.h"
#include "engine/local/users.h"
#include "state/document.h"

#define KILL_NS       (3 * NSEC_PER_SEC)
#define KILL_AGAIN_MS 10
#define CONFIG_LIMIT  ((size_t)16 * 1024 * 1024)

void exec_process_done(ExecProcess *process)
{
        if (process->process_path)
                unlink(process->process_path);
        if (process->pid_path)
                unlink(process->pid_path);
        if (process->direct)
                enter_done(&process->enter);
        strv_free(process->argv);
        free(process->reason);
        free(process->process_path);
        free(process->pid_path);
        free(process->directory);
}

/* The main process's description: rights, limits, environment are the same. */
static int load_config(const ContainerRecord *record, json_t **ret, Error **err)
{
        _cleanup_free_ char *path = path_join(record->run_path, "bundle/config.json");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *config = NULL;
        int r = fs_read_file(AT_FDCWD, path, CONFIG_LIMIT, &text, err);

        if (r < 0)
                return r;
        config = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        if (!json_is_object(json_object_get(config, "process")))
                return error_set(err, ERROR_CORRUPT, "\"%s\" describes no process", path);
        *ret = TAKE_PTR(config);
        return 0;
}

static int set_user(json_t *process, const ContainerRecord *record, const char *user, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/root", (int)record->run.pid);
        _cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_image_user_ ImageUser found = { 0 };
        _cleanup_strv_ char **environment = NULL;
        json_t *groups;
        int r;

        if (root < 0)
                return error_set_errno(err, errno, "open the root of container %s", record->spec->name);
        r = image_user_find(root, user, record->spec->group_add, &found, err);
        if (r < 0)
                return r;
        groups = json_array();
        for (size_t i = 0; i < found.n_groups; i++)
                json_array_append_new(groups, json_integer(found.groups[i]));
        json_object_set_new(process, "user",
                            json_pack("{s:I,s:I,s:o}", "uid", (json_int_t)found.uid, "gid", (json_int_t)found.gid,
                                      "additionalGids", groups));
        if (!strv_env_get(record->spec->environment, "HOME")) {
                environment = json_get_strv(process, "env");
                strv_env_set(&environment, "HOME", found.home);
                json_object_set_new(process, "env", json_from_strv(environment));
        }
        return 0;
}

static void set_environment(json_t *process, const ExecSpec *spec)
{
        _cleanup_strv_ char **environment = json_get_strv(process, "env");

        STRV_FOREACH(entry, spec->environment) {
                const char *value = strchr(*entry, '=');
                _cleanup_free_ char *key = value ? xstrndup(*entry, (size_t)(value - *entry)) : NULL;
                if (key)
                        strv_env_set(&environment, key, value + 1);
        }
        if (spec->tty && !strv_env_get(environment, "TERM"))
                strv_add(&environment, "TERM=xterm");
        json_object_set_new(process, "env", json_from_strv(environment));
}

static void set_all_capabilities(json_t *process)
{
        json_t *sets = json_object_get(process, "capabilities");
        _cleanup_strv_ char **all =
                strv_new("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", NULL);
        const char *const kinds[] = { "bounding", "effective", "permitted" };

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                STRV_FOREACH(name, all)
                        json_array_append_new(json_object_get(sets, kinds[i]), json_string(*name));
}

/* Changes the main process's description into that of the one to run. */
static int describe(const ContainerRecord *record, const ExecSpec *spec, json_t *process, Error **err)
{
        int r = 0;

        json_object_set_new(process, "args", json_from_strv(spec->argv));
        json_object_set_new(process, "terminal", json_boolean(spec->tty));
        if (spec->working_dir)
                json_object_set_new(process, "cwd", json_string(spec->working_dir));
        if (spec->privileged)
                set_all_capabilities(process);
        if (spec->user)
                r = set_user(process, record, spec->user, err);
        if (r < 0)
                return r;
        set_environment(process, spec);
        return 0;
}

/* ---- the program ---- */

/* 0, ENOENT or EACCES. */
static int look_at(int root_fd, const char *path)
{
        _cleanup_close_ int fd = open_in_root(root_fd, path, O_PATH, NULL);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0)
                return ENOENT;
        return S_ISREG(status.st_mode) && (status.st_mode & 0111) ? 0 : EACCES;
}

static int look_in_path(int root_fd, const char *name, const json_t *process)
{
        _cleanup_strv_ char **environment = json_get_strv(process, "env");
        const char *path = strv_env_get(environment, "PATH");
        _cleanup_strv_ char **folders = strv_split(path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
        int result = ENOENT;

        STRV_FOREACH(folder, folders) {
                _cleanup_free_ char *candidate = path_join(**folder ? *folder : ".", name);
                int found = look_at(root_fd, candidate);
                if (found == 0)
                        return 0;
                result = found == EACCES ? EACCES : result;
        }
        return result;
}

/* Looked for beforehand: the runtime's own failure would come as a log line of its own and with its own exit status. */
static void find_program(const ContainerRecord *record, const json_t *process, ExecProcess *ret)
{
        const char *name = json_string_value(json_array_get(json_object_get(process, "args"), 0));
        _cleanup_free_ char *root_path = xasprintf("/proc/%d/root", (int)record->run.pid), *path = NULL;
        _cleanup_close_ int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int result;

        if (root < 0 || isempty(name))
                return;
        path = path_clean(json_get_string(process, "cwd", "/"), name);
        result = strchr(name, '/') ? look_at(root, path) : look_in_path(root, name, process);
        if (result == ENOENT)
                ret->reason = strchr(name, '/') ? xasprintf("exec: \"%s\": no such file or directory", name)
                                                : xasprintf("exec: \"%s\": executable file not found in $PATH", name);
        else if (result == EACCES)
                ret->reason = xasprintf("exec: \"%s\": permission denied", name);
        ret->failure = result == ENOENT ? 127 : result == EACCES ? 126 : 0;
}

static int prepare_runtime(const Layout *layout, const ContainerRecord *record, const json_t *process, ExecProcess *ret,
                           Error **err)
{
        static unsigned counter;
        _cleanup_free_ char *name = xasprintf("%s/exec-%d-%u", record->run_path, (int)getpid(),
                                              __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED));
        _cleanup_free_ char *text = json_dumps(process, JSON_COMPACT);
        int r;

        ret->process_path = xasprintf("%s.json", name);
        ret->pid_path = xasprintf("%s.pid", name);
        r = fs_rewrite_in_place(AT_FDCWD, ret->process_path, text, strlen(text), 0600, err);
        if (r < 0)
                return r;
        ret->argv = strv_new(record->run.runtime ? record->run.runtime : "runc", "--root", NULL);
        strv_take(&ret->argv, layout_run(layout, "runtime"));
        strv_add(&ret->argv, "exec");
        strv_addf(&ret->argv, "--process=%s", ret->process_path);
        strv_addf(&ret->argv, "--pid-file=%s", ret->pid_path);
        strv_add(&ret->argv, record->id);
        return 0;
}

int exec_process_prepare(const Layout *layout, const ContainerRecord *record, const ExecSpec *spec, bool by_runtime,
                         ExecProcess *ret, Error **err)
{
        _cleanup_json_ json_t *config = NULL;
        json_t *process;
        int r = load_config(record, &config, err);

        if (r < 0)
                return r;
        process = json_object_get(config, "process");
        r = describe(record, spec, process, err);
        if (r < 0)
                return r;
        find_program(record, process, ret);
        if (ret->failure)
                return 0;
        if (!by_runtime && !spec->tty && !spec->privileged)
                ret->direct = enter_prepare(layout, record, config, process, &ret->enter);
        if (!ret->direct)
                return prepare_runtime(layout, record, process, ret, err);
        ret->argv = strv_new(ret->enter.program, NULL);
        return 0;
}

void exec_process_fill(const ExecProcess *process, ProcessSpec *child, int kept[3])
{
        child->argv = process->argv;
        child->directory = "/";
        if (process->direct) {
                kept[0] = process->enter.parameters_fd;
                kept[1] = process->enter.pidfd;
                kept[2] = -1;
                child->keep_fds = kept;
        }
}

pid_t exec_process_pid(const ExecProcess *process)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int64_t pid;

        if (!process->pid_path || fs_read_file(AT_FDCWD, process->pid_path, 64, &text, NULL) < 0)
                return 0;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        return parse_int64(strbuf_text(&text), 2, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

/* How many it called; NULL: it only counts them. *ret_first may be NULL. */
static size_t for_children(pid_t pid, void (*call)(pid_t child), pid_t *ret_first)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/task/%d/children", (int)pid, (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **children = NULL;
        size_t n = 0;
        int64_t child;

        if (fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
                return 0;
        children = strv_split_words(strbuf_text(&text));
        STRV_FOREACH(item, children) {
                if (!parse_int64(*item, 2, INT32_MAX, &child))
                        continue;
                if (n++ == 0 && ret_first)
                        *ret_first = (pid_t)child;
                if (call)
                        call((pid_t)child);
        }
        return n;
}

/* Stopped first, so that it cannot fork while its children are looked for. */
static void kill_tree(pid_t pid)
{
        if (pid <= 1 || kill(pid, SIGSTOP) < 0)
                return;
        for_children(pid, kill_tree, NULL);
        kill(pid, SIGKILL);
}

/* Those that have no children: their parents are there to wait for them. */
static void kill_leaves(pid_t pid)
{
        if (for_children(pid, kill_leaves, NULL) == 0 && pid > 1)
                kill(pid, SIGKILL);
}

/* The reaper of berth-enter; 0 where there is none yet, and never will be. */
static pid_t find_reaper(pid_t enter)
{
        siginfo_t stopped;
        pid_t reaper = 0;

        /* Or it might be made at this moment. */
        if (kill(enter, SIGSTOP) < 0 || waitid(P_PID, (id_t)enter, &stopped, WSTOPPED | WEXITED | WNOWAIT) < 0)
                return 0;
        for_children(enter, NULL, &reaper);
        kill(enter, reaper ? SIGCONT : SIGKILL);
        return reaper;
}

static bool has_ended(const Process *process, int wait_ms)
{
        struct pollfd item = { .fd = process->pidfd, .events = POLLIN };

        return poll(&item, 1, wait_ms) > 0;
}

void exec_process_kill(const ExecProcess *process, const Process *started)
{
        int64_t until_ns = clock_monotonic_ns() + KILL_NS;
        pid_t reaper = process->direct ? find_reaper(started->pid) : 0,
              own = process->direct ? 0 : exec_process_pid(process);

        if (process->direct && !reaper)
                return;
        if (reaper)
                kill(reaper, ENTER_KILL); /* it stays until it has waited for all of them */
        while (!has_ended(started, KILL_AGAIN_MS) && clock_monotonic_ns() < until_ns) {
                if (reaper)
                        for_children(reaper, kill_tree, NULL);
                else if (own > 0)
                        kill_leaves(own);
                else
                        break;
        }
        if (has_ended(started, 0))
                return;
        kill_tree(own); /* the runtime's is not its child on this machine */
        kill_tree(started->pid);
}

void exec_process_terminate(const ExecProcess *process, const Process *started)
{
        pid_t pid = process->direct ? find_reaper(started->pid) : exec_process_pid(process);

        if (pid > 0)
                kill(pid, SIGTERM);
}
