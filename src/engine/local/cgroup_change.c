#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

char **cgroup_paths(const char *cgroup)
{
        _cleanup_strv_ char **names = NULL;
        char **paths = NULL;

        if (cgroup_is_v2()) {
                strv_addf(&paths, CGROUP_ROOT "%s", cgroup);
                return paths;
        }
        fs_list_directory(AT_FDCWD, CGROUP_ROOT, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = xasprintf(CGROUP_ROOT "/%s%s", *name, cgroup);
                if (fs_is_directory(path) && !strv_contains(paths, path))
                        strv_take(&paths, TAKE_PTR(path));
        }
        return paths;
}

static void kill_below(const char *path)
{
        _cleanup_free_ char *file = path_join(path, "cgroup.procs");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int64_t pid;

        if (fs_read_file(AT_FDCWD, file, 1 << 20, &text, NULL) < 0)
                return;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines)
                if (parse_int64(*line, 2, INT32_MAX, &pid))
                        kill((pid_t)pid, SIGKILL);
}

static bool write_file(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

void cgroup_kill(const char *cgroup)
{
        _cleanup_strv_ char **paths = cgroup_paths(cgroup);
        _cleanup_free_ char *kill_file = cgroup_is_v2() ? xasprintf("%s/cgroup.kill", paths[0]) : NULL;

        if (kill_file && write_file(kill_file, "1"))
                return;
        STRV_FOREACH(path, paths)
                kill_below(*path);
}

/* Containers may have made cgroups of their own below: children first. */
static bool remove_path(const char *path)
{
        _cleanup_strv_ char **names = NULL;

        if (rmdir(path) == 0 || errno == ENOENT)
                return true;
        fs_list_directory(AT_FDCWD, path, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *child = path_join(path, *name);
                if (fs_is_directory(child))
                        remove_path(child);
        }
        return rmdir(path) == 0 || errno == ENOENT;
}

bool cgroup_remove(const char *cgroup)
{
        const struct timespec pause = { .tv_nsec = 1000 * 1000 };
        _cleanup_strv_ char **paths = cgroup_paths(cgroup);
        bool gone = false;

        /* A killed process holds its cgroup until it is reaped. */
        for (int i = 0; i < 500 && !gone; i++) {
                gone = true;
                STRV_FOREACH(path, paths)
                        gone = remove_path(*path) && gone;
                if (!gone)
                        nanosleep(&pause, NULL);
        }
        return gone;
}

char **cgroup_children(const char *cgroup)
{
        _cleanup_strv_ char **paths = cgroup_paths(cgroup);
        char **children = NULL;

        STRV_FOREACH(path, paths) {
                _cleanup_strv_ char **names = NULL;
                fs_list_directory(AT_FDCWD, *path, &names, NULL);
                STRV_FOREACH(name, names) {
                        _cleanup_free_ char *child = path_join(*path, *name);
                        if (fs_is_directory(child) && !strv_contains(children, *name))
                                strv_add(&children, *name);
                }
        }
        return children;
}

bool cgroup_remove_empty(const char *cgroup)
{
        _cleanup_strv_ char **paths = cgroup_paths(cgroup);
        bool gone = true;

        STRV_FOREACH(path, paths)
                gone = (rmdir(*path) == 0 || errno == ENOENT) && gone;
        return gone;
}

int cgroup_freeze(const char *cgroup, bool freeze, Error **err)
{
        _cleanup_free_ char *folder = cgroup_path("freezer", cgroup);
        _cleanup_free_ char *path =
                folder ? path_join(folder, cgroup_is_v2() ? "cgroup.freeze" : "freezer.state") : NULL;
        const char *text = cgroup_is_v2() ? (freeze ? "1" : "0") : (freeze ? "FROZEN" : "THAWED");

        if (!path)
                return error_set(err, ERROR_UNSUPPORTED, "this machine has no freezer cgroup");
        if (!write_file(path, text))
                return error_set_errno(err, errno, "write \"%s\"", path);
        return 0;
}
