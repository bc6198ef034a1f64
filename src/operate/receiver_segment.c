#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/receiver_private.h"

int segment_open(SegmentFile *segment, const Repository *repository, uint32_t timeline, Lsn start,
                 uint32_t segment_bytes, Error **err)
{
        _cleanup_free_ char *path = NULL, *folder = NULL, *parent = NULL;
        int r;

        segment_close(segment);
        segment->start = start;
        wal_segment_name(timeline, start, segment_bytes, segment->name);
        path = wal_partial_path(repository, segment->name);
        folder = path_dirname(path);
        parent = path_dirname(folder);
        r = fs_make_directories(folder, 0700, err);
        if (r < 0)
                return r;
        segment->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (segment->fd < 0)
                return error_set_errno(err, errno, "create \"%s\"", path);
        /* Its name has to last before anything in it is acknowledged. */
        r = fs_sync_directory(AT_FDCWD, folder, err);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, parent, err);
}

int segment_write(const SegmentFile *segment, Lsn at, const char *data, size_t size, Error **err)
{
        while (size > 0) {
                ssize_t n = pwrite(segment->fd, data, size, (off_t)(at - segment->start));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, errno, "write segment %s", segment->name);
                at += (Lsn)n;
                data += n;
                size -= (size_t)n;
        }
        return 0;
}

int segment_sync(const SegmentFile *segment, Error **err)
{
        return segment->fd >= 0 && fdatasync(segment->fd) < 0
                       ? error_set_errno(err, errno, "sync segment %s", segment->name)
                       : 0;
}

void segment_close(SegmentFile *segment)
{
        segment->fd = fs_close(segment->fd);
}
