#include "engine/local/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "engine/local/capabilities.h"
#include "engine/local/lifecycle.h"
#include "engine/local/limits.h"
#include "engine/local/seccomp_program.h"
#include "state/document.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define PROGRAM_LIMIT     ((size_t)16 * 1024 * 1024)
#define LOWEST_PROGRAM_FD 200 /* above those that a child's are put to */

char *seccomp_program_path(const Layout *layout, const json_t *section)
{
        _cleanup_free_ char *text = json_dumps(section, JSON_COMPACT | JSON_SORT_KEYS);
        _cleanup_free_ char *hash = sha256_hex(text, strlen(text));

        return layout_run(layout, "seccomp/%s.bpf", hash);
}

void enter_done(Enter *enter)
{
        fs_close(enter->parameters_fd);
        fs_close(enter->pidfd);
        free(enter->program);
}

/* ---- the program, sealed in memory ---- */

static int sealed_copy(const char *path)
{
        _cleanup_close_ int fd = memfd_create("berth-enter", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
        _cleanup_strbuf_ Strbuf binary = STRBUF_INIT;

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create("berth-enter", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0 || fs_read_file(AT_FDCWD, path, PROGRAM_LIMIT, &binary, NULL) < 0 ||
            fs_write_all(fd, binary.data, binary.length, NULL) < 0 || fchmod(fd, 0500) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return -1;
        return fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_PROGRAM_FD);
}

static int program_fd(const Layout *layout)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        static int kept = -1;
        _cleanup_free_ char *path = layout_libexec(layout, "berth-enter");
        int fd;

        pthread_mutex_lock(&lock);
        if (kept < 0)
                kept = sealed_copy(path);
        fd = kept;
        pthread_mutex_unlock(&lock);
        return fd;
}

/* ---- is it as safe? ---- */

static bool may_interfere(const json_t *process)
{
        static const char *const dangerous[] = { "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO" };
        _cleanup_strv_ char **bounding = json_get_strv(json_object_get(process, "capabilities"), "bounding");

        for (size_t i = 0; i < ARRAY_SIZE(dangerous); i++)
                if (strv_contains(bounding, dangerous[i]))
                        return true;
        return json_object_get(process, "apparmorProfile") || json_object_get(process, "selinuxLabel");
}

/* ---- what it is told ---- */

static void add(Strbuf *buffer, char tag, const char *text)
{
        strbuf_addc(buffer, tag);
        strbuf_add(buffer, text, strlen(text) + 1);
}

static void add_number(Strbuf *buffer, char tag, int64_t number)
{
        strbuf_addf(buffer, "%c%lld", tag, (long long)number);
        strbuf_addc(buffer, '\0');
}

static void add_list(Strbuf *buffer, char tag, const json_t *list)
{
        const json_t *item;
        size_t i;

        json_array_foreach((json_t *)list, i, item)
                if (json_is_string(item))
                        add(buffer, tag, json_string_value(item));
                else
                        add_number(buffer, tag, json_integer_value(item));
}

static void add_capabilities(Strbuf *buffer, const json_t *process)
{
        _cleanup_strv_ char **names = json_get_strv(json_object_get(process, "capabilities"), "bounding");
        uint64_t mask = 0;

        STRV_FOREACH(name, names)
                mask |= UINT64_C(1) << capability_number(*name);
        add_number(buffer, ENTER_CAPABILITIES, (int64_t)mask);
}

static bool add_limits(Strbuf *buffer, const json_t *process)
{
        const json_t *item;
        size_t i;

        json_array_foreach(json_object_get(process, "rlimits"), i, item) {
                int resource = limit_from_type(json_get_string(item, "type", ""));
                if (resource < 0)
                        return false;
                strbuf_addf(buffer, "%c%d:%lld:%lld", ENTER_LIMIT, resource, (long long)json_get_int(item, "soft", 0),
                            (long long)json_get_int(item, "hard", 0));
                strbuf_addc(buffer, '\0');
        }
        return true;
}

static void add_cgroups(Strbuf *buffer, const char *cgroup)
{
        _cleanup_strv_ char **paths = cgroup_paths(cgroup);

        STRV_FOREACH(path, paths) {
                _cleanup_free_ char *file = path_join(*path, "cgroup.procs");
                add(buffer, ENTER_CGROUP, file);
        }
}

static void add_oom_score(Strbuf *buffer, pid_t pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/oom_score_adj", (int)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, path, 64, &text, NULL) < 0)
                return;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        add(buffer, ENTER_OOM_SCORE, strbuf_text(&text));
}

static bool describe(const ContainerRecord *record, const json_t *process, const char *filter, Strbuf *buffer)
{
        const json_t *user = json_object_get(process, "user");

        add_cgroups(buffer, record->run.cgroup);
        add_oom_score(buffer, (pid_t)record->run.pid);
        if (filter)
                add(buffer, ENTER_SECCOMP, filter);
        if (json_is_true(json_object_get(process, "noNewPrivileges")))
                add(buffer, ENTER_NO_NEW_PRIVILEGES, "");
        add_capabilities(buffer, process);
        add_number(buffer, ENTER_UID, json_get_int(user, "uid", 0));
        add_number(buffer, ENTER_GID, json_get_int(user, "gid", 0));
        add_list(buffer, ENTER_GROUP, json_object_get(user, "additionalGids"));
        add(buffer, ENTER_FOLDER, json_get_string(process, "cwd", "/"));
        add_list(buffer, ENTER_ENVIRONMENT, json_object_get(process, "env"));
        add_list(buffer, ENTER_ARGUMENT, json_object_get(process, "args"));
        return add_limits(buffer, process);
}

bool enter_prepare(const Layout *layout, const ContainerRecord *record, const json_t *config, const json_t *process,
                   Enter *ret)
{
        const json_t *section = json_object_get(json_object_get(config, "linux"), "seccomp");
        _cleanup_free_ char *filter = section ? seccomp_program_path(layout, section) : NULL;
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        Enter enter = { .parameters_fd = -1, .pidfd = -1 };

        if (record->spec->privileged || may_interfere(process) || (filter && !fs_exists(filter)) ||
            !describe(record, process, filter, &buffer))
                return false;
        enter.program_fd = program_fd(layout);
        enter.pidfd = (int)syscall(SYS_pidfd_open, (pid_t)record->run.pid, 0);
        enter.parameters_fd = fs_memory_file("parameters", buffer.data, buffer.length, NULL);
        if (enter.program_fd < 0 || enter.parameters_fd < 0 || enter.pidfd < 0 ||
            !process_is_alive((pid_t)record->run.pid, record->run.pid_start)) {
                enter_done(&enter);
                return false;
        }
        enter.program = xasprintf("/proc/self/fd/%d", enter.program_fd);
        *ret = enter;
        return true;
}
