#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/record.h"

bool container_name_is_valid(const char *name)
{
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

        return length > 0 && length <= 200 && !name[length] && isalnum((unsigned char)*name);
}

int container_name_resolve(const Layout *layout, const char *name, char **ret_folder, char **ret_id, Error **err)
{
        _cleanup_free_ char *path = NULL, *target = NULL;
        char *slash;

        if (!container_name_is_valid(name))
                return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", name);
        path = layout_data(layout, "names/%s", name);
        if (fs_read_link(path, &target, NULL) < 0 || !(slash = strchr(target, '/')))
                return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", name);
        *slash = '\0';
        *ret_folder = xstrdup(target);
        *ret_id = xstrdup(slash + 1);
        return 0;
}

char *container_name_of(const Layout *layout, const char *folder, const char *id)
{
        _cleanup_free_ char *path = layout_data(layout, "names"), *wanted = xasprintf("%s/%s", folder, id);
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, path, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *link = path_join(path, *name), *target = NULL;

                if (fs_read_link(link, &target, NULL) >= 0 && streq(target, wanted))
                        return xstrdup(*name);
        }
        return NULL;
}

static bool container_exists(const Layout *layout, const char *folder, const char *id)
{
        _cleanup_free_ char *path = layout_data(layout, "projects/%s/containers/%s/container.json", folder, id);

        return fs_exists(path);
}

static int name_is_taken(const char *name, const char *folder, Error **err)
{
        int r;

        if (streq(folder, NO_PROJECT)) {
                r = error_set(err, ERROR_EXISTS, "container name \"%s\" is taken by a container without a project",
                              name);
                return error_hint(err, r, "Remove it or choose another name.");
        }
        r = error_set(err, ERROR_EXISTS, "container name \"%s\" is taken by project \"%s\"", name, folder);
        return error_hint(err, r, "Set another container_name, or bring that project down first.");
}

int container_name_claim(const Layout *layout, const char *name, const char *folder, const char *id, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "names/%s", name), *directory = layout_data(layout, "names");
        _cleanup_free_ char *target = xasprintf("%s/%s", folder, id), *old_folder = NULL, *old_id = NULL;
        int r;

        r = fs_make_directories(directory, 0700, err);
        if (r < 0)
                return r;
        if (symlink(target, path) == 0)
                return 0;
        if (errno != EEXIST)
                return error_set_errno(err, errno, "claim container name \"%s\"", name);
        r = container_name_resolve(layout, name, &old_folder, &old_id, NULL);
        if (r >= 0 && streq(old_id, id) && streq(old_folder, folder))
                return 0;
        if (r >= 0 && container_exists(layout, old_folder, old_id))
                return name_is_taken(name, old_folder, err);
        if (unlink(path) < 0 || symlink(target, path) < 0)
                return error_set_errno(err, errno, "claim container name \"%s\"", name);
        return 0;
}

void container_name_release(const Layout *layout, const char *name, const char *id)
{
        _cleanup_free_ char *path = layout_data(layout, "names/%s", name), *folder = NULL, *holder = NULL;

        if (container_name_resolve(layout, name, &folder, &holder, NULL) >= 0 && streq(holder, id))
                unlink(path);
}
