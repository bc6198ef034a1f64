/* The list of what a base backup takes of a cluster's folder. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strv.h"
#include "operate/cluster_folder_private.h"
#include "postgres/data_files.h"

typedef struct Walk {
        ClusterFolder *folder;
        const WorkProgress *progress;
        FileList *list;
} Walk;

static void add_entry(Walk *walk, const char *path, const struct stat *status)
{
        vector_add(&walk->list->files, cluster_folder_entry(path, status));
}

/* Relations that are not logged: only how they begin is taken. A strv of numbers would be searched for each file. */
typedef struct Unlogged {
        VECTOR(uint32_t) numbers;
} Unlogged;

static int compare_numbers(const void *left, const void *right)
{
        uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

        return a < b ? -1 : a > b;
}

static void find_unlogged(char **names, Unlogged *ret)
{
        RelationFile relation;

        STRV_FOREACH(name, names)
                if (relation_file_parse(*name, &relation) && !relation.temporary && relation.fork == FORK_INIT)
                        vector_add(&ret->numbers, relation.number);
        if (ret->numbers.length)
                qsort(ret->numbers.items, ret->numbers.length, sizeof(uint32_t), compare_numbers);
}

static bool is_taken(const char *name, bool has_relations, const Unlogged *unlogged)
{
        RelationFile relation;

        if (data_file_is_left_out(name))
                return false;
        if (!has_relations || !relation_file_parse(name, &relation))
                return true;
        return !relation.temporary && (relation.fork == FORK_INIT || !unlogged->numbers.length ||
                                       !bsearch(&relation.number, unlogged->numbers.items, unlogged->numbers.length,
                                                sizeof(uint32_t), compare_numbers));
}

static int list_folder(Walk *walk, const char *path, Error **err);

/* One inside the data folder is in the list as what the link leads to. */
static bool is_listed_elsewhere(const ClusterFolder *folder, const struct stat *status)
{
        VECTOR_FOREACH(place, &folder->elsewhere)
                if (place->device == status->st_dev && place->inode == status->st_ino)
                        return true;
        return false;
}

static void list_wal(Walk *walk)
{
        static const char *const inside[] = { "archive_status", "summaries" };
        const char *path = "pg_wal";
        int dir_fd = cluster_folder_place(walk->folder, &path);
        struct stat status;

        for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
                _cleanup_free_ char *listed = path_join("pg_wal", inside[i]);
                if (fstatat(dir_fd, inside[i], &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
                        add_entry(walk, listed, &status);
        }
}

static int add_folder(Walk *walk, const char *path, const struct stat *status, Error **err)
{
        add_entry(walk, path, status);
        switch (data_folder_kind(path)) {
        case DATA_FOLDER_EMPTY:
                return 0;
        case DATA_FOLDER_WAL:
                list_wal(walk);
                return 0;
        case DATA_FOLDER_TABLESPACES:
                return 0; /* links were found before, and are added behind */
        case DATA_FOLDER_PLAIN:
                break;
        }
        return is_listed_elsewhere(walk->folder, status) ? 0 : list_folder(walk, path, err);
}

static int add_name(Walk *walk, int dir_fd, const char *name, const char *path, Error **err)
{
        struct stat status;

        if (streq(path, CONTROL_NAME))
                return 0;
        if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "look at \"%s\"", path);
        /* A folder of the server's own may be a link, and becomes a folder. */
        if (S_ISLNK(status.st_mode) && data_folder_kind(path) != DATA_FOLDER_PLAIN) {
                if (fstat(walk->folder->data_fd, &status) < 0)
                        return error_set_errno(err, errno, "look at the data folder");
        }
        if (S_ISREG(status.st_mode)) {
                add_entry(walk, path, &status);
                return 0;
        }
        if (S_ISDIR(status.st_mode))
                return add_folder(walk, path, &status, err);
        if (walk->progress->warning) {
                _cleanup_free_ char *text =
                        xasprintf("\"%s\" is neither a file nor a folder and is not backed up", path);
                progress_warning(walk->progress, text);
        }
        return 0;
}

/* What is gone by the time it is looked at was dropped: the log says so. */
static int list_folder(Walk *walk, const char *path, Error **err)
{
        const char *inside = path;
        int dir_fd = cluster_folder_place(walk->folder, &inside);
        _cleanup_close_ int fd = cluster_folder_open_below(dir_fd, *inside ? inside : ".", O_RDONLY | O_DIRECTORY);
        bool has_relations = data_folder_has_relations(path);
        _cleanup_strv_ char **names = NULL;
        Unlogged unlogged = { 0 };
        int r;

        if (fd < 0)
                return fd == -ENOENT ? 0 : error_set_errno(err, -fd, "open \"%s\"", path);
        r = fs_list_directory(fd, ".", &names, err);
        if (r == 0 && has_relations)
                find_unlogged(names, &unlogged);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *below = *path ? path_join(path, *name) : xstrdup(*name);

                if (r < 0)
                        break;
                if (is_taken(*name, has_relations, &unlogged))
                        r = add_name(walk, fd, *name, below, err);
        }
        vector_done(&unlogged.numbers);
        return r;
}

/* ---- tablespaces ---- */

static int read_target(int dir_fd, const char *name, char **ret, Error **err)
{
        char target[4096];
        ssize_t length = readlinkat(dir_fd, name, target, sizeof(target));

        if (length < 0 || (size_t)length == sizeof(target))
                return error_set(err, ERROR_UNSUPPORTED, "\"pg_tblspc/%s\" is not a link", name);
        *ret = xstrndup(target, (size_t)length);
        return 0;
}

static void add_link(FileList *links, int dir_fd, const char *name, const char *path, char *target)
{
        ListedFile *link = xnew(ListedFile);
        struct stat status = { 0 };

        fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW);
        *link = (ListedFile){ .type = 'l',
                              .mode = status.st_mode & 07777,
                              .uid = status.st_uid,
                              .gid = status.st_gid,
                              .mtime = status.st_mtime,
                              .path = xstrdup(path),
                              .target = target };
        vector_add(&links->files, link);
}

static int find_tablespaces(Walk *walk, FileList *links, Error **err)
{
        _cleanup_close_ int fd = cluster_folder_open_below(walk->folder->data_fd, "pg_tblspc", O_RDONLY | O_DIRECTORY);
        _cleanup_strv_ char **names = NULL;
        int r = fd < 0 ? error_set_errno(err, -fd, "open \"pg_tblspc\"") : fs_list_directory(fd, ".", &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join("pg_tblspc", *name), *target = NULL;

                if (r == 0)
                        r = read_target(fd, *name, &target, err);
                if (r == 0)
                        r = cluster_folder_add_elsewhere(walk->folder, path,
                                                         cluster_folder_open_in_root(walk->folder, target), err);
                if (r == 0)
                        add_link(links, fd, *name, path, TAKE_PTR(target));
        }
        return r;
}

/* Only what belongs to this version of the server: others may have theirs beside it. */
static int list_tablespaces(Walk *walk, FileList *links, Error **err)
{
        _cleanup_free_ char *version =
                xasprintf("PG_%d_%u", walk->folder->server_version / 10000, walk->folder->catalog_version);
        int r = 0;

        VECTOR_FOREACH(link, &links->files)
                vector_add(&walk->list->files, *link);
        for (size_t i = 0; r == 0 && i < links->files.length; i++) {
                _cleanup_free_ char *path = path_join(links->files.items[i]->path, version);
                const char *inside = path;
                int dir_fd = cluster_folder_place(walk->folder, &inside);

                r = add_name(walk, dir_fd, inside, path, err);
        }
        vector_done(&links->files);
        return r;
}

int cluster_folder_list(ClusterFolder *folder, const WorkProgress *progress, FileList *ret, Error **err)
{
        Walk walk = { .folder = folder, .progress = progress, .list = ret };
        _cleanup_file_list_ FileList links = { 0 };
        int r = find_tablespaces(&walk, &links, err);

        if (r == 0)
                r = list_folder(&walk, "", err);
        return r < 0 ? r : list_tablespaces(&walk, &links, err);
}
