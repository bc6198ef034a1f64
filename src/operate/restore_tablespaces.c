/* Which tablespaces the log of a restored folder will make when it is replayed. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/strv.h"
#include "operate/restore_private.h"
#include "postgres/wal_tablespaces.h"

static int read_segment(int log_fd, const char *name, Lsn start, WalTablespaces *tablespaces, Error **err)
{
        _cleanup_close_ int fd = openat(log_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        struct stat status;
        void *content;

        if (fd < 0 || fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "open \"%s\"", name);
        if (status.st_size == 0)
                return 0;
        content = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (content == MAP_FAILED)
                return error_set_errno(err, errno, "read \"%s\"", name);
        wal_tablespaces_read(tablespaces, start, content, (size_t)status.st_size);
        munmap(content, (size_t)status.st_size);
        return 0;
}

static json_t *to_json(const WalTablespaces *tablespaces)
{
        json_t *list = json_array();

        VECTOR_FOREACH(item, &tablespaces->found)
                json_array_append_new(
                        list, json_pack("{s:I, s:s}", "oid", (json_int_t)item->oid, "location", item->location));
        return list;
}

int restore_find_tablespaces(int dir_fd, uint32_t segment_bytes, json_t **ret, Error **err)
{
        _cleanup_close_ int log_fd = openat(dir_fd, "pg_wal", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_wal_tablespaces_ WalTablespaces tablespaces = { 0 };
        _cleanup_strv_ char **names = NULL;
        int r = log_fd < 0 ? error_set_errno(err, errno, "open \"pg_wal\"")
                           : fs_list_directory(log_fd, ".", &names, err);

        STRV_FOREACH(name, names) {
                uint32_t timeline;
                Lsn start;

                if (r == 0 && wal_segment_parse(*name, segment_bytes, &timeline, &start))
                        r = read_segment(log_fd, *name, start, &tablespaces, err);
        }
        if (r == 0)
                *ret = to_json(&tablespaces);
        return r;
}
