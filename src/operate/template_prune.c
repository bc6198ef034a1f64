#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/store.h"
#include "operate/template.h"

#define UNUSED_NS (30 * 86400 * INT64_C(1000000000))

static void add_name(char ***names, const char *image_id)
{
        const char *digits = startswith(image_id, "sha256:");

        strv_addf(names, "%.*s", TEMPLATE_NAME_DIGITS, digits ? digits : image_id);
}

/* A container has the folder bound into it, started or not. */
static int names_in_use(Engine *engine, char ***ret, Error **err)
{
        _cleanup_container_list_ ContainerList containers = { 0 };
        int r = engine->operations->container_list(engine, NULL, &containers, err);

        for (size_t i = 0; r == 0 && i < containers.length; i++)
                if (containers.items[i]->image_id)
                        add_name(ret, containers.items[i]->image_id);
        return r;
}

static int names_of_images(const Layout *layout, char ***ret, Error **err)
{
        Image **images = NULL;
        size_t length = 0;
        int r = image_list(layout, &images, &length, err);

        for (size_t i = 0; r == 0 && i < length; i++)
                add_name(ret, images[i]->id);
        if (r == 0)
                image_list_free(images, length);
        return r;
}

static bool is_unused_for_long(const char *folder)
{
        struct stat status;

        return stat(folder, &status) == 0 &&
               clock_realtime_ns() - (int64_t)status.st_mtim.tv_sec * INT64_C(1000000000) > UNUSED_NS;
}

static int remove_template(const char *root, const char *name, char ***removed, uint64_t *freed, Error **err)
{
        _cleanup_free_ char *path = path_join(root, name);
        uint64_t size = fs_disk_usage(path);
        int r = fs_remove_tree(AT_FDCWD, path, err);

        if (r < 0)
                return error_prefix(err, r, "remove template \"%s\"", name);
        *freed += size;
        strv_add(removed, name);
        return 0;
}

/* Of an image that stays: what other arguments, locales, names or earlier builds have left, unfinished ones too. */
static int prune_inside(const char *root, const char *image, char ***removed, uint64_t *freed, Error **err)
{
        _cleanup_free_ char *folder = path_join(root, image), *lock = path_join(folder, ".lock");
        _cleanup_close_ int lock_fd = -1;
        _cleanup_strv_ char **names = NULL;
        int r = 0;

        if (fs_list_directory(AT_FDCWD, folder, &names, NULL) < 0 || strv_length(names) == 0 ||
            lock_file(lock, 0, &lock_fd, NULL) < 0)
                return 0; /* one is being made */
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name), *both = path_join(image, *name);

                if (r == 0 && fs_is_directory(path) && !streq(*name, ".root") && is_unused_for_long(path))
                        r = remove_template(root, both, removed, freed, err);
        }
        return r;
}

int template_prune(const Layout *layout, Engine *engine, char ***ret_removed, uint64_t *ret_freed, Error **err)
{
        _cleanup_free_ char *root = layout_data(layout, "templates");
        _cleanup_strv_ char **folders = NULL, **used = NULL, **known = NULL;
        int r;

        if (fs_list_directory(AT_FDCWD, root, &folders, NULL) < 0)
                return 0;
        r = names_in_use(engine, &used, err);
        if (r == 0)
                r = names_of_images(layout, &known, err);
        STRV_FOREACH(name, folders) {
                _cleanup_free_ char *path = path_join(root, *name);

                if (r < 0)
                        return r;
                if (strv_contains(used, *name) || (strv_contains(known, *name) && !is_unused_for_long(path)))
                        r = prune_inside(root, *name, ret_removed, ret_freed, err);
                else
                        r = remove_template(root, *name, ret_removed, ret_freed, err);
        }
        return r;
}
