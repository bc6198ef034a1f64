#include "operate/cluster_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/data_files.h"
#include "postgres/page.h"

#define CONTROL_NAME "global/pg_control"
#define CONTROL_TRIES 50
#define CONTROL_WAIT_NS (2 * NSEC_PER_MSEC)

/* A folder that a link of the data folder leads to. */
typedef struct Elsewhere {
        char *path;             /* as listed: "pg_tblspc/16400", "pg_wal" */
        int fd;
        dev_t device;
        ino_t inode;
} Elsewhere;

struct ClusterFolder {
        int root_fd;            /* the server's root */
        int data_fd;
        char *data_directory;   /* as the server names it */
        uint32_t segment_blocks;
        int server_version;
        uint32_t catalog_version;
        VECTOR(Elsewhere) elsewhere;
};

void cluster_folder_free(ClusterFolder *folder)
{
        if (!folder)
                return;
        VECTOR_FOREACH(place, &folder->elsewhere) {
                fs_close(place->fd);
                free(place->path);
        }
        vector_done(&folder->elsewhere);
        fs_close(folder->data_fd);
        fs_close(folder->root_fd);
        free(folder->data_directory);
        free(folder);
}

static int open_resolved(int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
        const struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = resolve };
        int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

        return fd < 0 ? -errno : fd;
}

/* No link on the way. */
static int open_below(int dir_fd, const char *path, uint64_t flags)
{
        return open_resolved(dir_fd, path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

static int open_folder_in_root(const ClusterFolder *folder, const char *path)
{
        return open_resolved(folder->root_fd, path, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
}

/* ---- which folder ---- */

/* Who listens on a socket of this machine is the server itself, in whichever container. */
static pid_t process_of(PGconn *connection, pid_t pid)
{
        struct ucred peer = { 0 };
        socklen_t size = sizeof(peer);

        return getsockopt(PQsocket(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 ? peer.pid : pid;
}

static int ask_server(ClusterFolder *folder, PGconn *connection, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(connection,
                                 "SELECT pg_is_in_recovery(), current_setting('block_size')::int, "
                                 "(SELECT setting FROM pg_settings WHERE name = 'segment_size'), current_setting('data_directory')",
                                 PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        if (streq(PQgetvalue(result, 0, 0), "t"))
                return error_set(err, ERROR_UNSUPPORTED, "the server is a standby");
        if (atoi(PQgetvalue(result, 0, 1)) != PAGE_SIZE_BYTES)
                return error_set(err, ERROR_UNSUPPORTED, "its pages have %s bytes", PQgetvalue(result, 0, 1));
        folder->segment_blocks = (uint32_t)strtoul(PQgetvalue(result, 0, 2), NULL, 10);
        folder->data_directory = xstrdup(PQgetvalue(result, 0, 3));
        folder->server_version = PQserverVersion(connection);
        return 0;
}

static int open_data(ClusterFolder *folder, pid_t pid, Error **err)
{
        _cleanup_free_ char *root = xasprintf("/proc/%d/root", (int)pid);

        folder->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder->root_fd < 0)
                return error_set(err, ERROR_UNSUPPORTED, "the server's process is not of this machine");
        folder->data_fd = open_folder_in_root(folder, folder->data_directory);
        return folder->data_fd < 0 ? error_set(err, ERROR_UNSUPPORTED, "\"%s\" is not to be seen from here",
                                               folder->data_directory)
                                   : 0;
}

static int add_elsewhere(ClusterFolder *folder, const char *path, int fd, Error **err)
{
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0) {
                fs_close(fd);
                return error_set(err, ERROR_UNSUPPORTED, "the folder behind \"%s\" is not to be seen from here", path);
        }
        vector_add(&folder->elsewhere, (Elsewhere){ xstrdup(path), fd, status.st_dev, status.st_ino });
        return 0;
}

/* Of the server's own making, so a link is followed, within its root. */
static int find_wal(ClusterFolder *folder, Error **err)
{
        _cleanup_free_ char *path = path_join(folder->data_directory, "pg_wal");

        return add_elsewhere(folder, "pg_wal", open_folder_in_root(folder, path), err);
}

int cluster_folder_open(PGconn *connection, pid_t pid, uint64_t system_identifier, ClusterFolder **ret, Error **err)
{
        _cleanup_(cluster_folder_freep) ClusterFolder *folder = xnew(ClusterFolder);
        unsigned char control[CONTROL_FILE_BYTES];
        _cleanup_error_ Error *failure = NULL;
        ControlFile read;
        int r;

        *folder = (ClusterFolder){ .root_fd = -1, .data_fd = -1 };
        pid = process_of(connection, pid);
        if (pid <= 0)
                return error_set(err, ERROR_UNSUPPORTED, "the server is reached over a network");
        r = ask_server(folder, connection, err);
        if (r == 0)
                r = open_data(folder, pid, err);
        if (r == 0)
                r = find_wal(folder, err);
        if (r < 0)
                return r;
        if (cluster_folder_read_control(folder, control, &read, NULL, &failure) < 0 ||
            read.system_identifier != system_identifier)
                return error_set(err, ERROR_UNSUPPORTED, "\"%s\" as seen from here is not the server's cluster",
                                 folder->data_directory);
        folder->catalog_version = read.catalog_version;
        *ret = TAKE_PTR(folder);
        return 0;
}

uint32_t cluster_folder_segment_blocks(const ClusterFolder *folder)
{
        return folder->segment_blocks;
}

/* ---- files ---- */

/* The folder that path is in, and its path there. */
static int place_of(const ClusterFolder *folder, const char **path)
{
        VECTOR_FOREACH(place, &folder->elsewhere) {
                const char *rest = startswith(*path, place->path);
                if (rest && (*rest == '/' || !*rest)) {
                        *path = *rest ? rest + 1 : ".";
                        return place->fd;
                }
        }
        return folder->data_fd;
}

int cluster_folder_open_file(const ClusterFolder *folder, const char *path)
{
        int dir_fd = place_of(folder, &path), fd = open_below(dir_fd, path, O_RDONLY);
        struct stat status;

        if (fd < 0)
                return fd;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                return fd;
        fs_close(fd);
        return -ENOENT; /* of this kind there is none */
}

int cluster_folder_read_control(const ClusterFolder *folder, unsigned char control[CONTROL_FILE_BYTES], ControlFile *ret,
                                struct stat *ret_status, Error **err)
{
        const struct timespec pause = { .tv_nsec = CONTROL_WAIT_NS };
        int r = 0;

        for (int i = 0; i < CONTROL_TRIES; i++) {
                _cleanup_close_ int fd = cluster_folder_open_file(folder, CONTROL_NAME);
                _cleanup_error_ Error *failure = NULL;

                if (fd < 0)
                        return error_set_errno(err, -fd, "open " CONTROL_NAME);
                if (ret_status && fstat(fd, ret_status) < 0)
                        return error_set_errno(err, errno, "read " CONTROL_NAME);
                r = identity_read_control(fd, control, ret, &failure);
                if (r != -ERROR_CORRUPT || i + 1 == CONTROL_TRIES)
                        return error_move(err, &failure, r);
                nanosleep(&pause, NULL);
        }
        return r;
}

int cluster_folder_wal_names(const ClusterFolder *folder, char ***ret, Error **err)
{
        const char *path = "pg_wal";

        return fs_list_directory(place_of(folder, &path), ".", ret, err);
}

/* ---- the list ---- */

typedef struct Walk {
        ClusterFolder *folder;
        const WorkProgress *progress;
        FileList *list;
} Walk;

ListedFile *cluster_folder_entry(const char *path, const struct stat *status)
{
        ListedFile *file = xnew(ListedFile);

        *file = (ListedFile){ .type = S_ISREG(status->st_mode) ? 'f' : 'd',
                              .mode = status->st_mode & 07777,
                              .uid = status->st_uid,
                              .gid = status->st_gid,
                              .mtime = status->st_mtime,
                              .size_bytes = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
                              .path = xstrdup(path) };
        return file;
}

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
        return !relation.temporary &&
               (relation.fork == FORK_INIT || !unlogged->numbers.length ||
                !bsearch(&relation.number, unlogged->numbers.items, unlogged->numbers.length, sizeof(uint32_t), compare_numbers));
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
        int dir_fd = place_of(walk->folder, &path);
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
                _cleanup_free_ char *text = xasprintf("\"%s\" is neither a file nor a folder and is not backed up", path);
                progress_warning(walk->progress, text);
        }
        return 0;
}

/* What is gone by the time it is looked at was dropped: the log says so. */
static int list_folder(Walk *walk, const char *path, Error **err)
{
        const char *inside = path;
        int dir_fd = place_of(walk->folder, &inside);
        _cleanup_close_ int fd = open_below(dir_fd, *inside ? inside : ".", O_RDONLY | O_DIRECTORY);
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
        _cleanup_close_ int fd = open_below(walk->folder->data_fd, "pg_tblspc", O_RDONLY | O_DIRECTORY);
        _cleanup_strv_ char **names = NULL;
        int r = fd < 0 ? error_set_errno(err, -fd, "open \"pg_tblspc\"") : fs_list_directory(fd, ".", &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join("pg_tblspc", *name), *target = NULL;

                if (r == 0)
                        r = read_target(fd, *name, &target, err);
                if (r == 0)
                        r = add_elsewhere(walk->folder, path, open_folder_in_root(walk->folder, target), err);
                if (r == 0)
                        add_link(links, fd, *name, path, TAKE_PTR(target));
        }
        return r;
}

/* Only what belongs to this version of the server: others may have theirs beside it. */
static int list_tablespaces(Walk *walk, FileList *links, Error **err)
{
        _cleanup_free_ char *version = xasprintf("PG_%d_%u", walk->folder->server_version / 10000, walk->folder->catalog_version);
        int r = 0;

        VECTOR_FOREACH(link, &links->files)
                vector_add(&walk->list->files, *link);
        for (size_t i = 0; r == 0 && i < links->files.length; i++) {
                _cleanup_free_ char *path = path_join(links->files.items[i]->path, version);
                const char *inside = path;
                int dir_fd = place_of(walk->folder, &inside);

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
