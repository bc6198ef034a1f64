#include "operate/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "operate/guards.h"
#include "operate/login.h"
#include "operate/sql.h"
#include "postgres/password.h"
#include "state/document.h"

#define JOURNAL_FORMAT  1
#define LOCK_TIMEOUT_MS 60000

static char *journal_path(const Rotation *rotation)
{
        _cleanup_free_ char *digits =
                sha256_hex(rotation->role, strlen(rotation->role)); /* a role may be called anything */

        return layout_data(rotation->layout, "projects/%s/rotations/%s.%.16s.json", rotation->database->project,
                           rotation->database->service, digits);
}

int rotation_lock(const Layout *layout, const char *project, int *ret_fd, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "projects/%s/rotations", project),
                            *path = path_join(folder, ".lock");
        _cleanup_strv_ char **names = NULL;
        int r = fs_make_directories(folder, 0700, err);

        if (r == 0)
                r = error_prefix(err, lock_file(path, LOCK_TIMEOUT_MS, ret_fd, err), "another change of a password");
        if (r == 0)
                fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *half = path_join(folder, *name);
                if (endswith(*name, ".tmp"))
                        unlink(half);
        }
        return r;
}

/* ---- the journal ---- */

static int begin_journal(const Rotation *rotation, const char *path, char **ret_password, Error **err)
{
        _cleanup_json_ json_t *journal = NULL;
        _cleanup_free_ char *folder = path_dirname(path);
        int r = fs_make_directories(folder, 0700, err);

        if (r < 0)
                return r;
        *ret_password = rotation->adopt ? xstrdup(rotation->adopt) : password_generate();
        journal = json_pack("{s:s, s:s, s:s?, s:s}", "service", rotation->database->service, "role", rotation->role,
                            "secret", rotation->secret, "password", *ret_password);
        if (!journal)
                return error_set(err, ERROR_INVALID, "the password is not UTF-8");
        return document_save(path, JOURNAL_FORMAT, journal, err);
}

static int open_journal(const Rotation *rotation, const char *path, char **ret_password, bool *ret_resumed, Error **err)
{
        _cleanup_json_ json_t *journal = NULL;
        _cleanup_error_ Error *error = NULL;
        const char *password;
        int r = document_load(path, JOURNAL_FORMAT, &journal, &error);

        *ret_resumed = false;
        if (r < 0 && r != -ERROR_NOT_FOUND)
                return error_move(err, &error, r);
        password = json_get_string(journal, "password", NULL);
        /* An adoption knows the password; whatever another one had chosen gives way to it. */
        if (!password || rotation->adopt || !streq(json_get_string(journal, "secret", ""), rotation->secret))
                return begin_journal(rotation, path, ret_password, err);
        *ret_password = xstrdup(password);
        *ret_resumed = true;
        return 0;
}

/* ---- database and file ---- */

static int set_in_database(const Rotation *rotation, const char *password, Error **err)
{
        _cleanup_strbuf_ Strbuf sql = STRBUF_INIT;
        int r = sql_add_password(&sql, rotation->role, password, err);

        if (r == 0)
                r = sql_run(rotation->engine, rotation->database, NULL, strbuf_text(&sql), NULL, err);
        strbuf_erase(&sql);
        return r;
}

static int write_beside(const char *path, const char *text, const struct stat *as, Error **err)
{
        _cleanup_close_ int fd = -1;
        int r;

        unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return error_set_errno(err, errno, "create \"%s\"", path);
        r = fs_write_all(fd, text, strlen(text), err);
        if (r == 0 && (fchown(fd, as->st_uid, as->st_gid) < 0 || fchmod(fd, as->st_mode & 07777) < 0 || fsync(fd) < 0))
                r = error_set_errno(err, errno, "write \"%s\"", path);
        return r;
}

/* By rename, with the owner and mode that it had; where a link points, not the link. */
static int replace_file(const char *link, const char *text, Error **err)
{
        _cleanup_free_ char *path = realpath(link, NULL), *beside = path ? xasprintf("%s.berth-new", path) : NULL,
                            *folder = path ? path_dirname(path) : NULL;
        struct stat status;
        int r;

        if (!path || stat(path, &status) < 0)
                return error_set_errno(err, errno, "secret file \"%s\"", link);
        r = write_beside(beside, text, &status, err);
        if (r == 0 && rename(beside, path) < 0)
                r = error_set_errno(err, errno, "replace \"%s\"", path);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, folder, err);
}

int rotation_run(const Rotation *rotation, bool *ret_resumed, Error **err)
{
        _cleanup_free_ char *path = journal_path(rotation);
        _cleanup_(free_secretp) char *password = NULL;
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        int r = open_journal(rotation, path, &password, ret_resumed, err);

        if (r == 0)
                r = set_in_database(rotation, password, err);
        if (r == 0 && !rotation->adopt)
                r = replace_file(rotation->secret, password, err);
        if (r < 0)
                return error_prefix(err, r, "role \"%s\"", rotation->role);
        database_login_of(rotation->database, &login);
        if (streq(login.user, rotation->role))
                guards_remember_password(rotation->layout, rotation->engine, rotation->database->spec, password);
        return 0;
}

int rotation_finish(const Rotation *rotation, Error **err)
{
        _cleanup_free_ char *path = journal_path(rotation), *folder = path_dirname(path);

        if (unlink(path) < 0 && errno != ENOENT)
                return error_set_errno(err, errno, "remove \"%s\"", path);
        return fs_sync_directory(AT_FDCWD, folder, err);
}
