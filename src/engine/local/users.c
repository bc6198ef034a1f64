#include "engine/local/users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"

#define DATABASE_LIMIT ((size_t)16 * 1024 * 1024)

void image_user_done(ImageUser *user)
{
        free(user->groups);
        free(user->home);
}

int open_in_root(int root_fd, const char *path, int flags, Error **err)
{
        struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
                                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

        return fd < 0 ? error_set_errno(err, errno, "open \"%s\" in the container", path) : fd;
}

/* The lines of a colon-separated file, each split; absent gives none. */
static char ***read_database(int root_fd, const char *path, size_t n_columns)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_close_ int fd = open_in_root(root_fd, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, NULL);
        _cleanup_strv_ char **lines = NULL;
        char ***rows;
        size_t n = 0;

        if (fd >= 0)
                fs_read_fd(fd, DATABASE_LIMIT, &text, NULL);
        lines = strv_split(strbuf_text(&text), '\n');
        rows = xnew_array(char **, strv_length(lines) + 1);
        STRV_FOREACH(line, lines) {
                char **columns = strv_split(*line, ':');
                if (strv_length(columns) >= n_columns)
                        rows[n++] = columns;
                else
                        strv_free(columns);
        }
        return rows;
}

static void free_database(char ****rows)
{
        for (char ***row = *rows; row && *row; row++)
                strv_free(*row);
        free(*rows);
}
#define _cleanup_database_ _cleanup_(free_database)

static bool parse_id(const char *text, uint32_t *ret)
{
        int64_t value;

        if (!parse_int64(text, 0, UINT32_MAX - 1, &value))
                return false;
        *ret = (uint32_t)value;
        return true;
}

static char **find_row(char ***rows, const char *name, size_t id_column, bool by_id)
{
        uint32_t wanted = 0, id;

        if (by_id && !parse_id(name, &wanted))
                return NULL;
        for (char ***row = rows; *row; row++)
                if (by_id ? parse_id((*row)[id_column], &id) && id == wanted : streq((*row)[0], name))
                        return *row;
        return NULL;
}

static void add_group(ImageUser *user, uint32_t gid)
{
        for (size_t i = 0; i < user->n_groups; i++)
                if (user->groups[i] == gid)
                        return;
        user->groups = xreallocarray(user->groups, user->n_groups + 1, sizeof(uint32_t));
        user->groups[user->n_groups++] = gid;
}

static int find_group(char ***groups, const char *name, uint32_t *ret, Error **err)
{
        char **row = find_row(groups, name, 2, false);

        if (row && parse_id(row[2], ret))
                return 0;
        if (parse_id(name, ret))
                return 0;
        return error_set(err, ERROR_NOT_FOUND, "group \"%s\" is not in the image's /etc/group", name);
}

static void add_memberships(ImageUser *user, char ***groups, const char *name)
{
        for (char ***row = groups; *row; row++) {
                _cleanup_strv_ char **members = strv_split((*row)[3], ',');
                uint32_t gid;
                if (strv_contains(members, name) && parse_id((*row)[2], &gid))
                        add_group(user, gid);
        }
}

int image_user_find(int root_fd, const char *user, char *const *group_add, ImageUser *ret, Error **err)
{
        _cleanup_database_ char ***users = read_database(root_fd, "/etc/passwd", 6);
        _cleanup_database_ char ***groups = read_database(root_fd, "/etc/group", 4);
        _cleanup_free_ char *name = xstrdup(isempty(user) ? "0" : user);
        _cleanup_image_user_ ImageUser found = { 0 };
        char *group = strchr(name, ':'), **row;
        int r = 0;

        if (group)
                *group++ = '\0';
        row = find_row(users, name, 2, false);
        if (!row)
                row = find_row(users, name, 2, true);
        if (row && parse_id(row[2], &found.uid) && parse_id(row[3], &found.gid))
                found.home = xstrdup(*row[5] ? row[5] : "/");
        else if (!parse_id(name, &found.uid))
                return error_set(err, ERROR_NOT_FOUND, "user \"%s\" is not in the image's /etc/passwd", name);
        if (!found.home)
                found.home = xstrdup("/");
        if (group && *group)
                r = find_group(groups, group, &found.gid, err);
        else if (row)
                add_memberships(&found, groups, row[0]);
        STRV_FOREACH(extra, group_add) {
                uint32_t gid = 0;
                if (r >= 0)
                        r = find_group(groups, *extra, &gid, err);
                if (r >= 0)
                        add_group(&found, gid);
        }
        if (r < 0)
                return r;
        *ret = found;
        found = (ImageUser){ 0 };
        return 0;
}
