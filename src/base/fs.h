/* Files and folders. What is written is durable when a function returns: written to a temporary name, synced,
 * renamed, and the folder synced. Paths are relative to dir_fd (AT_FDCWD for the working directory). */
#ifndef BERTH_BASE_FS_H
#define BERTH_BASE_FS_H

#include <sys/types.h>

#include "base/error.h"
#include "base/strbuf.h"

/* Closes unless negative, keeps errno; returns -1 so that `fd = fs_close(fd)` works. */
int fs_close(int fd);

static inline void close_fdp(int *fd)
{
        fs_close(*fd);
}
#define _cleanup_close_ _cleanup_(close_fdp)

/* The whole file, at most limit_bytes (ERROR_INVALID past that); ERROR_NOT_FOUND where it is absent. */
int fs_read_file(int dir_fd, const char *path, size_t limit_bytes, Strbuf *ret, Error **err);
/* Reads all of fd until its end. */
int fs_read_fd(int fd, size_t limit_bytes, Strbuf *ret, Error **err);
/* Writes all bytes or fails. */
int fs_write_all(int fd, const void *data, size_t size, Error **err);
/* A file in memory that nobody else can open, with this content (NULL: none), read from its start. Closed on exec. The
 * descriptor, or a negative result. */
int fs_memory_file(const char *name, const void *data, size_t size, Error **err);
/* Atomic and durable replacement. */
int fs_write_file(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, Error **err);
/* Replaced in place and not synced: for tmpfs files that are bind-mounted somewhere (a rename would not be seen). */
int fs_rewrite_in_place(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, Error **err);

/* Makes path and its parents; existing folders are fine and keep their mode. */
int fs_make_directories(const char *path, mode_t mode, Error **err);
/* Removes a file or a whole tree, never following links nor crossing mounts; absent is fine. */
int fs_remove_tree(int dir_fd, const char *path, Error **err);
int fs_sync_directory(int dir_fd, const char *path, Error **err);
bool fs_exists(const char *path); /* without following a last link */
bool fs_is_directory(const char *path);
/* Bytes on disk of a tree; what cannot be read counts nothing. */
uint64_t fs_disk_usage(const char *path);
/* Names in a folder, sorted, without . and .. ; ERROR_NOT_FOUND where it is absent. */
int fs_list_directory(int dir_fd, const char *path, char ***ret, Error **err);
/* The target of a link, owned by the caller. */
int fs_read_link(const char *path, char **ret, Error **err);

/* "a/b" for ("a", "b"), "/b" for ("a", "/b"); owned by the caller. */
char *path_join(const char *base, const char *name);
/* Absolute, with ".", ".." and double slashes taken out by text alone; relative to base (absolute). */
char *path_clean(const char *base, const char *path);
/* What is left of path at or below folder ("" for the folder itself); NULL: it is not below it. Both clean; by text alone. */
const char *path_below(const char *path, const char *folder);
const char *path_basename(const char *path);
char *path_dirname(const char *path);
/* One plain component: not empty, no '/', not "." or "..", at most 255 bytes. */
bool path_is_component(const char *name);
/* The path of the running executable, owned by the caller. */
char *path_of_self(void);

/* An exclusive flock on path, made with mode 0600 where absent. Waits up to timeout_ms (-1: for ever);
 * ERROR_CONFLICT when it passes. The lock lasts until *ret_fd is closed. */
int lock_file(const char *path, int timeout_ms, int *ret_fd, Error **err);

#endif
