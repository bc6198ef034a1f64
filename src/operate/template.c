#include "operate/template.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "operate/data_folder.h"

#define TEMPLATES_IN_CONTAINER  "/run/berth/templates"
#define ENTRYPOINT_IN_CONTAINER "/run/berth/entrypoint"
#define OFFICIAL_ENTRYPOINT     "docker-entrypoint.sh"
#define INIT_FILES_DIR          "/docker-entrypoint-initdb.d"
#define MAKE_TIMEOUT_MS         120000

static char *folder_of_image(const Layout *layout, const Image *image)
{
        const char *digits = startswith(image->id, "sha256:");

        return layout_data(layout, "templates/%.*s", TEMPLATE_NAME_DIGITS, digits ? digits : image->id);
}

/* Static, so that it runs in any image. */
static char *entrypoint_program(const Layout *layout)
{
        return layout_libexec(layout, "berth-entrypoint");
}

static SpecMount read_only_bind(Arena *arena, const char *source, const char *target)
{
        return (SpecMount){ .kind = SPEC_MOUNT_BIND,
                            .source = arena_strdup(arena, source),
                            .target = arena_strdup(arena, target),
                            .read_only = true,
                            .tmpfs_size = -1,
                            .tmpfs_mode = -1 };
}

static void add_mounts(ContainerSpec *spec, const SpecMount *added, size_t n)
{
        SpecMount *mounts = arena_alloc(spec->arena, (spec->n_mounts + n) * sizeof(SpecMount));

        if (spec->n_mounts)
                memcpy(mounts, spec->mounts, spec->n_mounts * sizeof(SpecMount));
        memcpy(mounts + spec->n_mounts, added, n * sizeof(SpecMount));
        spec->mounts = mounts;
        spec->n_mounts += n;
}

static bool folder_has_files(const char *path)
{
        _cleanup_strv_ char **names = NULL;

        return fs_list_directory(AT_FDCWD, path, &names, NULL) == 0 && strv_length(names) > 0;
}

/* Init files run inside the image's own first start, with a server of its own. */
static bool has_init_files(const Image *image, const ContainerSpec *spec)
{
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (startswith(spec->mounts[i].target, INIT_FILES_DIR))
                        return true;
        for (size_t i = 0; i < spec->n_files; i++)
                if (startswith(spec->files[i].target, INIT_FILES_DIR))
                        return true;
        STRV_FOREACH(layer, image->layers) {
                _cleanup_free_ char *folder = path_join(*layer, INIT_FILES_DIR);
                if (folder_has_files(folder))
                        return true;
        }
        return false;
}

static bool runs_as_usual(const ContainerSpec *spec)
{
        return isempty(spec->user) || streq(spec->user, "root") || streq(spec->user, "0") || streq(spec->user, "0:0") ||
               streq(spec->user, "postgres");
}

/* A program that asks for a loader runs in no image but its own; one built with sanitizers, for tests, is such. */
static bool is_static(const char *program)
{
        _cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC);
        Elf64_Ehdr header;
        Elf64_Phdr segment;

        if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
            memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
                return false;
        for (size_t i = 0; i < header.e_phnum; i++) {
                off_t at = (off_t)(header.e_phoff + i * sizeof(segment));
                if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment) || segment.p_type == PT_INTERP)
                        return false;
        }
        return true;
}

/* An image with an entrypoint of its own gets ours before it; that one looks closer, inside. */
static bool can_start_ahead(const Layout *layout, const Image *image, const ContainerSpec *spec)
{
        _cleanup_free_ char *program = entrypoint_program(layout);

        return is_static(program) && image->source != IMAGE_SOURCE_HOST &&
               streq(path_basename(spec->argv[0]), OFFICIAL_ENTRYPOINT) && !has_init_files(image, spec);
}

static bool can_use(const Layout *layout, const Image *image, const ContainerSpec *spec)
{
        return runs_as_usual(spec) && (image->source == IMAGE_SOURCE_HOST || can_start_ahead(layout, image, spec));
}

int template_offer(const Layout *layout, const Image *image, ContainerSpec *spec, Error **err)
{
        _cleanup_free_ char *folder = folder_of_image(layout, image), *program = entrypoint_program(layout);
        SpecMount mounts[2];
        size_t n = 0;
        int r;

        if (!can_use(layout, image, spec))
                return 0;
        r = fs_make_directories(folder, 0755, err);
        if (r < 0)
                return r;
        mounts[n] = read_only_bind(spec->arena, folder, TEMPLATES_IN_CONTAINER);
        mounts[n++].create_host_path = true; /* somebody may have removed it between two starts */
        if (image->source != IMAGE_SOURCE_HOST) {
                char **launcher = arena_alloc(spec->arena, 3 * sizeof(char *));
                mounts[n++] = read_only_bind(spec->arena, program, ENTRYPOINT_IN_CONTAINER);
                launcher[0] = arena_strdup(spec->arena, ENTRYPOINT_IN_CONTAINER);
                launcher[1] = arena_strdup(spec->arena, "--ahead");
                launcher[2] = NULL;
                spec->launcher = launcher;
        }
        add_mounts(spec, mounts, n);
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

/* The helper takes the image apart by itself: no container is made, so nothing is left behind when it is killed. */
static char **helper_arguments(const Layout *layout, const Image *image, const char *folder)
{
        char **argv = NULL;

        strv_take(&argv, layout_libexec(layout, "berth-template"));
        strv_add(&argv, folder);
        strv_take(&argv, entrypoint_program(layout));
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

        if (!can_use(layout, image, spec) || !is_fresh(engine, spec))
                return 0;
        argv = helper_arguments(layout, image, folder);
        environment = template_environment(spec);
        run.spec.argv = argv;
        run.spec.environment = environment;
        run.spec.die_with_parent = true;
        run.timeout_ms = MAKE_TIMEOUT_MS;
        utimensat(AT_FDCWD, folder, NULL, 0); /* used: template_prune looks */
        return error_prefix(err, process_run_checked(&run, &result, err), "make a template cluster");
}
