#include "operate/template.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "operate/data_folder.h"

#define TEMPLATES_IN_CONTAINER "/run/berth/templates"
#define DATABASE_UID 999
#define MAKE_TIMEOUT_MS 120000
#define NAME_DIGITS 32

static char *folder_of_image(const Layout *layout, const Image *image)
{
        const char *digits = startswith(image->id, "sha256:");

        return layout_data(layout, "templates/%.*s", NAME_DIGITS, digits ? digits : image->id);
}

static int make_folder(const char *path, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(path);
        int r = fs_make_directories(parent, 0711, err);

        if (r == 0)
                r = fs_make_directories(path, 0755, err);
        if (r == 0 && chown(path, DATABASE_UID, DATABASE_UID) < 0)
                r = error_set_errno(err, errno, "chown \"%s\"", path);
        return r;
}

int template_offer(const Layout *layout, const Image *image, ContainerSpec *spec, Error **err)
{
        _cleanup_free_ char *folder = folder_of_image(layout, image);
        SpecMount *mounts;
        int r;

        if (image->source != IMAGE_SOURCE_HOST)
                return 0;
        r = make_folder(folder, err);
        if (r < 0)
                return r;
        mounts = arena_alloc(spec->arena, (spec->n_mounts + 1) * sizeof(SpecMount));
        if (spec->n_mounts)
                memcpy(mounts, spec->mounts, spec->n_mounts * sizeof(SpecMount));
        mounts[spec->n_mounts] = (SpecMount){ .kind = SPEC_MOUNT_BIND,
                                              .source = arena_strdup(spec->arena, folder),
                                              .target = arena_strdup(spec->arena, TEMPLATES_IN_CONTAINER),
                                              .read_only = true,
                                              .tmpfs_size = -1,
                                              .tmpfs_mode = -1 };
        spec->mounts = mounts;
        spec->n_mounts++;
        return 0;
}

static bool is_fresh(Engine *engine, const ContainerSpec *spec)
{
        const char *path = data_folder_of_spec(spec);
        _cleanup_free_ char *folder = NULL, *version = NULL;
        const SpecMount *mount;
        bool is_new;

        if (!path)
                return false;
        folder = data_folder_on_host(engine, spec, path, &mount, &is_new);
        if (!folder)
                return true;
        version = path_join(folder, "PG_VERSION");
        return !fs_exists(version);
}

/* The container's environment without passwords, with what names the user and the database filled in. */
static char **template_environment(const ContainerSpec *spec)
{
        static const char *const names[] = { "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS" };
        char **environment = NULL;

        STRV_FOREACH(item, spec->environment)
                if (!startswith(*item, "POSTGRES_PASSWORD") && !startswith(*item, "PGPASSWORD") &&
                    !startswith(*item, "POSTGRES_USER_FILE=") && !startswith(*item, "POSTGRES_DB_FILE=") &&
                    !startswith(*item, "POSTGRES_INITDB_ARGS_FILE="))
                        strv_add(&environment, *item);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *file_name = xasprintf("%s_FILE", names[i]), *value = NULL;
                const char *path = strv_env_get(spec->environment, file_name);

                value = isempty(path) ? NULL : data_folder_read_file(spec, path);
                if (value)
                        strv_env_set(&environment, names[i], value);
        }
        return environment;
}

static bool runs_as_usual(const ContainerSpec *spec)
{
        return isempty(spec->user) || streq(spec->user, "root") || streq(spec->user, "0") || streq(spec->user, "0:0") ||
               streq(spec->user, "postgres");
}

/* The helper takes the image apart by itself: no container is made, so nothing is left behind when it is killed. */
static char **helper_arguments(const Layout *layout, const Image *image, const char *folder)
{
        char **argv = NULL;

        strv_take(&argv, layout_libexec(layout, "berth-template"));
        strv_add(&argv, folder);
        STRV_FOREACH(layer, image->layers)
                strv_addf(&argv, "layer=%s", *layer);
        for (size_t i = 0; i < image->n_binds; i++) {
                strv_addf(&argv, "source=%s", image->binds[i].source);
                strv_addf(&argv, "target=%s", image->binds[i].target);
        }
        return argv;
}

int template_prepare(const Layout *layout, Engine *engine, const Image *image, const ContainerSpec *spec, Error **err)
{
        _cleanup_free_ char *folder = folder_of_image(layout, image);
        _cleanup_strv_ char **argv = NULL, **environment = NULL;
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;

        if (image->source != IMAGE_SOURCE_HOST || !runs_as_usual(spec) || !is_fresh(engine, spec))
                return 0;
        argv = helper_arguments(layout, image, folder);
        environment = template_environment(spec);
        run.spec.argv = argv;
        run.spec.environment = environment;
        run.spec.die_with_parent = true;
        run.timeout_ms = MAKE_TIMEOUT_MS;
        return error_prefix(err, process_run_checked(&run, &result, err), "make a template cluster");
}
