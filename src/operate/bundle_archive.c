/* Bundles as archives: tar with zstd, which any tar of the last years opens. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/bundle.h"
#include "state/document.h"

#define MANIFEST   "berth/manifest.json"
#define MODEL      "berth/model.json"
#define FILE_LIMIT ((size_t)64 << 20)

static void free_writer(struct archive **archive)
{
        if (*archive)
                archive_write_free(*archive);
}

static void free_reader(struct archive **archive)
{
        if (*archive)
                archive_read_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
        archive_entry_free(*entry);
}

static int fail(struct archive *archive, ErrorKind kind, Error **err)
{
        const char *text = archive_error_string(archive);

        return error_set(err, kind, "archive of the project's files: %s", text ? text : "it cannot be read");
}

/* ---- writing ---- */

static la_ssize_t on_bytes(struct archive *archive, void *context, const void *data, size_t size)
{
        strbuf_add(context, data, size);
        return (la_ssize_t)size;
}

static int write_entry(struct archive *archive, const BundleFile *file, const void *data, size_t size, Error **err)
{
        _cleanup_(free_entry) struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, file->name);
        archive_entry_set_filetype(entry, file->target ? AE_IFLNK : file->folder ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, (mode_t)file->mode);
        archive_entry_set_uid(entry, file->uid);
        archive_entry_set_gid(entry, file->gid);
        archive_entry_set_mtime(entry, (time_t)file->mtime_s, 0);
        archive_entry_set_size(entry, (la_int64_t)size);
        if (file->target)
                archive_entry_set_symlink(entry, file->target);
        if (archive_write_header(archive, entry) != ARCHIVE_OK)
                return fail(archive, ERROR_IO, err);
        if (size && archive_write_data(archive, data, size) != (la_ssize_t)size)
                return fail(archive, ERROR_IO, err);
        return 0;
}

static int write_document(struct archive *archive, const char *name, const json_t *document, Error **err)
{
        const BundleFile file = { .name = (char *)name, .mode = 0600 };
        char *text = json_dumps(document, JSON_INDENT(2));
        int r = write_entry(archive, &file, text, strlen(text), err);

        free_secret(text);
        return r;
}

static int write_file(struct archive *archive, const BundleFile *file, Error **err)
{
        Strbuf content = STRBUF_INIT;
        _cleanup_error_ Error *failure = NULL;
        int r = file->target || file->folder ? 0 : fs_read_file(AT_FDCWD, file->path, FILE_LIMIT, &content, &failure);

        if (r == 0)
                r = write_entry(archive, file, strbuf_text(&content), content.length, &failure);
        strbuf_erase(&content);
        strbuf_done(&content);
        return r == -ERROR_NOT_FOUND || r == 0 ? 0 : error_move(err, &failure, r);
}

int bundle_write(const Bundle *bundle, Strbuf *ret, Error **err)
{
        _cleanup_(free_writer) struct archive *archive = archive_write_new();
        int r;

        archive_write_add_filter_zstd(archive);
        archive_write_set_format_pax_restricted(archive);
        archive_write_set_bytes_in_last_block(archive, 1);
        if (archive_write_open(archive, ret, NULL, on_bytes, NULL) != ARCHIVE_OK)
                return fail(archive, ERROR_IO, err);
        r = write_document(archive, MANIFEST, bundle->manifest, err);
        if (r == 0 && bundle->model)
                r = write_document(archive, MODEL, bundle->model, err);
        VECTOR_FOREACH(file, &bundle->files)
                if (r == 0)
                        r = write_file(archive, file, err);
        if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
                r = fail(archive, ERROR_IO, err);
        return r;
}

/* ---- reading ---- */

static int open_reader(const void *data, size_t size, struct archive **ret, Error **err)
{
        *ret = archive_read_new();
        archive_read_support_filter_zstd(*ret);
        archive_read_support_format_tar(*ret);
        return archive_read_open_memory(*ret, data, size) == ARCHIVE_OK ? 0 : fail(*ret, ERROR_CORRUPT, err);
}

/* *ret_more false: the end. */
static int next_entry(struct archive *archive, struct archive_entry **ret, bool *ret_more, Error **err)
{
        int result = archive_read_next_header(archive, ret);

        *ret_more = result == ARCHIVE_OK;
        return result == ARCHIVE_OK || result == ARCHIVE_EOF ? 0 : fail(archive, ERROR_CORRUPT, err);
}

static int read_content(struct archive *archive, Strbuf *ret, Error **err)
{
        for (;;) {
                la_ssize_t n;

                strbuf_reserve(ret, 65536);
                n = archive_read_data(archive, ret->data + ret->length, 65535);
                if (n < 0)
                        return fail(archive, ERROR_CORRUPT, err);
                ret->length += (size_t)n;
                ret->data[ret->length] = '\0';
                if (n == 0)
                        return 0;
                if (ret->length > FILE_LIMIT)
                        return error_set(err, ERROR_CORRUPT, "archive of the project's files: a file is too large");
        }
}

int bundle_read_manifest(const void *data, size_t size, json_t **ret, Error **err)
{
        _cleanup_(free_reader) struct archive *archive = NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        struct archive_entry *entry;
        bool more = false;
        int r = open_reader(data, size, &archive, err);

        if (r == 0)
                r = next_entry(archive, &entry, &more, err);
        if (r == 0 && (!more || !streq(archive_entry_pathname(entry), MANIFEST)))
                r = error_set(err, ERROR_CORRUPT, "archive of the project's files: it does not begin with " MANIFEST);
        if (r == 0)
                r = read_content(archive, &text, err);
        if (r < 0)
                return r;
        manifest = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        if (!json_is_object(manifest))
                return error_set(err, ERROR_CORRUPT, MANIFEST " is damaged");
        if (json_get_int(manifest, "format", 0) > BUNDLE_FORMAT)
                return error_set(err, ERROR_UNSUPPORTED, "the project's files were stored by a newer Berth");
        *ret = TAKE_PTR(manifest);
        return 0;
}

/* No part of it is "..": it stays below where it belongs. */
static bool is_inner(const char *name)
{
        _cleanup_strv_ char **parts = strv_split(name, '/');

        STRV_FOREACH(part, parts)
                if (!path_is_component(*part))
                        return false;
        return parts && **parts;
}

/* Opens or makes the folder of a relative path below root_fd without ever following a link. */
static int open_parent(int root_fd, const char *path, Error **err)
{
        _cleanup_strv_ char **parts = strv_split(path, '/');
        int fd = dup(root_fd);

        for (size_t i = 0; fd >= 0 && i + 1 < strv_length(parts); i++) {
                int next;

                if (mkdirat(fd, parts[i], 0755) < 0 && errno != EEXIST) {
                        fs_close(fd);
                        return error_set_errno(err, errno, "make the folder of \"%s\"", path);
                }
                next = openat(fd, parts[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                fs_close(fd);
                fd = next;
        }
        return fd >= 0 ? fd : error_set_errno(err, errno, "open the folder of \"%s\"", path);
}

static int put_file(int parent_fd, const char *name, struct archive *archive, struct archive_entry *entry, Error **err)
{
        Strbuf content = STRBUF_INIT;
        int r = read_content(archive, &content, err);

        if (r == 0)
                r = fs_write_file(parent_fd, name, strbuf_text(&content), content.length,
                                  archive_entry_perm(entry) & 0777, err);
        strbuf_erase(&content);
        strbuf_done(&content);
        return r;
}

static int put_folder(int parent_fd, const char *name, struct archive_entry *entry, Error **err)
{
        if (mkdirat(parent_fd, name, 0700) < 0 || fchmodat(parent_fd, name, archive_entry_perm(entry) & 0777, 0) < 0)
                return error_set_errno(err, errno, "make the folder \"%s\"", name);
        return 0;
}

static int put_entry(int root_fd, const char *path, struct archive *archive, struct archive_entry *entry,
                     bool *ret_kept, Error **err)
{
        _cleanup_close_ int parent_fd = open_parent(root_fd, path, err);
        const char *name = path_basename(path);
        mode_t type = archive_entry_filetype(entry);
        struct stat status;
        int r = 0;

        *ret_kept = false;
        if (parent_fd < 0)
                return parent_fd;
        if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
                *ret_kept = !S_ISDIR(status.st_mode);
                return 0;
        }
        if (type == AE_IFREG)
                r = put_file(parent_fd, name, archive, entry, err);
        else if (type == AE_IFDIR)
                r = put_folder(parent_fd, name, entry, err);
        if (r == 0 && type != AE_IFLNK &&
            fchownat(parent_fd, name, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry),
                     AT_SYMLINK_NOFOLLOW) < 0)
                r = error_set_errno(err, errno, "give \"%s\" its owner", path);
        if (r < 0 || type != AE_IFLNK)
                return r;
        if (symlinkat(archive_entry_symlink(entry), parent_fd, name) < 0)
                return error_set_errno(err, errno, "make the link \"%s\"", path);
        return 0;
}

/* Folders have a slash at their end. */
static char *name_of(struct archive_entry *entry)
{
        char *name = xstrdup(archive_entry_pathname(entry));

        if (name && endswith(name, "/"))
                name[strlen(name) - 1] = '\0';
        return name;
}

int bundle_unpack(const void *data, size_t size, const char *directory, bool outside, char ***ret_kept, Error **err)
{
        _cleanup_(free_reader) struct archive *archive = NULL;
        _cleanup_close_ int folder_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct archive_entry *entry;
        bool more = false;
        int r = open_reader(data, size, &archive, err);

        if (r == 0 && (folder_fd < 0 || root_fd < 0))
                r = error_set_errno(err, errno, "open \"%s\"", directory);
        while (r == 0 && (r = next_entry(archive, &entry, &more, err)) == 0 && more) {
                _cleanup_free_ char *name = name_of(entry);
                const char *inside = name ? startswith(name, "folder/") : NULL;
                const char *rest = inside ? inside : name && outside ? startswith(name, "outside/") : NULL;
                bool kept;

                if (!rest)
                        continue;
                if (!is_inner(rest))
                        return error_set(err, ERROR_CORRUPT,
                                         "archive of the project's files: the name \"%.200s\" leads out of it", name);
                r = put_entry(inside ? folder_fd : root_fd, rest, archive, entry, &kept, err);
                if (r == 0 && kept)
                        strv_add(ret_kept, name);
        }
        return r;
}
