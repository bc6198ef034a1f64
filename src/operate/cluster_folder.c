#include <errno.h>
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
#include "operate/cluster_folder_private.h"
#include "postgres/page.h"

#define CONTROL_TRIES   50
#define CONTROL_WAIT_NS (2 * NSEC_PER_MSEC)

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

int cluster_folder_open_below(int dir_fd, const char *path, uint64_t flags)
{
        return open_resolved(dir_fd, path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int cluster_folder_open_in_root(const ClusterFolder *folder, const char *path)
{
        return open_resolved(folder->root_fd, path, O_RDONLY | O_DIRECTORY, RESOLVE_IN_ROOT);
}

/* ---- which folder ---- */

/* Who listens on a socket of this machine is the server itself, in whichever container. */
static pid_t process_of(PGconn *connection, pid_t pid)
{
        struct ucred peer = { 0 };
        socklen_t size = sizeof(peer);

        return getsockopt(PQsocket(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 ? peer.pid
                                                                                                            : pid;
}

static int ask_server(ClusterFolder *folder, PGconn *connection, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(
                connection,
                "SELECT pg_is_in_recovery(), current_setting('block_size')::int, "
                "(SELECT setting FROM pg_settings WHERE name = 'segment_size'), current_setting('data_directory'), "
                "(SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), "
                "(SELECT system_identifier FROM pg_control_system())",
                PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        if (streq(PQgetvalue(result, 0, 0), "t"))
                return error_set(err, ERROR_UNSUPPORTED, "the server is a standby");
        if (atoi(PQgetvalue(result, 0, 1)) != PAGE_SIZE_BYTES)
                return error_set(err, ERROR_UNSUPPORTED, "its pages have %s bytes", PQgetvalue(result, 0, 1));
        folder->segment_blocks = (uint32_t)strtoul(PQgetvalue(result, 0, 2), NULL, 10);
        folder->data_directory = xstrdup(PQgetvalue(result, 0, 3));
        folder->wal_segment_bytes = (uint32_t)strtoul(PQgetvalue(result, 0, 4), NULL, 10);
        folder->system_identifier = strtoull(PQgetvalue(result, 0, 5), NULL, 10);
        folder->server_version = PQserverVersion(connection);
        return folder->segment_blocks && folder->wal_segment_bytes
                       ? 0
                       : error_set(err, ERROR_UNSUPPORTED, "the server does not tell the size of its segments");
}

static int open_data(ClusterFolder *folder, pid_t pid, Error **err)
{
        _cleanup_free_ char *root = xasprintf("/proc/%d/root", (int)pid);

        folder->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder->root_fd < 0)
                return error_set(err, ERROR_UNSUPPORTED, "the server's process is not of this machine");
        folder->data_fd = cluster_folder_open_in_root(folder, folder->data_directory);
        return folder->data_fd < 0
                       ? error_set(err, ERROR_UNSUPPORTED, "\"%s\" is not to be seen from here", folder->data_directory)
                       : 0;
}

int cluster_folder_add_elsewhere(ClusterFolder *folder, const char *path, int fd, Error **err)
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

        return cluster_folder_add_elsewhere(folder, "pg_wal", cluster_folder_open_in_root(folder, path), err);
}

static void ignore_notice(void *context, const PGresult *result)
{
        /* "all required WAL segments have been archived": ours are read from the folder. */
}

int cluster_folder_open(PGconn *connection, pid_t pid, ClusterFolder **ret, Error **err)
{
        _cleanup_(cluster_folder_freep) ClusterFolder *folder = xnew(ClusterFolder);
        unsigned char control[CONTROL_FILE_BYTES];
        _cleanup_error_ Error *failure = NULL;
        ControlFile read;
        int r;

        *folder = (ClusterFolder){ .root_fd = -1, .data_fd = -1 };
        PQsetNoticeReceiver(connection, ignore_notice, NULL);
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
            read.system_identifier != folder->system_identifier)
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

uint32_t cluster_folder_wal_segment_bytes(const ClusterFolder *folder)
{
        return folder->wal_segment_bytes;
}

int cluster_folder_status(const ClusterFolder *folder, struct stat *ret, Error **err)
{
        return fstat(folder->data_fd, ret) < 0 ? error_set_errno(err, errno, "look at \"%s\"", folder->data_directory)
                                               : 0;
}

int cluster_folder_check_alive(const ClusterFolder *folder, Lsn start_lsn, Error **err)
{
        unsigned char control[CONTROL_FILE_BYTES];
        ControlFile read;
        int r = cluster_folder_read_control(folder, control, &read, NULL, err);

        return r < 0 || read.redo_lsn >= start_lsn
                       ? r
                       : error_set(err, ERROR_UNSUPPORTED, "the folder seen from here is a copy of the server's");
}

/* ---- files ---- */

int cluster_folder_place(const ClusterFolder *folder, const char **path)
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
        int dir_fd = cluster_folder_place(folder, &path), fd = cluster_folder_open_below(dir_fd, path, O_RDONLY);
        struct stat status;

        if (fd < 0)
                return fd;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                return fd;
        fs_close(fd);
        return -ENOENT; /* of this kind there is none */
}

int cluster_folder_read_control(const ClusterFolder *folder, unsigned char control[CONTROL_FILE_BYTES],
                                ControlFile *ret, struct stat *ret_status, Error **err)
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

/* ---- the log ---- */

static int add_log_file(const ClusterFolder *folder, const char *name, uint64_t size, FileList *ret, Error **err)
{
        _cleanup_free_ char *path = path_join("pg_wal", name);
        _cleanup_close_ int fd = cluster_folder_open_file(folder, path);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0 || (size && (uint64_t)status.st_size != size))
                return error_set(err, ERROR_UNAVAILABLE, "the server has taken away \"%s\", which the backup needs",
                                 path);
        vector_add(&ret->files, cluster_folder_entry(path, &status));
        return 0;
}

int cluster_folder_list_log(const ClusterFolder *folder, uint32_t timeline, Lsn start_lsn, Lsn stop_lsn, FileList *ret,
                            Error **err)
{
        uint32_t segment_bytes = folder->wal_segment_bytes;
        _cleanup_strv_ char **names = NULL;
        const char *path = "pg_wal";
        int r = fs_list_directory(cluster_folder_place(folder, &path), ".", &names, err);

        STRV_FOREACH(name, names)
                if (r == 0 && endswith(*name, ".history"))
                        r = add_log_file(folder, *name, 0, ret, err);
        for (Lsn at = wal_segment_start(start_lsn, segment_bytes); r == 0 && at < stop_lsn; at += segment_bytes) {
                char name[WAL_NAME_SIZE];

                r = add_log_file(folder, wal_segment_name(timeline, at, segment_bytes, name), segment_bytes, ret, err);
        }
        return r;
}
