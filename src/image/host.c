#include "image/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "base/tree.h"
#include "image/config.h"
#include "image/icu.h"
#include "image/index.h"
#include "state/document.h"

#define RECIPE_NUMBER 4 /* a change of what host_root_make makes is a new image */
#define IMAGE_FORMAT  1
#define LOCALE_SOURCE "locale:"

char *host_file_key(const char *path)
{
        struct stat status;

        if (stat(path, &status) < 0)
                return xstrdup("absent");
        return xasprintf("%llu:%lld:%lld.%09ld", (unsigned long long)status.st_ino, (long long)status.st_size,
                         (long long)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

/* ---- reading ---- */

/* "libexec:NAME" is below a folder that may move, "locale:" is made where it is missing; what is absent gives NULL. */
static char *resolve_source(const Layout *layout, const char *source)
{
        const char *libexec = startswith(source, "libexec:");
        _cleanup_free_ char *path = NULL;

        if (streq(source, LOCALE_SOURCE))
                return host_locale_folder(layout);
        path = libexec ? layout_libexec(layout, libexec) : xstrdup(source);
        return fs_exists(path) ? TAKE_PTR(path) : NULL;
}

static void read_binds(const Layout *layout, const json_t *binds, Image *image)
{
        const json_t *item;
        size_t i;

        image->binds = xnew_array(ImageBind, json_array_size(binds) + 1);
        json_array_foreach((json_t *)binds, i, item) {
                char *source = resolve_source(layout, json_get_string(item, "source", ""));

                if (!source)
                        continue;
                image->binds[image->n_binds++] = (ImageBind){
                        .source = source,
                        .target = xstrdup(json_get_string(item, "target", "")),
                        .read_only = true,
                        .nosuid = true,
                };
        }
}

static int load_image(const Layout *layout, const char *hex, Image **ret, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/host/%s", hex),
                            *path = path_join(folder, "image.json");
        _cleanup_json_ json_t *document = NULL;
        Image *image;
        int r;

        r = document_load(path, IMAGE_FORMAT, &document, err);
        if (r < 0)
                return r;
        image = xnew(Image);
        image->id = xasprintf("sha256:%s", hex);
        strv_add(&image->names, json_get_string(document, "name", ""));
        image->source = IMAGE_SOURCE_HOST;
        image->source_line = xstrdup(json_get_string(document, "source_line", ""));
        image->platform = xstrdup(json_get_string(document, "platform", ""));
        image->libc = xstrdup(json_get_string(document, "libc", NULL));
        image->created_ns = json_get_int(document, "created_ns", 0);
        image->size_bytes = (uint64_t)json_get_int(document, "size_bytes", 0);
        strv_take(&image->layers, path_join(folder, "root"));
        read_binds(layout, json_object_get(document, "binds"), image);
        image_config_read(json_object_get(document, "config"), &image->config);
        *ret = image;
        return 0;
}

/* ---- making ---- */

static const char *architecture(void)
{
        static const char *const names[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };
        static struct utsname machine;

        uname(&machine);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(machine.machine, names[i][0]))
                        return names[i][1];
        return machine.machine;
}

/* Everything that makes one host image differ from another, in one text. */
static char *identity(const HostRecipe *recipe)
{
        _cleanup_free_ char *config = json_dumps(recipe->config, JSON_COMPACT | JSON_SORT_KEYS);
        _cleanup_free_ char *text = xasprintf("%d\n%s\n%s\n%s\n%s\n%s\n", RECIPE_NUMBER, recipe->name, recipe->version,
                                              host_libc_version(), architecture(), config);

        return sha256_hex(text, strlen(text));
}

/* Live parts of the machine are bound, not copied: its libraries may change at any time without a new image. */
static json_t *all_binds(const HostRecipe *recipe)
{
        static const char *const live[] = { "/etc/ld.so.cache", "/etc/alternatives" };
        json_t *binds = host_usr_binds();

        if (recipe->locale_folder)
                json_array_append_new(binds,
                                      json_pack("{s:s, s:s}", "source", LOCALE_SOURCE, "target", "/usr/lib/locale"));
        for (size_t i = 0; i < ARRAY_SIZE(live); i++)
                json_array_append_new(binds, json_pack("{s:s, s:s}", "source", live[i], "target", live[i]));
        json_array_extend(binds, recipe->binds);
        return binds;
}

/* "glibc 2.36, ICU 72": this machine's. */
static char *host_collations(void)
{
        for (const char *const *folder = icu_folders; *folder; folder++) {
                _cleanup_free_ char *path = xasprintf("/%s", *folder), *icu = NULL;
                _cleanup_strv_ char **names = NULL;

                if (fs_list_directory(AT_FDCWD, path, &names, NULL) == 0)
                        icu = icu_version_among(names);
                if (icu)
                        return xasprintf("glibc %s, ICU %s", host_libc_version(), icu);
        }
        return xasprintf("glibc %s", host_libc_version());
}

static int write_description(const char *folder, const HostRecipe *recipe, Error **err)
{
        _cleanup_free_ char *path = path_join(folder, "image.json");
        _cleanup_free_ char *platform = xasprintf("linux/%s", architecture());
        _cleanup_free_ char *libc = host_collations();
        _cleanup_json_ json_t *document = json_pack(
                "{s:s, s:s, s:s, s:s, s:I, s:I, s:O, s:o}", "name", recipe->name, "source_line", recipe->source_line,
                "platform", platform, "libc", libc, "created_ns", (json_int_t)clock_realtime_ns(), "size_bytes",
                (json_int_t)fs_disk_usage(folder), "config", recipe->config, "binds", all_binds(recipe));

        return document_save(path, IMAGE_FORMAT, document, err);
}

static int make_image(const char *folder, const HostRecipe *recipe, Error **err)
{
        _cleanup_free_ char *temporary = xasprintf("%s.tmp", folder);
        int r;

        r = fs_remove_tree(AT_FDCWD, temporary, err);
        if (r == 0)
                r = host_root_make(temporary, recipe, err);
        if (r == 0)
                r = write_description(temporary, recipe, err);
        if (r == 0)
                r = tree_sync(temporary, err);
        if (r == 0 && rename(temporary, folder) < 0)
                r = error_set_errno(err, errno, "rename to \"%s\"", folder);
        if (r < 0)
                fs_remove_tree(AT_FDCWD, temporary, NULL);
        return r;
}

static int remember(const char *cache_path, const char *key, const char *hex, Error **err)
{
        _cleanup_json_ json_t *document = json_pack("{s:s, s:s}", "key", key, "id", hex);

        return document_save(cache_path, IMAGE_FORMAT, document, err);
}

/* The packages' state decides; whoever comes second finds the folder made. */
static int describe_and_make(const Layout *layout, const Reference *reference, HostRecipe *recipe, char **ret_hex,
                             Error **err)
{
        _cleanup_close_ int lock = -1;
        _cleanup_free_ char *hex = NULL, *folder = NULL;
        int r;

        r = store_lock(layout, &lock, err);
        if (r < 0)
                return r;
        recipe->has_locale = recipe->wants_locale && host_has_locale();
        if (recipe->wants_locale && !recipe->has_locale) {
                recipe->locale_folder = host_locale_folder(layout);
                recipe->has_locale = recipe->locale_folder != NULL;
        }
        r = streq(reference->repository, "library/postgres") ? host_postgres_describe(recipe, err)
                                                             : host_migrate_describe(layout, recipe, err);
        if (r < 0)
                return r;
        hex = identity(recipe);
        folder = layout_data(layout, "images/host/%s", hex);
        if (!fs_is_directory(folder))
                r = make_image(folder, recipe, err);
        if (r < 0)
                return r;
        *ret_hex = TAKE_PTR(hex);
        return 0;
}

static int match(const Layout *layout, const Reference *reference, ImagePolicy policy, HostRecipe *recipe, Error **err)
{
        int r = host_postgres_match(reference, policy, recipe, err);

        return r == -ERROR_UNSUPPORTED ? host_migrate_match(layout, reference, recipe, err) : r;
}

int host_image_find(const Layout *layout, const Reference *reference, ImagePolicy policy, Image **ret, Error **err)
{
        _cleanup_host_recipe_ HostRecipe recipe = { 0 };
        _cleanup_free_ char *cache_path = NULL, *key = NULL, *hex = NULL;
        _cleanup_json_ json_t *cache = NULL;
        int r;

        r = match(layout, reference, policy, &recipe, err);
        if (r < 0)
                return r;
        cache_path = layout_data(layout, "images/host/%s.json", recipe.cache_name);
        key = xasprintf("%d %s %s %s", RECIPE_NUMBER, recipe.key, host_libc_version(), layout->libexec_dir);
        if (document_load(cache_path, IMAGE_FORMAT, &cache, NULL) == 0 &&
            streq(json_get_string(cache, "key", ""), key) &&
            load_image(layout, json_get_string(cache, "id", ""), ret, NULL) == 0)
                return 0;
        r = describe_and_make(layout, reference, &recipe, &hex, err);
        if (r == 0)
                r = remember(cache_path, key, hex, err);
        if (r < 0)
                return error_prefix(err, r, "image \"%s\" of this machine's packages", recipe.name);
        return load_image(layout, hex, ret, err);
}

/* ---- all of them ---- */

static char **made_images(const Layout *layout)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/host");
        _cleanup_strv_ char **names = NULL;
        char **ids = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names)
                if (strlen(*name) == 64 && strspn(*name, "0123456789abcdef") == 64)
                        strv_add(&ids, *name);
        return ids;
}

int host_image_find_by_id(const Layout *layout, const char *digits, Image **ret, Error **err)
{
        _cleanup_strv_ char **ids = made_images(layout);

        STRV_FOREACH(id, ids)
                if (startswith(*id, digits))
                        return load_image(layout, *id, ret, err);
        return -ERROR_NOT_FOUND;
}

void host_image_list(const Layout *layout, ImageVector *images)
{
        _cleanup_strv_ char **ids = made_images(layout);

        STRV_FOREACH(id, ids) {
                Image *image = NULL;

                if (load_image(layout, *id, &image, NULL) == 0)
                        vector_add(images, image);
        }
}

bool host_image_is_current(const Layout *layout, const Image *image)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/host");
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                _cleanup_json_ json_t *cache = NULL;

                if (endswith(*name, ".json") && document_load(path, IMAGE_FORMAT, &cache, NULL) == 0 &&
                    streq(json_get_string(cache, "id", ""), digest_hex(image->id)))
                        return true;
        }
        return false;
}

void host_image_remove_leftovers(const Layout *layout)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/host");
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);

                if (endswith(*name, ".tmp"))
                        fs_remove_tree(AT_FDCWD, path, NULL);
        }
}

int host_image_remove(const Layout *layout, const char *id, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "images/host/%s", digest_hex(id));

        return fs_remove_tree(AT_FDCWD, folder, err);
}
