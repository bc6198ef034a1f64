/* cp: files between this machine and a running container, by the system's cp and tar. Paths in the container are
 * resolved inside its root by the kernel (openat2, RESOLVE_IN_ROOT): a link there cannot lead out of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "cli/scope.h"
#include "cli/tar.h"
#include "cli/verbs.h"

typedef struct Side {        /* one of the two arguments */
        const char *service; /* NULL: this machine */
        const char *path;
} Side;

/* "db:/path", "/path", "./a:b", "-" */
static Side split_side(char *argument)
{
        char *colon = strchr(argument, ':');
        size_t slash = strcspn(argument, "/");

        if (!colon || slash < (size_t)(colon - argument) || *argument == '.' || colon == argument)
                return (Side){ NULL, argument };
        *colon = '\0';
        return (Side){ argument, colon + 1 };
}

static int open_in_root(int root, const char *path, int flags)
{
        struct open_how how = { .flags = (unsigned)(flags | O_PATH | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT };

        return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* The folder that holds path in the container, and the name in it; "." where path is a folder that exists and
 * into is set. */
static int open_place(int root, const char *path, bool into, int *ret_folder, char **ret_name, Error **err)
{
        _cleanup_free_ char *clean = path_clean("/", path), *parent = path_dirname(clean);
        bool contents = endswith(path, "/.") || streq(path, ".") || streq(clean, "/");
        int fd;

        if (into || contents) {
                fd = open_in_root(root, clean, O_DIRECTORY);
                if (fd >= 0) {
                        *ret_folder = fd;
                        *ret_name = xstrdup(".");
                        return 0;
                }
        }
        fd = open_in_root(root, parent, O_DIRECTORY);
        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\" in the container", parent);
        *ret_folder = fd;
        *ret_name = xstrdup(path_basename(clean));
        return 0;
}

static int copy_stream(const char *name, int folder, bool out, Error **err)
{
        char *pack[] = { (char *)"tar",
                         (char *)"--create",
                         (char *)"--file=-",
                         (char *)"--directory=/proc/self/fd/3",
                         (char *)"--",
                         (char *)name,
                         NULL };
        char *unpack[] = { (char *)"tar", (char *)"--extract", (char *)"--file=-",
                           (char *)"--directory=/proc/self/fd/3", NULL };

        if (out && isatty(STDOUT_FILENO))
                return error_set(err, ERROR_USAGE, "an archive is not for a terminal");
        if (!out && !streq(name, "."))
                return error_set(err, ERROR_INVALID, "an archive is unpacked into a folder, and \"%s\" is none", name);
        return out ? tool_run(pack, folder, -1, STDOUT_FILENO, err) : tool_run(unpack, folder, STDIN_FILENO, -1, err);
}

static int copy(const Invocation *invocation, int root, Side from, Side to, Error **err)
{
        bool out = from.service != NULL;
        _cleanup_close_ int folder = -1;
        _cleanup_free_ char *name = NULL, *inside = NULL;
        /* Nothing is written through a link that stands where a file shall go. */
        const char *mode = invocation_flag(invocation, "archive") ? "--archive" : "--preserve=mode,timestamps,links";
        char *argv[] = { (char *)"cp",
                         (char *)"--recursive",
                         (char *)"--no-dereference",
                         (char *)mode,
                         (char *)"--remove-destination",
                         (char *)"--",
                         NULL,
                         NULL,
                         NULL };
        int r;

        r = open_place(root, out ? from.path : to.path, !out, &folder, &name, err);
        if (r < 0)
                return r;
        if (streq(out ? to.path : from.path, "-"))
                return copy_stream(name, folder, out, err);
        inside = xasprintf("/proc/self/fd/3/%s", name);
        argv[6] = out ? inside : (char *)from.path;
        argv[7] = out ? (char *)to.path : inside;
        return tool_run(argv, folder, -1, STDERR_FILENO, err);
}

static int run_cp(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *root_path = NULL;
        _cleanup_close_ int root = -1;
        Side from = split_side(invocation->arguments[0]), to = split_side(invocation->arguments[1]);
        int r;

        if (!from.service == !to.service)
                return error_hint(
                        err, error_set(err, ERROR_USAGE, "one of the two must be SERVICE:PATH, and one a path here"),
                        "For example: berth cp db:/etc/hostname .");
        r = scope_open_container(invocation, from.service ?: to.service, &scope, &info, err);
        if (r < 0)
                return r;
        root_path = xasprintf("/proc/%d/root", (int)info->pid);
        root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
                return error_set_errno(err, errno, "open the root of container %s", info->name);
        r = copy(invocation, root, from, to, err);
        return error_prefix(err, r, "copy %s container %s", from.service ? "from" : "to", info->name);
}

static const Option options[] = {
        { "all", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { "archive", 'a', OPTION_FLAG, NULL, "Keep owners too" },
        { "index", 0, OPTION_NUMBER, "N", "The n-th container of a scaled service" },
        { NULL },
};

const Command command_cp = {
        .name = "cp",
        .summary = "Copy files to or from a running container",
        .arguments = "SERVICE:PATH PATH|- or PATH|- SERVICE:PATH",
        .details = "\"-\" is a tar archive on standard output or input. A folder whose path ends in \"/.\" stands for "
                   "what is in it.",
        .examples = "berth cp db:/var/lib/postgresql/data/postgresql.conf .\nberth cp seed.sql db:/tmp/",
        .differences = "the container must run; --follow-link is not there.",
        .group = GROUP_RUN,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 2,
        .max_arguments = 2,
        .function = run_cp,
        .complete = COMPLETE_FILES,
};
