#include "image/layer_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

#define WHITEOUT_PREFIX   ".wh."
#define WHITEOUT_RESERVED ".wh..wh."
#define WHITEOUT_OPAQUE   ".wh..wh..opq"
#define FOLDER_FLAGS      (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

void layer_writer_init(LayerWriter *writer, int root_fd, bool plain)
{
        *writer = (LayerWriter){ .root_fd = root_fd, .plain = plain, .parent_fd = -1 };
}

void layer_writer_done(LayerWriter *writer)
{
        VECTOR_FOREACH(item, &writer->folder_times)
                free(item->path);
        vector_done(&writer->folder_times);
        free(writer->parent_path);
        fs_close(writer->parent_fd);
}

int open_in_root(int root_fd, const char *path, int flags)
{
        struct open_how how = {
                .flags = (unsigned)flags | O_CLOEXEC,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };

        return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

/* ---- names ---- */

/* "./a//b/" → "a/b", "/" → ""; owned by the caller. ERROR_INVALID for "..", and for what no file can be called. */
static int clean_name(const char *name, char **ret, Error **err)
{
        _cleanup_free_ char *clean = NULL;
        size_t length = 0;

        if (!name)
                return error_set(err, ERROR_INVALID, "an entry has no readable name");
        clean = xmalloc(strlen(name) + 2);
        for (const char *part = name; *part;) {
                size_t size = strcspn(part, "/");

                if (size == 2 && part[0] == '.' && part[1] == '.')
                        return error_set(err, ERROR_INVALID, "the name \"%.200s\" leaves the root", name);
                if (size > 255)
                        return error_set(err, ERROR_INVALID, "the name \"%.80s…\" is too long", name);
                if (size > 0 && !(size == 1 && *part == '.')) {
                        if (length > 0)
                                clean[length++] = '/';
                        memcpy(clean + length, part, size);
                        length += size;
                }
                part += size;
                part += strspn(part, "/");
        }
        clean[length] = '\0';
        *ret = TAKE_PTR(clean);
        return 0;
}

/* Opens the folder path below the root; what is missing of it is made. */
static int open_folder(LayerWriter *writer, const char *path, Error **err)
{
        _cleanup_free_ char *prefix = xstrdup(path);
        int fd = open_in_root(writer->root_fd, *path ? path : ".", FOLDER_FLAGS);

        if (fd >= 0 || errno != ENOENT)
                return fd >= 0 ? fd : error_set_errno(err, errno, "open folder \"%.200s\"", path);
        fd = open_in_root(writer->root_fd, ".", FOLDER_FLAGS);
        for (char *end = prefix; fd >= 0;) {
                _cleanup_close_ int above = fd;
                char *start = end, kept;

                end += strcspn(end, "/");
                kept = *end;
                *end = '\0';
                if (mkdirat(above, start, 0755) < 0 && errno != EEXIST)
                        return error_set_errno(err, errno, "make folder \"%.200s\"", prefix);
                /* From the root again: the name may be a link, which is to be followed inside the root. */
                fd = open_in_root(writer->root_fd, prefix, FOLDER_FLAGS);
                if (kept == '\0')
                        break;
                *end++ = kept;
        }
        return fd >= 0 ? fd : error_set_errno(err, errno, "open folder \"%.200s\"", path);
}

/* The open folder of path's parent, kept for the next entry; *ret_name is path's last component, borrowed. */
static int parent_of(LayerWriter *writer, const char *path, const char **ret_name, Error **err)
{
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
        int fd;

        *ret_name = slash ? slash + 1 : path;
        if (writer->parent_path && streq(writer->parent_path, parent))
                return 0;
        fd = open_folder(writer, parent, err);
        if (fd < 0)
                return fd;
        fs_close(writer->parent_fd);
        writer->parent_fd = fd;
        free_and_replace(&writer->parent_path, TAKE_PTR(parent));
        return 0;
}

static void forget_parent(LayerWriter *writer)
{
        writer->parent_fd = fs_close(writer->parent_fd);
        free_and_replace(&writer->parent_path, NULL);
}

/* ---- whiteouts ---- */

static bool is_whiteout(const struct stat *status)
{
        return S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

static int set_opaque(int parent_fd, const char *name, Error **err)
{
        _cleanup_close_ int fd = openat(parent_fd, name, FOLDER_FLAGS | O_NOFOLLOW);

        if (fd < 0 || fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
                return error_set_errno(err, errno, "mark folder \"%.200s\" as opaque", name);
        return 0;
}

/* Hides what lower layers have under this name; what this layer has itself stays. */
static int add_whiteout(LayerWriter *writer, const char *hidden, Error **err)
{
        struct stat status;

        if (!path_is_component(hidden))
                return error_set(err, ERROR_INVALID, "a whiteout names no file");
        if (mknodat(writer->parent_fd, hidden, S_IFCHR, makedev(0, 0)) == 0)
                return 0;
        if (errno != EEXIST)
                return error_set_errno(err, errno, "make whiteout of \"%.200s\"", hidden);
        if (fstatat(writer->parent_fd, hidden, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
                return set_opaque(writer->parent_fd, hidden, err);
        return 0;
}

static int add_marker(LayerWriter *writer, const char *name, Error **err)
{
        if (streq(name, WHITEOUT_OPAQUE))
                return set_opaque(writer->parent_fd, ".", err);
        if (startswith(name, WHITEOUT_RESERVED))
                return 0; /* bookkeeping of aufs */
        return add_whiteout(writer, name + strlen(WHITEOUT_PREFIX), err);
}

/* ---- entries ---- */

/* A later entry of the same name replaces an earlier one. *ret_opaque: a whiteout was there. */
static int make_room(LayerWriter *writer, const char *name, bool for_folder, bool *ret_opaque, Error **err)
{
        struct stat status;

        *ret_opaque = false;
        if (fstatat(writer->parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : error_set_errno(err, errno, "look at \"%.200s\"", name);
        if (S_ISDIR(status.st_mode) && for_folder)
                return 0;
        *ret_opaque = is_whiteout(&status);
        return fs_remove_tree(writer->parent_fd, name, err);
}

static int add_folder(LayerWriter *writer, const char *name, bool opaque, Error **err)
{
        if (mkdirat(writer->parent_fd, name, 0700) < 0 && errno != EEXIST)
                return error_set_errno(err, errno, "make folder \"%.200s\"", name);
        return opaque ? set_opaque(writer->parent_fd, name, err) : 0;
}

static int write_at(int fd, const char *data, size_t size, off_t offset)
{
        while (size > 0) {
                ssize_t n = pwrite(fd, data, size, offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                offset += n;
                size -= (size_t)n;
        }
        return 0;
}

static int copy_data(LayerWriter *writer, struct archive *archive, int fd, Error **err)
{
        const void *block;
        size_t size;
        la_int64_t offset;
        int r;

        while ((r = archive_read_data_block(archive, &block, &size, &offset)) == ARCHIVE_OK) {
                int failed = write_at(fd, block, size, offset);

                if (failed < 0)
                        return error_set_errno(err, -failed, "write");
                writer->size_bytes += size;
        }
        if (r != ARCHIVE_EOF)
                return error_set(err, ERROR_INVALID, "%s", archive_error_string(archive));
        return 0;
}

static int add_file(LayerWriter *writer, struct archive *archive, struct archive_entry *entry, const char *name,
                    Error **err)
{
        _cleanup_close_ int fd =
                openat(writer->parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "create");
        r = copy_data(writer, archive, fd, err);
        if (r < 0)
                return r;
        /* The tail of a sparse file has no block. */
        if (archive_entry_size_is_set(entry) && ftruncate(fd, archive_entry_size(entry)) < 0)
                return error_set_errno(err, errno, "set size");
        return 0;
}

static int add_hardlink(LayerWriter *writer, const char *target, const char *name, Error **err)
{
        _cleanup_free_ char *clean = NULL, *folder = NULL;
        _cleanup_close_ int folder_fd = -1;
        int r = clean_name(target, &clean, err);

        if (r < 0)
                return r;
        if (!*clean)
                return error_set(err, ERROR_INVALID, "a hard link to the root");
        folder = path_dirname(clean);
        folder_fd = open_in_root(writer->root_fd, folder, FOLDER_FLAGS);
        if (folder_fd < 0 || linkat(folder_fd, path_basename(clean), writer->parent_fd, name, 0) < 0) {
                if (errno == ENOENT || errno == ENOTDIR || errno == EPERM || errno == ELOOP)
                        return error_set(err, ERROR_INVALID, "a hard link to \"%.200s\", which the layer does not have",
                                         target);
                return error_set_errno(err, errno, "link to \"%.200s\"", target);
        }
        return 0;
}

static int add_device(LayerWriter *writer, const char *path, Error **err)
{
        if (startswith(path, "dev/"))
                return 0;
        return error_set(err, ERROR_INVALID, "a device outside dev/");
}

/* ---- owner, mode, attributes, times ---- */

static bool attribute_is_kept(const char *name)
{
        return startswith(name, "user.") || streq(name, "security.capability");
}

static int set_attributes(int fd, struct archive_entry *entry, Error **err)
{
        const char *name;
        const void *value;
        size_t size;

        archive_entry_xattr_reset(entry);
        while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
                if (!name || !attribute_is_kept(name))
                        continue;
                if (fsetxattr(fd, name, value, size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
                        return error_set_errno(err, errno, "set attribute \"%.80s\"", name);
        }
        return 0;
}

static void times_of(struct archive_entry *entry, struct timespec ret[2])
{
        ret[1].tv_sec = archive_entry_mtime_is_set(entry) ? archive_entry_mtime(entry) : 0;
        ret[1].tv_nsec = archive_entry_mtime_is_set(entry) ? archive_entry_mtime_nsec(entry) : 0;
        ret[0] = ret[1];
}

/* The owner first: chown clears set-user-id bits and capabilities. */
static int set_owner_and_mode(LayerWriter *writer, struct archive_entry *entry, const char *name, Error **err)
{
        mode_t mode = archive_entry_perm(entry) & 07777;
        uid_t uid = (uid_t)archive_entry_uid(entry);
        gid_t gid = (gid_t)archive_entry_gid(entry);

        if (!writer->plain && fchownat(writer->parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
                return error_set_errno(err, errno, "set owner");
        if (archive_entry_filetype(entry) == AE_IFLNK)
                return 0;
        if (fchmodat(writer->parent_fd, name, writer->plain ? (mode & 0700) | 0600 : mode, 0) < 0)
                return error_set_errno(err, errno, "set mode");
        return 0;
}

static int set_metadata(LayerWriter *writer, struct archive_entry *entry, const char *path, const char *name,
                        Error **err)
{
        struct timespec times[2];
        bool is_folder = archive_entry_filetype(entry) == AE_IFDIR;
        int r;

        r = set_owner_and_mode(writer, entry, name, err);
        if (r < 0)
                return r;
        if (!writer->plain && (is_folder || archive_entry_filetype(entry) == AE_IFREG) &&
            archive_entry_xattr_count(entry) > 0) {
                _cleanup_close_ int fd =
                        openat(writer->parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

                if (fd < 0)
                        return error_set_errno(err, errno, "open");
                r = set_attributes(fd, entry, err);
                if (r < 0)
                        return r;
        }
        times_of(entry, times);
        if (is_folder)
                vector_add(&writer->folder_times, (FolderTime){ xstrdup(path), { times[0], times[1] } });
        else if (utimensat(writer->parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL)
                return error_set_errno(err, errno, "set time");
        return 0;
}

/* ---- one entry ---- */

static int make_node(LayerWriter *writer, struct archive *archive, struct archive_entry *entry, const char *name,
                     bool opaque, Error **err)
{
        switch (archive_entry_filetype(entry)) {
        case AE_IFDIR:
                return add_folder(writer, name, opaque, err);
        case AE_IFREG:
                return add_file(writer, archive, entry, name, err);
        case AE_IFLNK:
                if (isempty(archive_entry_symlink(entry)))
                        return error_set(err, ERROR_INVALID, "a link without a target");
                if (symlinkat(archive_entry_symlink(entry), writer->parent_fd, name) < 0)
                        return error_set_errno(err, errno, "link");
                return 0;
        case AE_IFIFO:
                if (mkfifoat(writer->parent_fd, name, 0600) < 0)
                        return error_set_errno(err, errno, "make fifo");
                return 0;
        default:
                return error_set(err, ERROR_INVALID, "an entry of unknown type");
        }
}

/* The root's own owner and mode; it is there already. */
static int add_root(LayerWriter *writer, struct archive_entry *entry, Error **err)
{
        const char *name;
        int r;

        if (archive_entry_hardlink(entry) || archive_entry_filetype(entry) != AE_IFDIR)
                return error_set(err, ERROR_INVALID, "the root is not a folder");
        r = parent_of(writer, "", &name, err);
        return r < 0 ? r : set_metadata(writer, entry, ".", ".", err);
}

static int add_entry(LayerWriter *writer, struct archive *archive, struct archive_entry *entry, const char *path,
                     Error **err)
{
        const char *hardlink = archive_entry_hardlink(entry), *name;
        bool is_folder = !hardlink && archive_entry_filetype(entry) == AE_IFDIR, opaque;
        int r;

        if (!hardlink && (archive_entry_filetype(entry) == AE_IFCHR || archive_entry_filetype(entry) == AE_IFBLK))
                return add_device(writer, path, err);
        r = parent_of(writer, path, &name, err);
        if (r < 0)
                return r;
        if (!writer->plain && startswith(name, WHITEOUT_PREFIX))
                return add_marker(writer, name, err);
        r = make_room(writer, name, is_folder, &opaque, err);
        if (r < 0)
                return r;
        if (hardlink)
                return add_hardlink(writer, hardlink, name, err);
        r = make_node(writer, archive, entry, name, opaque, err);
        return r < 0 ? r : set_metadata(writer, entry, path, name, err);
}

int layer_writer_add(LayerWriter *writer, struct archive *archive, struct archive_entry *entry, Error **err)
{
        _cleanup_free_ char *path = NULL;
        int r = clean_name(archive_entry_pathname(entry), &path, err);

        if (r < 0)
                return r;
        if (!*path)
                return add_root(writer, entry, err);
        r = add_entry(writer, archive, entry, path, err);
        /* A folder that was replaced may be the one that is kept open. */
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
                forget_parent(writer);
        return error_prefix(err, r, "\"%.200s\"", path);
}

int layer_writer_finish(LayerWriter *writer, Error **err)
{
        for (size_t i = writer->folder_times.length; i > 0; i--) {
                const FolderTime *item = &writer->folder_times.items[i - 1];
                _cleanup_close_ int fd = open_in_root(writer->root_fd, item->path, FOLDER_FLAGS);

                if (fd >= 0 && futimens(fd, item->times) < 0)
                        return error_set_errno(err, errno, "set time of \"%.200s\"", item->path);
        }
        return 0;
}
