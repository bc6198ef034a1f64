#include "operate/backup_direct.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/backup_read.h"

/* The way in, and the folder behind it. Whatever is in the way, the replication protocol is another one. */
static int open_folder(const BackupDirect *direct, PGconn **ret_connection, ClusterFolder **ret, Error **err)
{
        _cleanup_connection_ PGconn *connection = NULL;
        _cleanup_error_ Error *failure = NULL;
        int r = postgres_connect(direct->target, CONNECT_SQL, direct->application, &connection, &failure);

        if (r == 0)
                r = cluster_folder_open(connection, direct->target->pid, ret, &failure);
        if (r < 0)
                return error_set(err, ERROR_UNSUPPORTED, "the server's files are not read directly: %s",
                                 failure->message);
        *ret_connection = TAKE_PTR(connection);
        return 0;
}

static int add_control(BackupFiles *files, const ClusterFolder *folder, Error **err)
{
        unsigned char control[CONTROL_FILE_BYTES];
        struct stat status;
        ControlFile read;
        int r = cluster_folder_read_control(folder, control, &read, &status, err);
        ListedFile *file;

        if (r < 0)
                return r;
        file = cluster_folder_entry("global/pg_control", &status);
        file->size_bytes = sizeof(control);
        return backup_files_add(files, file, control, err);
}

/* ---- the log ---- */

/* A server that starts from it must not archive again what came with the backup. */
static int add_done(BackupFiles *files, const char *name, Error **err)
{
        _cleanup_free_ char *path = xasprintf("pg_wal/archive_status/%s.done", name);

        return backup_files_add(files, backup_files_new(path, 0), "", err);
}

static int add_log(const BackupDirect *direct, BackupFiles *files, const ClusterFolder *folder, Lsn stop_lsn,
                   Error **err)
{
        const BackupReadOptions options = { .name = "log",
                                            .threads = direct->threads,
                                            .max_rate_kib = direct->max_rate_kib };
        size_t first = files->list.files.length, wanted;
        int r = cluster_folder_list_log(folder, files->begin.timeline, files->begin.start_lsn, stop_lsn, &files->list,
                                        err);

        wanted = files->list.files.length;
        if (r == 0)
                r = backup_read(files, folder, first, &options, err);
        if (r == 0 && files->list.files.length != wanted)
                return error_set(err, ERROR_UNAVAILABLE, "the server has taken away log that the backup needs");
        for (size_t i = first; r == 0 && i < wanted; i++)
                r = add_done(files, path_basename(files->list.files.items[i]->path), err);
        return r;
}

/* ---- all ---- */

static int read_folder(const BackupDirect *direct, BackupFiles *files, ClusterFolder *folder, Error **err)
{
        const BackupReadOptions options = { .name = "base backup",
                                            .check_pages = direct->identity->data_checksums,
                                            .start_lsn = files->begin.start_lsn,
                                            .threads = direct->threads,
                                            .max_rate_kib = direct->max_rate_kib };
        int r = cluster_folder_check_alive(folder, files->begin.start_lsn, err);

        if (r == 0)
                r = cluster_folder_list(folder, files->progress, &files->list, err);
        if (r == 0)
                r = backup_read(files, folder, 0, &options, err);
        return r < 0 ? r : add_control(files, folder, err);
}

int backup_direct_run(const BackupDirect *direct, BackupFiles *files, Lsn *ret_stop_lsn, Error **err)
{
        _cleanup_(cluster_folder_freep) ClusterFolder *folder = NULL;
        _cleanup_connection_ PGconn *connection = NULL;
        _cleanup_free_ char *label = NULL;
        int r = open_folder(direct, &connection, &folder, err);

        if (r < 0)
                return r;
        r = backup_mode_start(connection, direct->label, !direct->spread, files->progress->cancel_fd,
                              &files->begin.start_lsn, &files->begin.timeline, err);
        if (r == 0)
                r = read_folder(direct, files, folder, err);
        if (r == 0)
                r = backup_mode_stop(connection, ret_stop_lsn, &label, err);
        if (r == 0)
                r = backup_files_add(files, backup_files_new("backup_label", strlen(label)), label, err);
        if (r == 0)
                r = add_log(direct, files, folder, *ret_stop_lsn, err);
        return r < 0 ? r : backup_files_finish_read(files, direct->identity, *ret_stop_lsn, err);
}
