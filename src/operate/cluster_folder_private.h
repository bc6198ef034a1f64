/* Parts of cluster_folder.h. */
#ifndef BERTH_OPERATE_CLUSTER_FOLDER_PRIVATE_H
#define BERTH_OPERATE_CLUSTER_FOLDER_PRIVATE_H

#include <fcntl.h>
#include <linux/openat2.h>

#include "base/vector.h"
#include "operate/cluster_folder.h"

#define CONTROL_NAME "global/pg_control"

/* A folder that a link of the data folder leads to. */
typedef struct Elsewhere {
        char *path; /* as listed: "pg_tblspc/16400", "pg_wal" */
        int fd;
        dev_t device;
        ino_t inode;
} Elsewhere;

struct ClusterFolder {
        int root_fd; /* the server's root */
        int data_fd;
        char *data_directory; /* as the server names it */
        uint32_t segment_blocks, wal_segment_bytes;
        uint64_t system_identifier;
        int server_version;
        uint32_t catalog_version;
        VECTOR(Elsewhere) elsewhere;
};

/* No link on the way; a descriptor or a negative errno. */
int cluster_folder_open_below(int dir_fd, const char *path, uint64_t flags);
/* A path of the server's: links are followed within its root. */
int cluster_folder_open_in_root(const ClusterFolder *folder, const char *path);
/* Remembers the folder behind a listed link; takes fd. ERROR_UNSUPPORTED where it is negative. */
int cluster_folder_add_elsewhere(ClusterFolder *folder, const char *path, int fd, Error **err);
/* The folder that path is in, borrowed; *path becomes the path there. */
int cluster_folder_place(const ClusterFolder *folder, const char **path);

#endif
