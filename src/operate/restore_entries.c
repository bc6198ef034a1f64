/* Folders, links and empty files as a list has them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/restore_private.h"

char *restore_place(const ListedFile *file)
{
        const char *rest = file->type == 'l' ? NULL : startswith(file->path, "pg_tblspc/");

        return rest ? xasprintf(RESTORED_TABLESPACES "/%s", rest) : xstrdup(file->path);
}

static int make_link(int dir_fd, const ListedFile *file, const RestoreOptions *options, Error **err)
{
        const char *oid = startswith(file->path, "pg_tblspc/");
        _cleanup_free_ char *target =
                oid ? xasprintf("%s/" RESTORED_TABLESPACES "/%s", options->inside, oid) : xstrdup(file->target);
        _cleanup_free_ char *folder = oid ? xasprintf(RESTORED_TABLESPACES "/%s", oid) : NULL;

        if (symlinkat(target, dir_fd, file->path) < 0)
                return error_set_errno(err, errno, "link \"%s\"", file->path);
        if (!oid)
                return 0;
        if ((mkdirat(dir_fd, RESTORED_TABLESPACES, 0700) < 0 && errno != EEXIST) ||
            (mkdirat(dir_fd, folder, 0700) < 0 && errno != EEXIST) ||
            fchownat(dir_fd, RESTORED_TABLESPACES, options->uid, options->gid, 0) < 0 ||
            fchownat(dir_fd, folder, options->uid, options->gid, 0) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", folder);
        return 0;
}

static int make_file(int dir_fd, const ListedFile *file, const RestoreOptions *options, const char *place, Error **err)
{
        _cleanup_close_ int fd =
                openat(dir_fd, place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file->mode);

        if (fd < 0 || fchmod(fd, file->mode) < 0 || fchown(fd, options->uid, options->gid) < 0)
                return error_set_errno(err, errno, "create \"%s\"", place);
        return 0;
}

int restore_make_entry(int dir_fd, const ListedFile *file, const RestoreOptions *options, Error **err)
{
        _cleanup_free_ char *place = restore_place(file);

        if (file->type == 'f')
                return make_file(dir_fd, file, options, place, err);
        if (file->type == 'l')
                return make_link(dir_fd, file, options, err);
        if ((mkdirat(dir_fd, place, file->mode) < 0 && errno != EEXIST) || fchmodat(dir_fd, place, file->mode, 0) < 0 ||
            fchownat(dir_fd, place, options->uid, options->gid, 0) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", place);
        return 0;
}
