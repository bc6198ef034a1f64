/* The data folder of a running server, seen as the server sees it: below the root of its own process, whatever container,
 * volume or chroot that is. What lies there belongs to the container and is not trusted: links are followed nowhere but for
 * tablespaces and pg_wal, and those within the server's root. */
#ifndef BERTH_OPERATE_CLUSTER_FOLDER_H
#define BERTH_OPERATE_CLUSTER_FOLDER_H

#include <sys/stat.h>

#include "base/progress.h"
#include "postgres/connect.h"
#include "postgres/identity.h"
#include "postgres/wal_name.h"
#include "repository/file_list.h"

typedef struct ClusterFolder ClusterFolder;

/* On a connection made with CONNECT_SQL, whose notices are of no interest from then on. pid: a process of the container, for
 * servers that are reached through its network; 0: none. ERROR_UNSUPPORTED where the server's files cannot be read from here, and why: it runs elsewhere, it is a standby, or
 * what lies there is not its cluster. */
int cluster_folder_open(PGconn *connection, pid_t pid, ClusterFolder **ret, Error **err);
void cluster_folder_free(ClusterFolder *folder);
DEFINE_CLEANUP(ClusterFolder, cluster_folder_free);

/* Blocks in a file of a relation, after which the next segment begins. */
uint32_t cluster_folder_segment_blocks(const ClusterFolder *folder);
uint32_t cluster_folder_wal_segment_bytes(const ClusterFolder *folder);
/* Of the data folder itself. */
int cluster_folder_status(const ClusterFolder *folder, struct stat *ret, Error **err);
/* After the server's backup mode has begun at start_lsn: ERROR_UNSUPPORTED where the folder does not have that checkpoint, and so
 * is a copy of the server's. */
int cluster_folder_check_alive(const ClusterFolder *folder, Lsn start_lsn, Error **err);
/* What a base backup takes, with sizes as they are now and without chunks; global/pg_control and the log's segments are not
 * among it. Folders come before what is in them. */
int cluster_folder_list(ClusterFolder *folder, const WorkProgress *progress, FileList *ret, Error **err);
/* A regular file by its path of the list, for reading: a descriptor, or a negative errno. */
int cluster_folder_open_file(const ClusterFolder *folder, const char *path);
/* An entry of the list; path is copied. */
ListedFile *cluster_folder_entry(const char *path, const struct stat *status);
/* Adds the log from start_lsn to stop_lsn, and the histories of timelines. ERROR_UNAVAILABLE where a segment is gone. */
int cluster_folder_list_log(const ClusterFolder *folder, uint32_t timeline, Lsn start_lsn, Lsn stop_lsn, FileList *ret,
                            Error **err);
/* global/pg_control, whole: read again until its checksum matches, since the server writes it meanwhile. */
int cluster_folder_read_control(const ClusterFolder *folder, unsigned char control[CONTROL_FILE_BYTES],
                                ControlFile *ret, struct stat *ret_status, Error **err);

#endif
