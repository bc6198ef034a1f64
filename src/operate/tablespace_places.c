#include "operate/tablespace_places.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "operate/restore_mark.h"
#include "state/document.h"

#define LINKS     "pg_tblspc"
#define TEMPORARY "berth.new"

static char *data_of_copy(const RestorePlaces *places)
{
        return *places->rest ? path_join(places->staged, places->rest) : xstrdup(places->staged);
}

/* ---- before ---- */

/* All folders that are missing on the way to path, as the data folder is owned. No container has seen the copy yet. */
static int make_owned(const char *base, const char *below, const struct stat *like, Error **err)
{
        for (size_t end = strcspn(below, "/");; end += 1 + strcspn(below + end + 1, "/")) {
                _cleanup_free_ char *part = xstrndup(below, end), *path = path_join(base, part);

                if (mkdir(path, 0700) == 0) {
                        if (chown(path, like->st_uid, like->st_gid) < 0)
                                return error_set_errno(err, errno, "make \"%s\"", path);
                } else if (errno != EEXIST) {
                        return error_set_errno(err, errno, "make \"%s\"", path);
                }
                if (!below[end])
                        return 0;
        }
}

/* The same place may have been given to one after the other. */
static bool comes_again(const json_t *rows, size_t index, const char *location)
{
        for (size_t i = index + 1; i < json_array_size(rows); i++)
                if (streq(json_get_string(json_array_get(rows, i), "location", ""), location))
                        return true;
        return false;
}

static SpecMount *add_mount(ContainerSpec *spec)
{
        SpecMount *all = arena_new_array(spec->arena, SpecMount, spec->n_mounts + 1);

        memcpy(all, spec->mounts, spec->n_mounts * sizeof(*all));
        spec->mounts = all;
        return &spec->mounts[spec->n_mounts++];
}

/* What holds the location belongs to the service that runs. Nothing of it is needed here, and the place may be missing in it. */
static void cover(SpecMount *mount)
{
        *mount = (SpecMount){ .kind = SPEC_MOUNT_TMPFS, .target = mount->target, .tmpfs_size = -1, .tmpfs_mode = -1 };
}

static int bind_place(const char *folder, const char *location, ContainerSpec *spec, SpecMount *holder)
{
        SpecMount *mount;

        if (holder && holder->kind != SPEC_MOUNT_TMPFS)
                cover(holder);
        mount = add_mount(spec);
        *mount = (SpecMount){ .kind = SPEC_MOUNT_BIND,
                              .source = arena_strdup(spec->arena, folder),
                              .target = arena_strdup(spec->arena, location),
                              .tmpfs_size = -1,
                              .tmpfs_mode = -1 };
        return 0;
}

static int prepare_one(const RestorePlaces *places, ContainerSpec *spec, const char *data_target, json_t *row,
                       Error **err)
{
        _cleanup_free_ char *location = path_clean("/", json_get_string(row, "location", "")),
                            *data = data_of_copy(places),
                            *below = xasprintf(RESTORED_TABLESPACES "/%lld", (long long)json_get_int(row, "oid", 0)),
                            *folder = NULL;
        SpecMount *holder = data_folder_mount_of(spec, location);
        struct stat like;
        int r;

        if (stat(data, &like) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", data);
        if (holder && streq(holder->target, data_target)) {
                const char *rest = path_below(location, data_target);

                return *rest ? make_owned(places->staged, rest, &like, err) : 0;
        }
        r = make_owned(data, below, &like, err);
        if (r < 0)
                return r;
        folder = path_join(data, below);
        json_object_set_new(row, "inside", json_sprintf("%s/%s", places->inside, below));
        return bind_place(folder, location, spec, holder);
}

int tablespace_places_prepare(const RestorePlaces *places, ContainerSpec *spec, const SpecMount *data, json_t *rows,
                              Error **err)
{
        _cleanup_free_ char *target = xstrdup(data ? data->target : "");
        json_t *row;
        size_t i;

        json_array_foreach(rows, i, row) {
                const char *location = json_get_string(row, "location", "");
                int r = comes_again(rows, i, location) ? 0 : prepare_one(places, spec, target, row, err);

                if (r < 0)
                        return error_prefix(err, r, "a place for tablespace %lld, made at %s",
                                            (long long)json_get_int(row, "oid", 0), location);
        }
        return 0;
}

/* ---- after ---- */

/* A container has written here: no link is followed. */
static int open_links(const RestorePlaces *places)
{
        const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
        _cleanup_free_ char *path = *places->rest ? path_join(places->rest, LINKS) : xstrdup(LINKS);
        _cleanup_close_ int root_fd = open(places->staged, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return root_fd < 0 ? -1 : (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

static const char *new_target(const json_t *rows, const char *location)
{
        const json_t *row;
        const char *inside = NULL;
        size_t i;

        json_array_foreach(rows, i, row)
                if (streq(json_get_string(row, "location", ""), location) && json_object_get(row, "inside"))
                        inside = json_get_string(row, "inside", NULL);
        return inside;
}

static int settle_link(const RestorePlaces *places, const json_t *rows, int links_fd, const char *name, Error **err)
{
        char location[4096];
        ssize_t n = readlinkat(links_fd, name, location, sizeof(location) - 1);
        const char *target;
        struct stat status;

        if (n < 0)
                return errno == EINVAL ? 0
                                       : error_set_errno(err, errno, "read link \"%s\"", name); /* a folder: in place */
        location[n] = '\0';
        target = new_target(rows, location);
        if (!target && path_below(location, places->target))
                return 0;
        if (!target)
                return error_set(err, ERROR_CORRUPT, "tablespace %s lies at %s, which is no part of the copy", name,
                                 location);
        unlinkat(links_fd, TEMPORARY, 0);
        if (fstatat(links_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || symlinkat(target, links_fd, TEMPORARY) < 0 ||
            fchownat(links_fd, TEMPORARY, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            renameat(links_fd, TEMPORARY, links_fd, name) < 0)
                return error_set_errno(err, errno, "link tablespace %s", name);
        return 0;
}

int tablespace_places_settle(const RestorePlaces *places, const json_t *rows, Error **err)
{
        _cleanup_close_ int links_fd = open_links(places);
        _cleanup_strv_ char **names = NULL;
        int r = links_fd < 0 ? error_set_errno(err, errno, "open \"" LINKS "\"")
                             : fs_list_directory(links_fd, ".", &names, err);

        STRV_FOREACH(name, names)
                if (r == 0)
                        r = settle_link(places, rows, links_fd, *name, err);
        return r == 0 && fsync(links_fd) < 0 ? error_set_errno(err, errno, "sync \"" LINKS "\"") : r;
}
