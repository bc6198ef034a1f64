#include "postgres/entrypoint/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/tree.h"

static char *marker_path(const char *data_dir)
{
        return path_join(data_dir, STAGE_NAME);
}

bool stage_is_unfinished(const char *data_dir)
{
        _cleanup_free_ char *marker = marker_path(data_dir);

        return fs_is_directory(marker);
}

void stage_done(Stage *stage)
{
        free(stage->data_dir);
        free(stage->build_dir);
        free(stage->waldir);
        if (stage->data_dir)
                fs_close(stage->lock_fd);
        *stage = (Stage){ .lock_fd = -1 };
}

static int lock_marker(const char *marker, int *ret_fd, Error **err)
{
        _cleanup_close_ int fd = open(marker, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", marker);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return error_set(err, ERROR_CONFLICT, "another container is initialising this data folder right now");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Empties a folder but for the entry named keep (NULL: none). */
static int empty_folder(const char *path, const char *keep, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "open \"%s\"", path);
        r = fs_list_directory(fd, ".", &names, err);
        STRV_FOREACH(name, names) {
                if (r < 0)
                        break;
                if (!streq_ptr(*name, keep))
                        r = fs_remove_tree(fd, *name, err);
        }
        return error_prefix(err, r, "empty \"%s\"", path);
}

static char *read_waldir(const char *marker)
{
        _cleanup_free_ char *path = path_join(marker, "state");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return NULL;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                const char *value = startswith(*line, "waldir ");
                if (value && *value == '/')
                        return xstrdup(value);
        }
        return NULL;
}

/* The data first and the marker last, so that a kill in between leaves the marker. */
static int remove_all(const char *data_dir, Error **err)
{
        _cleanup_free_ char *marker = marker_path(data_dir);
        _cleanup_free_ char *waldir = read_waldir(marker);
        int r = 0;

        if (waldir)
                r = empty_folder(waldir, NULL, err);
        if (r == 0)
                r = empty_folder(data_dir, STAGE_NAME, err);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, data_dir, err);
        if (r == 0)
                r = fs_remove_tree(AT_FDCWD, marker, err);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, data_dir, err);
        return r;
}

int stage_clear(const char *data_dir, Error **err)
{
        _cleanup_free_ char *marker = marker_path(data_dir);
        _cleanup_close_ int lock_fd = -1;
        int r;

        r = lock_marker(marker, &lock_fd, err);
        if (r < 0)
                return r;
        return remove_all(data_dir, err);
}

static bool folder_is_empty(const char *path)
{
        _cleanup_strv_ char **names = NULL;

        return fs_list_directory(AT_FDCWD, path, &names, NULL) < 0 || strv_length(names) == 0;
}

int stage_begin(const char *data_dir, const char *waldir, Stage *ret, Error **err)
{
        _cleanup_free_ char *marker = marker_path(data_dir), *state_path = path_join(marker, "state");
        _cleanup_free_ char *state = NULL;
        _cleanup_stage_ Stage stage = { .lock_fd = -1 };
        int r;

        if (!folder_is_empty(data_dir))
                return error_set(err, ERROR_EXISTS, "\"%s\" is not empty", data_dir);
        stage.data_dir = xstrdup(data_dir);
        stage.build_dir = path_join(marker, "data");
        stage.waldir = xstrdup(waldir);
        if (mkdir(marker, 0700) < 0)
                return error_set_errno(err, errno, "make folder \"%s\"", marker);
        r = lock_marker(marker, &stage.lock_fd, err);
        if (r < 0)
                return r;
        /* A WAL folder that holds something is refused by initdb and must not be emptied by us. */
        state = waldir && folder_is_empty(waldir) ? xasprintf("format 1\nwaldir %s\n", waldir) : xstrdup("format 1\n");
        r = fs_write_file(AT_FDCWD, state_path, state, strlen(state), 0600, err);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, data_dir, err);
        if (r < 0)
                return r;
        *ret = stage;
        stage = (Stage){ .lock_fd = -1 };
        return 0;
}

int stage_move(Stage *stage, Error **err)
{
        _cleanup_close_ int from = open(stage->build_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int to = open(stage->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_strv_ char **names = NULL;
        int r;

        if (from < 0 || to < 0)
                return error_set_errno(err, errno, "open \"%s\"", from < 0 ? stage->build_dir : stage->data_dir);
        r = fs_list_directory(from, ".", &names, err);
        if (r < 0)
                return r;
        /* What calls itself initialised comes last. */
        strv_remove(names, "PG_VERSION");
        strv_add(&names, "PG_VERSION");
        STRV_FOREACH(name, names)
                if (renameat(from, *name, to, *name) < 0)
                        return error_set_errno(err, errno, "move \"%s\" to \"%s\"", *name, stage->data_dir);
        return 0;
}

/* Init files may have made tablespaces on other file systems. */
static int sync_tablespaces(const char *data_dir, Error **err)
{
        _cleanup_free_ char *folder = path_join(data_dir, "pg_tblspc");
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, folder, &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                if (r == 0)
                        r = tree_sync(path, err);
        }
        return r;
}

int stage_finish(Stage *stage, Error **err)
{
        _cleanup_free_ char *marker = marker_path(stage->data_dir);
        int r;

        r = tree_sync(stage->data_dir, err);
        if (r == 0 && stage->waldir)
                r = tree_sync(stage->waldir, err);
        if (r == 0)
                r = sync_tablespaces(stage->data_dir, err);
        if (r == 0)
                r = fs_remove_tree(AT_FDCWD, marker, err);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, stage->data_dir, err);
        return r;
}

void stage_abandon(Stage *stage)
{
        /* Where this fails the marker stays, and the next start tries again. */
        remove_all(stage->data_dir, NULL);
}
