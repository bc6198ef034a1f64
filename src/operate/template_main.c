/* berth-template FOLDER ENTRYPOINT layer=… [source=… target=…]…: makes the template cluster that the environment asks for, in the
 * root of an image that is put together in namespaces of this process alone: when it ends, however it ends, they are
 * gone. The environment is the container's. Links base only. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

/* In the working folder, a memory file system below FOLDER that hides nothing else. */
#define ROOT         "root"
#define TEMPLATES    "/run/berth/templates"
#define ENTRYPOINT   "/run/berth/entrypoint"
#define LOCK_WAIT_MS 60000

static int put_folder(const char *path, mode_t mode, Error **err)
{
        return mkdir(path, mode) < 0 && errno != EEXIST ? error_set_errno(err, errno, "make folder \"%s\"", path) : 0;
}

static int put_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options,
                     Error **err)
{
        return mount(source, target, type, flags, options) < 0 ? error_set_errno(err, errno, "mount \"%s\"", target)
                                                               : 0;
}

/* Places of ours lie in the uppermost layer, as real folders: an image's link in their way is never followed. */
static int put_places(Error **err)
{
        static const char *const folders[] = { "upper",           "work",      "upper/dev",
                                               "upper/proc",      "upper/run", "upper/run/berth",
                                               "upper" TEMPLATES, ROOT };
        int fd, r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++)
                r = put_folder(folders[i], 0755, err);
        if (r < 0)
                return r;
        fd = open("upper" ENTRYPOINT, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        if (fd < 0)
                return error_set_errno(err, errno, "make \"%s\"", ENTRYPOINT);
        fs_close(fd);
        return 0;
}

/* layer= arguments, topmost first, below a memory file system of our own. */
static int put_root(char *const *arguments, Error **err)
{
        _cleanup_strbuf_ Strbuf options = STRBUF_INIT;
        int r;

        STRV_FOREACH(argument, arguments) {
                const char *layer = startswith(*argument, "layer=");
                if (layer)
                        strbuf_addf(&options, "%s%s", options.length ? ":" : "lowerdir=", layer);
        }
        strbuf_adds(&options, ",upperdir=upper,workdir=work");
        r = put_places(err);
        return r == 0 ? put_mount("overlay", ROOT, "overlay", MS_NOSUID | MS_NODEV, strbuf_text(&options), err) : r;
}

/* A place to bind source on: of the same kind, made where it is missing. */
static int put_place(const char *source, const char *target, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(target);
        int fd, r;

        if (fs_exists(target))
                return 0;
        if (fs_is_directory(source))
                return fs_make_directories(target, 0755, err);
        r = fs_make_directories(parent, 0755, err);
        if (r < 0)
                return r;
        fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
                return error_set_errno(err, errno, "make \"%s\"", target);
        fs_close(fd);
        return 0;
}

static int put_bind(const char *source, const char *inside, bool read_only, Error **err)
{
        _cleanup_free_ char *target = xasprintf(ROOT "%s", inside);
        int r = put_place(source, target, err);

        if (r == 0)
                r = put_mount(source, target, NULL, MS_BIND, NULL, err);
        if (r == 0)
                r = put_mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | (read_only ? MS_RDONLY : 0), NULL,
                              err);
        return r;
}

static int put_binds(char *const *arguments, Error **err)
{
        const char *source = NULL;
        int r = 0;

        STRV_FOREACH(argument, arguments) {
                const char *target = startswith(*argument, "target=");
                if (target && source)
                        r = put_bind(source, target, true, err);
                source = startswith(*argument, "source=");
                if (r < 0)
                        return r;
        }
        return r;
}

static int put_devices(Error **err)
{
        static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom" };
        int r = put_mount("tmpfs", ROOT "/dev", "tmpfs", MS_NOSUID, "mode=755", err);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(devices); i++) {
                _cleanup_free_ char *target = xasprintf(ROOT "%s", devices[i]);
                r = put_place(devices[i], target, err);
                if (r == 0)
                        r = put_mount(devices[i], target, NULL, MS_BIND, NULL, err);
        }
        if (r == 0)
                r = put_folder(ROOT "/dev/shm", 01777, err);
        return r == 0 ? put_mount("tmpfs", ROOT "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err) : r;
}

static int enter(const char *folder, const char *entrypoint, char *const *arguments, Error **err)
{
        _cleanup_free_ char *work = xasprintf("%s/.root", folder);
        int r;

        r = put_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL, err);
        if (r == 0)
                r = put_folder(work, 0700, err);
        if (r == 0)
                r = put_mount("tmpfs", work, "tmpfs", 0, "mode=755", err);
        if (r == 0 && chdir(work) < 0)
                r = error_set_errno(err, errno, "enter \"%s\"", work);
        if (r == 0)
                r = put_root(arguments, err);
        if (r == 0)
                r = put_binds(arguments, err);
        if (r == 0)
                r = put_devices(err);
        if (r == 0)
                r = put_bind(folder, TEMPLATES, false, err);
        if (r == 0)
                r = put_bind(entrypoint, ENTRYPOINT, true, err);
        if (r == 0)
                r = put_mount("proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, err);
        if (r == 0 && (chroot(ROOT) < 0 || chdir("/") < 0))
                r = error_set_errno(err, errno, "enter the image's root");
        /* The image's programs run as its server's user, who has no way back: berth-entrypoint takes that step. */
        if (r == 0 && (setgroups(0, NULL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
                r = error_set_errno(err, errno, "give up privileges");
        return r;
}

/* PID 1 of the namespace: with it everything it started ends. */
static _noreturn_ void run(const char *folder, const char *entrypoint, char *const *arguments)
{
        char *const argv[] = { (char *)"berth-entrypoint", (char *)"--step", (char *)"template", (char *)TEMPLATES,
                               NULL };
        _cleanup_error_ Error *error = NULL;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (enter(folder, entrypoint, arguments, &error) == 0) {
                execv(ENTRYPOINT, argv);
                error_set_errno(&error, errno, "start berth-entrypoint");
        }
        fprintf(stderr, "%s\n", error->message);
        _exit(1);
}

int main(int argc, char **argv)
{
        _cleanup_close_ int lock_fd = -1;
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *lock = NULL;
        int status = 0;
        pid_t pid;

        if (argc < 4) {
                fputs("usage: berth-template FOLDER ENTRYPOINT layer=DIR… [source=PATH target=PATH]…\n", stderr);
                return 2;
        }
        lock = xasprintf("%s/.lock", argv[1]);
        if (lock_file(lock, LOCK_WAIT_MS, &lock_fd, &error) < 0) {
                fprintf(stderr, "%s\n", error->message);
                return 1;
        }
        if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) < 0 || (pid = fork()) < 0) {
                perror("berth-template: namespaces");
                return 1;
        }
        if (pid == 0)
                run(argv[1], argv[2], argv + 3);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
