#include "postgres/auto_conf_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "postgres/auto_conf.h"

#define FILE_NAME    "postgresql.auto.conf"
#define TEMPORARY    ".postgresql.auto.conf.berth"
#define PID_FILE     "postmaster.pid"
#define FILE_LIMIT   (1u << 20)
#define STATUS_LIMIT 8192

typedef struct Conf {
        struct stat status;
        Strbuf text;
} Conf;

static void conf_done(Conf *conf)
{
        strbuf_done(&conf->text);
}
#define _cleanup_conf_ _cleanup_(conf_done)

static int open_below(int folder_fd, const char *name, int flags, mode_t mode)
{
        const struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW,
                                      .mode = flags & O_CREAT ? mode : 0,
                                      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

        return (int)syscall(SYS_openat2, folder_fd, name, &how, sizeof(how));
}

/* 1: it is there; 0: there is none that could be read. */
static int read_file(int folder_fd, const char *name, Conf *ret, Error **err)
{
        _cleanup_close_ int fd = folder_fd >= 0 ? open_below(folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0) : -1;
        int r;

        if (fd < 0 || fstat(fd, &ret->status) < 0 || !S_ISREG(ret->status.st_mode))
                return 0;
        r = fs_read_fd(fd, FILE_LIMIT, &ret->text, err);
        return r < 0 ? r : 1;
}

int auto_conf_open_running(pid_t pid, const char *data_dir)
{
        const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
        _cleanup_free_ char *root = xasprintf("/proc/%d/root", (int)pid);
        _cleanup_close_ int root_fd = pid > 0 ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

        return root_fd < 0 ? -1 : (int)syscall(SYS_openat2, root_fd, data_dir, &how, sizeof(how));
}

int auto_conf_is_synchronous(int folder_fd, Error **err)
{
        _cleanup_conf_ Conf conf = { 0 };
        _cleanup_strbuf_ Strbuf rest = STRBUF_INIT;
        int r = read_file(folder_fd, FILE_NAME, &conf, err);

        return r <= 0 ? r : auto_conf_drop_synchronous(strbuf_text(&conf.text), &rest);
}

static int replace(int folder_fd, const struct stat *as, const Strbuf *text, Error **err)
{
        _cleanup_close_ int fd = -1;
        int r;

        unlinkat(folder_fd, TEMPORARY, 0);
        fd = open_below(folder_fd, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || fchown(fd, as->st_uid, as->st_gid) < 0 || fchmod(fd, as->st_mode & 07777) < 0)
                return error_set_errno(err, errno, "write \"" FILE_NAME "\"");
        r = fs_write_all(fd, text->data ? text->data : "", text->length, err);
        if (r == 0 &&
            (fsync(fd) < 0 || renameat(folder_fd, TEMPORARY, folder_fd, FILE_NAME) < 0 || fsync(folder_fd) < 0))
                r = error_set_errno(err, errno, "replace \"" FILE_NAME "\"");
        if (r < 0)
                unlinkat(folder_fd, TEMPORARY, 0);
        return r;
}

int auto_conf_clear_synchronous(int folder_fd, Error **err)
{
        _cleanup_conf_ Conf conf = { 0 };
        _cleanup_strbuf_ Strbuf rest = STRBUF_INIT;
        int r = read_file(folder_fd, FILE_NAME, &conf, err);

        if (r <= 0 || !auto_conf_drop_synchronous(strbuf_text(&conf.text), &rest))
                return r < 0 ? r : 0;
        r = replace(folder_fd, &conf.status, &rest, err);
        return r < 0 ? r : 1;
}

/* ---- the server ---- */

/* Its number as its container sees it; 0: it has ended. */
static int number_inside(const char *pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%s/status", pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *line;

        if (fs_read_file(AT_FDCWD, path, STATUS_LIMIT, &text, NULL) < 0)
                return 0;
        line = strstr(strbuf_text(&text), "\nNSpid:");
        if (!line)
                return atoi(pid);
        line++;
        for (const char *next = line + strcspn(line, "\t"); *next == '\t'; next += strcspn(next, "\t\n"))
                line = ++next; /* the last is the innermost */
        return atoi(line);
}

/* A server's folder is its working folder: what the container writes into a file alone does not say whom to signal. */
static bool works_in(const char *pid, const struct stat *folder)
{
        _cleanup_free_ char *path = xasprintf("/proc/%s/cwd", pid);
        struct stat status;

        return stat(path, &status) == 0 && status.st_dev == folder->st_dev && status.st_ino == folder->st_ino;
}

static bool sees_the_same(const char *pid, pid_t as)
{
        _cleanup_free_ char *path = xasprintf("/proc/%s/ns/pid", pid), *other = xasprintf("/proc/%d/ns/pid", (int)as);
        struct stat status, wanted;

        return stat(path, &status) == 0 && stat(other, &wanted) == 0 && status.st_ino == wanted.st_ino;
}

static pid_t find_server(int folder_fd, pid_t pid, int number)
{
        DIR *processes = opendir("/proc");
        const struct dirent *entry;
        struct stat folder;
        pid_t found = 0;

        if (!processes)
                return 0;
        while (fstat(folder_fd, &folder) == 0 && !found && (entry = readdir(processes)))
                if (atoi(entry->d_name) > 0 && works_in(entry->d_name, &folder) && sees_the_same(entry->d_name, pid) &&
                    number_inside(entry->d_name) == number)
                        found = (pid_t)atoi(entry->d_name);
        closedir(processes);
        return found;
}

int auto_conf_reload(int folder_fd, pid_t pid, Error **err)
{
        _cleanup_conf_ Conf conf = { 0 };
        int number = read_file(folder_fd, PID_FILE, &conf, NULL) > 0 ? atoi(strbuf_text(&conf.text)) : 0;
        pid_t server = number > 0 ? find_server(folder_fd, pid, number) : 0;

        if (!server)
                return error_set(err, ERROR_NOT_FOUND, "no server runs on the folder");
        return kill(server, SIGHUP) < 0 ? error_set_errno(err, errno, "tell the server to read its settings") : 0;
}
