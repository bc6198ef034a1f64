/* berth-enter: becomes a process of a running container and executes a command there. See enter.h for what it is given;
 * its own fault is exit status 125 and a line that begins with "berth-enter: ". Static, without libraries: what it
 * needs, it has read before it enters. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/local/enter.h"
#include "engine/local/enter_reaper.h"

#define MAX_ITEMS  4096
#define MAX_GROUPS 256
#define MAX_LIMITS 32

typedef struct Limit {
        int resource;
        struct rlimit value;
} Limit;

static struct Parameters {
        char *arguments[MAX_ITEMS + 1], *environment[MAX_ITEMS + 1], *cgroups[64];
        size_t n_arguments, n_environment, n_cgroups, n_groups, n_limits;
        gid_t groups[MAX_GROUPS];
        Limit limits[MAX_LIMITS];
        const char *folder, *oom_score;
        uint64_t capabilities;
        uid_t uid;
        gid_t gid;
        bool no_new_privileges;
        struct sock_fprog filter;
} parameters;

static _noreturn_ void fail(const char *what)
{
        dprintf(2, ENTER_PREFIX "%s: %s\n", what, strerror(errno));
        _exit(ENTER_FAILED);
}

static char *read_all(int fd, size_t *ret_size)
{
        struct stat status;
        char *data;

        if (fstat(fd, &status) < 0 || !(data = malloc((size_t)status.st_size + 1)))
                fail("read");
        for (size_t done = 0; done < (size_t)status.st_size;) {
                ssize_t n = read(fd, data + done, (size_t)status.st_size - done);
                if (n <= 0)
                        fail("read");
                done += (size_t)n;
        }
        data[status.st_size] = '\0';
        *ret_size = (size_t)status.st_size;
        return data;
}

static void read_filter(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t size;
        char *data;

        if (fd < 0)
                fail(path);
        data = read_all(fd, &size);
        close(fd);
        parameters.filter =
                (struct sock_fprog){ (unsigned short)(size / sizeof(struct sock_filter)), (struct sock_filter *)data };
}

static void read_limit(const char *text)
{
        long long soft, hard;
        int resource;

        if (parameters.n_limits == MAX_LIMITS || sscanf(text, "%d:%lld:%lld", &resource, &soft, &hard) != 3)
                fail("limits");
        parameters.limits[parameters.n_limits++] = (Limit){ resource, { (rlim_t)soft, (rlim_t)hard } };
}

static void push(char **list, size_t *length, size_t limit, char *text)
{
        if (*length == limit) {
                errno = E2BIG;
                fail("parameters");
        }
        list[(*length)++] = text;
}

static void take(char tag, char *text)
{
        switch (tag) {
        case ENTER_ARGUMENT:
                push(parameters.arguments, &parameters.n_arguments, MAX_ITEMS, text);
                break;
        case ENTER_ENVIRONMENT:
                push(parameters.environment, &parameters.n_environment, MAX_ITEMS, text);
                break;
        case ENTER_CGROUP:
                push(parameters.cgroups, &parameters.n_cgroups, 64, text);
                break;
        case ENTER_FOLDER:
                parameters.folder = text;
                break;
        case ENTER_UID:
                parameters.uid = (uid_t)strtoul(text, NULL, 10);
                break;
        case ENTER_GID:
                parameters.gid = (gid_t)strtoul(text, NULL, 10);
                break;
        case ENTER_GROUP:
                if (parameters.n_groups < MAX_GROUPS)
                        parameters.groups[parameters.n_groups++] = (gid_t)strtoul(text, NULL, 10);
                break;
        case ENTER_CAPABILITIES:
                parameters.capabilities = strtoull(text, NULL, 10);
                break;
        case ENTER_LIMIT:
                read_limit(text);
                break;
        case ENTER_SECCOMP:
                read_filter(text);
                break;
        case ENTER_NO_NEW_PRIVILEGES:
                parameters.no_new_privileges = true;
                break;
        case ENTER_OOM_SCORE:
                parameters.oom_score = text;
                break;
        default:
                errno = EINVAL;
                fail("parameters");
        }
}

static void write_text(const char *path, const char *text, bool must)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if ((fd < 0 || write(fd, text, strlen(text)) < 0) && must)
                fail(path);
        if (fd >= 0)
                close(fd);
}

static void install_filter(void)
{
        if (parameters.filter.len && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &parameters.filter, 0, 0) < 0)
                fail("seccomp");
}

static void take_capabilities(void)
{
        struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct data[2] = { 0 };

        for (int i = 0; i < 2; i++)
                data[i].effective = data[i].permitted = (uint32_t)(parameters.capabilities >> (32 * i));
        if (syscall(SYS_capset, &header, data) < 0)
                fail("capabilities");
}

static void drop_bounding(void)
{
        for (int number = 0; number < 64; number++)
                if (!(parameters.capabilities & UINT64_C(1) << number) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0 &&
                    errno != EINVAL)
                        fail("bounding set");
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                fail("ambient set");
}

/* The order matters: limits and the filter while we may, the user before the capabilities, the filter last where it
 * needs no rights. */
static void become(void)
{
        for (size_t i = 0; i < parameters.n_limits; i++)
                if (setrlimit((__rlimit_resource_t)parameters.limits[i].resource, &parameters.limits[i].value) < 0 &&
                    errno != EPERM)
                        fail("limits");
        umask(0022);
        if (parameters.no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                fail("no new privileges");
        drop_bounding();
        if (!parameters.no_new_privileges)
                install_filter();
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(parameters.n_groups, parameters.groups) < 0 ||
            setresgid(parameters.gid, parameters.gid, parameters.gid) < 0 ||
            setresuid(parameters.uid, parameters.uid, parameters.uid) < 0)
                fail("user");
        take_capabilities();
        if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
                fail("user");
        if (parameters.no_new_privileges)
                install_filter();
        if (chdir(parameters.folder) < 0) {
                dprintf(2, "exec: chdir to \"%s\": %s\n", parameters.folder, strerror(errno));
                _exit(126);
        }
}

static const char *search_path(void)
{
        for (size_t i = 0; i < parameters.n_environment; i++)
                if (strncmp(parameters.environment[i], "PATH=", 5) == 0)
                        return parameters.environment[i] + 5;
        return "/usr/local/bin:/usr/bin:/bin";
}

static _noreturn_ void execute(void)
{
        const char *name = parameters.arguments[0];
        int error_number = ENOENT;

        if (strchr(name, '/')) {
                execve(name, parameters.arguments, parameters.environment);
                error_number = errno;
        } else {
                for (const char *folder = search_path(); folder;
                     folder = strchr(folder, ':') ? strchr(folder, ':') + 1 : NULL) {
                        char path[4096];
                        int length = (int)strcspn(folder, ":");
                        snprintf(path, sizeof(path), "%.*s/%s", length, length ? folder : ".", name);
                        execve(path, parameters.arguments, parameters.environment);
                        if (errno != ENOENT && errno != ENOTDIR)
                                error_number = errno;
                }
        }
        dprintf(2, "exec: \"%s\": %s\n", name, strerror(error_number));
        _exit(error_number == ENOENT ? 127 : 126);
}

int main(int argc, char **argv)
{
        int status;
        size_t size;
        char *text = read_all(ENTER_PARAMETERS_FD, &size);
        pid_t pid;

        if (argc > 0) /* for those who list processes inside; there is room for as many letters as there were */
                strncpy(argv[0], "berth-exec", strlen(argv[0]));
        for (size_t i = 0; i < size; i += strlen(text + i) + 1)
                take(text[i], text + i + 1);
        if (!parameters.n_arguments || !parameters.folder) {
                errno = EINVAL;
                fail("parameters");
        }
        if (parameters.oom_score)
                write_text("/proc/self/oom_score_adj", parameters.oom_score, false);
        for (size_t i = 0; i < parameters.n_cgroups; i++)
                write_text(parameters.cgroups[i], "0", true);
        /* Nobody inside may look into this process, nor open its executable. */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
            setns(ENTER_PIDFD,
                  CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
                fail("enter the container");
        if (syscall(SYS_close_range, 3U, ~0U, 0) < 0)
                fail("close");
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0) {
                setsid();
                become();
                enter_reap(execute);
        }
        /* The command's, not ours. */
        close(0);
        close(1);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        fail("wait");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
