#include "image/load.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/skopeo.h"
#include "image/sources.h"
#include "image/store.h"
#include "image/unpack.h"

void loaded_images_done(LoadedImages *images)
{
        for (size_t i = 0; i < images->length; i++) {
                free(images->items[i].id);
                strv_free(images->items[i].names);
        }
        free(images->items);
        *images = (LoadedImages){ 0 };
}

static bool cancelled(void *context)
{
        return progress_cancelled(context);
}

static int open_source(const char *source, Error **err)
{
        int fd = streq(source, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        return fd >= 0 ? fd : error_set_errno(err, errno, "open \"%s\"", source);
}

/* The archive's files as they are, into a folder of the staging area; *ret_fd is open on it. */
static int unpack_archive(const Staging *staging, int fd, const ImageProgress *progress, int *ret_fd, Error **err)
{
        UnpackOptions options = { .plain = true, .cancelled = cancelled, .context = (void *)progress };
        _cleanup_close_ int folder = -1;
        UnpackResult result;
        int r;

        progress_status(progress, "reading the archive");
        if (mkdirat(staging->fd, "archive", 0700) < 0)
                return error_set_errno(err, errno, "make folder in \"%s\"", staging->path);
        folder = openat(staging->fd, "archive", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_set_errno(err, errno, "open \"%s/archive\"", staging->path);
        r = layer_unpack(fd, folder, &options, &result, err);
        if (r == 0)
                *ret_fd = TAKE_FD(folder);
        return r;
}

/* Opens the folder that holds the images, fetched or unpacked where it must be. */
static int open_images(const Layout *layout, const Staging *staging, const char *source, const ImageProgress *progress,
                       int *ret_fd, Error **err)
{
        _cleanup_close_ int fd = -1;
        struct stat status;

        if (startswith(source, "docker-daemon:"))
                return skopeo_copy_from_daemon(layout, staging, startswith(source, "docker-daemon:"), progress, ret_fd,
                                               err);
        fd = open_source(source, err);
        if (fd < 0)
                return fd;
        if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
                *ret_fd = TAKE_FD(fd);
                return 0;
        }
        return unpack_archive(staging, fd, progress, ret_fd, err);
}

static int add_given_name(NewImageVector *images, const char *source, const char *name, Error **err)
{
        const char *daemon_name = startswith(source, "docker-daemon:");
        char *normalized = NULL;
        int r;

        if (!name)
                name = daemon_name;
        if (!name)
                return 0;
        if (images->length != 1)
                return error_set(err, ERROR_USAGE, "a name was given, but there are %zu images", images->length);
        r = image_reference_normalize(name, &normalized, err);
        if (r == 0)
                strv_take(&images->items[0]->names, normalized);
        return r;
}

static int add_all(const Layout *layout, const Staging *staging, const NewImageVector *images,
                   const ImageProgress *progress, LoadedImages *loaded, Error **err)
{
        loaded->items = xnew_array(LoadedImage, images->length + 1);
        VECTOR_FOREACH(item, images) {
                char *id = NULL;
                int r = store_add_image(layout, staging, *item, progress, &id, err);

                if (r < 0)
                        return r;
                loaded->items[loaded->length++] = (LoadedImage){ id, strv_copy((*item)->names) };
        }
        return 0;
}

int image_load(const Layout *layout, const char *source, const char *name, const char *platform,
               const ImageProgress *progress, LoadedImages *ret, Error **err)
{
        _cleanup_staging_ Staging staging = STAGING_INIT;
        _cleanup_loaded_images_ LoadedImages loaded = { 0 };
        _cleanup_new_images_ NewImageVector images = { 0 };
        _cleanup_close_ int folder = -1;
        int r = staging_create(layout, &staging, err);

        if (r == 0)
                r = open_images(layout, &staging, source, progress, &folder, err);
        if (r == 0)
                r = read_images(folder, platform, &images, err);
        if (r == 0)
                r = add_given_name(&images, source, name, err);
        if (r == 0)
                r = add_all(layout, &staging, &images, progress, &loaded, err);
        if (r < 0)
                return error_prefix(err, r, "load \"%s\"", source);
        *ret = loaded;
        loaded = (LoadedImages){ 0 };
        return 0;
}
