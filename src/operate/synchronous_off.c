#include "operate/synchronous_off.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/data_folder.h"
#include "operate/receiver_control.h"
#include "operate/target.h"
#include "postgres/auto_conf.h"
#include "state/document.h"
#include "state/worker.h"

#define FILE_NAME "postgresql.auto.conf"
#define TEMPORARY ".postgresql.auto.conf.berth"
#define FILE_LIMIT (1u << 20)
#define DEFAULT_FOLDER "/var/lib/postgresql/data"

typedef struct Conf {
        int folder_fd;
        struct stat status;
        Strbuf text;
} Conf;

static void conf_done(Conf *conf)
{
        fs_close(conf->folder_fd);
        strbuf_done(&conf->text);
}
#define _cleanup_conf_ _cleanup_(conf_done)

/* The folder is the container's to change: nothing in it is followed anywhere. */
static int open_below(int folder_fd, const char *name, int flags, mode_t mode)
{
        const struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC | O_NOFOLLOW,
                                      .mode = flags & O_CREAT ? mode : 0,
                                      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

        return (int)syscall(SYS_openat2, folder_fd, name, &how, sizeof(how));
}

/* 1: it is there; 0: there is none that could be read. */
static int read_conf(Engine *engine, const ContainerInfo *info, Conf *ret, Error **err)
{
        const char *inside = info->spec ? data_folder_of_spec(info->spec) : NULL;
        const SpecMount *mount = NULL;
        bool is_new = false;
        _cleanup_free_ char *folder =
                info->spec ? data_folder_on_host(engine, info->spec, inside ? inside : DEFAULT_FOLDER, &mount, &is_new) : NULL;
        _cleanup_close_ int fd = -1;
        int r;

        ret->folder_fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        fd = ret->folder_fd >= 0 ? open_below(ret->folder_fd, FILE_NAME, O_RDONLY | O_NONBLOCK, 0) : -1;
        if (fd < 0 || fstat(fd, &ret->status) < 0 || !S_ISREG(ret->status.st_mode))
                return 0;
        r = fs_read_fd(fd, FILE_LIMIT, &ret->text, err);
        return r < 0 ? r : 1;
}

/* A quick look that spares a worker where there is nothing to take back. */
static bool is_set(Engine *engine, const ContainerInfo *info)
{
        _cleanup_conf_ Conf conf = { .folder_fd = -1 };
        _cleanup_strbuf_ Strbuf rest = STRBUF_INIT;

        return read_conf(engine, info, &conf, NULL) > 0 && auto_conf_drop_synchronous(strbuf_text(&conf.text), &rest);
}

int synchronous_off_running(const Layout *layout, Engine *engine, const ContainerInfo *info, Error **err)
{
        _cleanup_json_ json_t *params = NULL, *result = NULL;
        WorkerRun run = { .job = "synchronous-off", .input_fd = -1, .cancel_fd = -1 };

        if (!info->service || info->oneoff || info->pid <= 0 || !info->project ||
            receiver_pause(layout, info->project, info->service) > 0 || !is_set(engine, info))
                return 0;
        params = json_pack("{s:s, s:s, s:o}", "project", info->project, "service", info->service, "target", database_target_to_json(info));
        run.params = params;
        return worker_run(layout, &run, &result, err);
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
        if (r == 0 && (fsync(fd) < 0 || renameat(folder_fd, TEMPORARY, folder_fd, FILE_NAME) < 0 || fsync(folder_fd) < 0))
                r = error_set_errno(err, errno, "replace \"" FILE_NAME "\"");
        if (r < 0)
                unlinkat(folder_fd, TEMPORARY, 0);
        return r;
}

int synchronous_off_stopped(Engine *engine, const ContainerInfo *info, Error **err)
{
        _cleanup_conf_ Conf conf = { .folder_fd = -1 };
        _cleanup_strbuf_ Strbuf rest = STRBUF_INIT;
        int r = read_conf(engine, info, &conf, err);

        if (r <= 0 || !auto_conf_drop_synchronous(strbuf_text(&conf.text), &rest))
                return r < 0 ? r : 0;
        r = replace(conf.folder_fd, &conf.status, &rest, err);
        return r < 0 ? r : 1;
}
