/* The data folder of a running server, seen as the server sees it: below the root of its own process, whatever container,
 * volume or chroot that is. What lies there belongs to the container and is not trusted: links are followed nowhere but for
 * tablespaces and pg_wal, and those within the server's root. */
#ifndef BERTH_OPERATE_CLUSTER_FOLDER_H
#define BERTH_OPERATE_CLUSTER_FOLDER_H

#include <sys/stat.h>

#include "base/progress.h"
#include "postgres/connect.h"
#include "postgres/identity.h"
#include "repository/file_list.h"

typedef struct ClusterFolder ClusterFolder;

/* On a connection made with CONNECT_SQL. pid: a process of the container, for servers that are reached through its network; 0:
 * none. ERROR_UNSUPPORTED where the server's files cannot be read from here, and why: it runs elsewhere, it is a standby, or
 * what lies there is not its cluster. */
int cluster_folder_open(PGconn *connection, pid_t pid, uint64_t system_identifier, ClusterFolder **ret, Error **err);
void cluster_folder_free(ClusterFolder *folder);
DEFINE_CLEANUP(ClusterFolder, cluster_folder_free);

/* Blocks in a file of a relation, after which the next segment begins. */
uint32_t cluster_folder_segment_blocks(const ClusterFolder *folder);
/* What a base backup takes, with sizes as they are now and without chunks; global/pg_control and the log's segments are not
 * among it. Folders come before what is in them. */
int cluster_folder_list(ClusterFolder *folder, const WorkProgress *progress, FileList *ret, Error **err);
/* A regular file by its path of the list, for reading: a descriptor, or a negative errno. */
int cluster_folder_open_file(const ClusterFolder *folder, const char *path);
/* What a listed entry says of a file by descriptor. path is copied. */
ListedFile *cluster_folder_entry(const char *path, const struct stat *status);
/* The names in pg_wal; a strv, the caller's. */
int cluster_folder_wal_names(const ClusterFolder *folder, char ***ret, Error **err);
/* global/pg_control, whole: read again until its checksum matches, since the server writes it meanwhile. */
int cluster_folder_read_control(const ClusterFolder *folder, unsigned char control[CONTROL_FILE_BYTES], ControlFile *ret,
                                struct stat *ret_status, Error **err);

#endif
