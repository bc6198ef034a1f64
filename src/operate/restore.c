#include "operate/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/restore_mark.h"
#include "operate/restore_private.h"

static int check_empty(const char *directory, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, directory, &names, err);

        STRV_FOREACH(name, names)
                if (!streq(*name, RESTORE_MARK))
                        return error_set(err, ERROR_EXISTS, "\"%s\" is not empty", directory);
        return r;
}

static const ListedFile *find_file(const FileList *list, const char *path)
{
        VECTOR_FOREACH(file, &list->files)
                if (streq((*file)->path, path))
                        return *file;
        return NULL;
}

/* Servers accept 0700, or 0750 where the cluster was made with group access, as its files then show. */
static mode_t mode_of_folder(const FileList *list)
{
        const ListedFile *file = find_file(list, "PG_VERSION");

        return file && file->mode & 0040 ? 0750 : 0700;
}

static int read_list(Repository *repository, const BackupRecord *backup, Rescue *rescue, FileList *ret, Error **err)
{
        _cleanup_free_ char *object = xasprintf("backups/%s/files.zst", backup->id);
        _cleanup_error_ Error *failure = NULL;
        int r = file_list_read(repository, backup->id, backup->files_sha256, ret, &failure);
        Repository *copy = r < 0 ? rescue_begin(rescue, failure) : NULL;

        if (copy) {
                r = file_list_read(copy, backup->id, backup->files_sha256, ret, NULL) < 0 ? r : 0;
                rescue_end(rescue, r == 0 ? object : NULL);
        }
        return r < 0 ? error_move(err, &failure, r) : 0;
}

int restore_lay_out(Repository *repository, const RestorePlan *plan, const RestoreOptions *wanted,
                    const WorkProgress *progress, json_t **ret_tablespaces, Error **err)
{
        RestoreOptions resolved = *wanted, *options = &resolved;
        const ListedFile *version;
        _cleanup_file_list_ FileList list = { 0 };
        _cleanup_close_ int dir_fd = -1;
        int r = check_empty(options->directory, err);

        if (r == 0)
                r = read_list(repository, plan->backup, options->rescue, &list, err);
        if (r < 0)
                return r;
        version = find_file(&list, "PG_VERSION");
        if (version && options->uid == RESTORE_OWNER)
                options->uid = version->uid;
        if (version && options->gid == RESTORE_OWNER)
                options->gid = version->gid;
        dir_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0 || fchmod(dir_fd, mode_of_folder(&list)) < 0 || fchown(dir_fd, options->uid, options->gid) < 0)
                return error_set_errno(err, errno, "prepare \"%s\"", options->directory);
        r = restore_files(repository, &list, dir_fd, options, progress, err);
        if (r == 0)
                r = restore_log(repository, plan, dir_fd, options, progress, err);
        if (r == 0)
                r = restore_find_tablespaces(dir_fd, plan->backup->segment_bytes, ret_tablespaces, err);
        if (r < 0)
                return error_prefix(err, r, "restore backup %s", plan->backup->id);
        progress_status(progress, "syncing");
        return syncfs(dir_fd) < 0 ? error_set_errno(err, errno, "sync \"%s\"", options->directory) : 0;
}
