#include <errno.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/parse.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "base/vector.h"
#include "deploy/spec.h"

typedef VECTOR(SpecMount) MountVector;

static const Volume *find_volume(const Project *project, const char *key)
{
        for (size_t i = 0; i < project->n_volumes; i++)
                if (streq(project->volumes[i].key, key))
                        return &project->volumes[i];
        return NULL;
}

static SpecMount *find_target(MountVector *mounts, const char *target)
{
        VECTOR_FOREACH(mount, mounts)
                if (streq(mount->target, target))
                        return mount;
        return NULL;
}

/* The anonymous volume that the previous container had at target, else a new random name. */
static char *anonymous_name(Arena *arena, const ContainerInfo *previous, const char *target)
{
        unsigned char bytes[32];
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; previous && previous->spec && i < previous->spec->n_mounts; i++) {
                const SpecMount *mount = &previous->spec->mounts[i];
                if (mount->anonymous && streq(mount->target, target))
                        return arena_strdup(arena, mount->source);
        }
        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
                abort();
        text = hex_encode(bytes, sizeof(bytes));
        return arena_strdup(arena, text);
}

/* A later mount at the same target takes the earlier one's place. */
static void put_mount(MountVector *mounts, SpecMount mount)
{
        SpecMount *existing = find_target(mounts, mount.target);

        if (existing)
                *existing = mount;
        else
                vector_add(mounts, mount);
}

static int convert_mount(const SpecInput *input, Arena *arena, const Mount *mount, SpecMount *ret, Error **err)
{
        const Volume *volume;

        *ret = (SpecMount){
                .target = arena_strdup(arena, mount->target),
                .read_only = mount->read_only,
                .create_host_path = mount->create_host_path,
                .nocopy = mount->nocopy,
                .subpath = arena_strdup(arena, mount->subpath),
                .propagation = arena_strdup(arena, mount->propagation),
                .selinux = arena_strdup(arena, mount->selinux),
                .tmpfs_size = mount->tmpfs_size,
                .tmpfs_mode = mount->tmpfs_mode,
        };
        switch (mount->type) {
        case MOUNT_TYPE_BIND:
                ret->kind = SPEC_MOUNT_BIND;
                ret->source = arena_strdup(arena, mount->source);
                return 0;
        case MOUNT_TYPE_TMPFS:
                ret->kind = SPEC_MOUNT_TMPFS;
                return 0;
        case MOUNT_TYPE_VOLUME:
                ret->kind = SPEC_MOUNT_VOLUME;
                if (!mount->source) {
                        ret->anonymous = true;
                        ret->source = anonymous_name(arena, input->previous, mount->target);
                        return 0;
                }
                volume = find_volume(input->project, mount->source);
                if (!volume)
                        return error_set(err, ERROR_INVALID, "service \"%s\" refers to undefined volume %s",
                                         input->service->name, mount->source);
                ret->source = arena_strdup(arena, volume->name);
                return 0;
        case MOUNT_TYPE_OTHER:
                break;
        }
        return error_set(err, ERROR_UNSUPPORTED, "service \"%s\": volumes: mounts of type %s are not supported",
                         input->service->name, mount->other_type ? mount->other_type : "unknown");
}

/* "/run:size=64m,mode=1770,noexec" */
static int convert_tmpfs(const SpecInput *input, Arena *arena, const char *text, SpecMount *ret, Error **err)
{
        const char *colon = strchr(text, ':');
        _cleanup_strv_ char **options = colon ? strv_split(colon + 1, ',') : NULL, **others = NULL;

        *ret = (SpecMount){ .kind = SPEC_MOUNT_TMPFS, .tmpfs_size = -1, .tmpfs_mode = -1 };
        ret->target = arena_strndup(arena, text, colon ? (size_t)(colon - text) : strlen(text));
        STRV_FOREACH(option, options) {
                const char *size = startswith(*option, "size="), *mode = startswith(*option, "mode=");
                if (size && !parse_size(size, &ret->tmpfs_size) && !endswith(size, "%"))
                        return error_set(err, ERROR_INVALID, "service \"%s\": tmpfs: \"%s\": \"%s\" is no size",
                                         input->service->name, text, size);
                if (mode)
                        ret->tmpfs_mode = strtol(mode, NULL, 8);
                else if ((!size || endswith(size, "%")) && **option)
                        strv_add(&others, *option);
        }
        ret->options = arena_strv(arena, others);
        return 0;
}

/* "source:target[:options]", as `run -v` has it: a path is bound, a name is a volume's. */
static int convert_override(const SpecInput *input, Arena *arena, const char *text, SpecMount *ret, Error **err)
{
        _cleanup_strv_ char **parts = strv_split(text, ':');
        size_t n_parts = strv_length(parts);
        _cleanup_free_ char *source = NULL;

        *ret = (SpecMount){ .kind = SPEC_MOUNT_VOLUME, .create_host_path = true, .tmpfs_size = -1, .tmpfs_mode = -1 };
        if (n_parts > 3 || !*parts[0] || (n_parts > 1 && *parts[1] != '/') || (n_parts == 1 && *parts[0] != '/'))
                return error_set(err, ERROR_USAGE, "invalid volume \"%s\": expected source:target[:ro]", text);
        ret->target = arena_strdup(arena, parts[n_parts > 1 ? 1 : 0]);
        ret->read_only = n_parts == 3 && streq(parts[2], "ro");
        if (n_parts == 1) {
                ret->anonymous = true;
                ret->source = anonymous_name(arena, NULL, ret->target);
        } else if (*parts[0] == '/' || *parts[0] == '.') {
                ret->kind = SPEC_MOUNT_BIND;
                source = path_clean(input->project->working_dir, parts[0]);
                ret->source = arena_strdup(arena, source);
        } else {
                const Volume *volume = find_volume(input->project, parts[0]);
                ret->source = arena_strdup(arena, volume ? volume->name : parts[0]);
        }
        return 0;
}

static const Service *find_service(const Project *project, const char *name, size_t length)
{
        for (size_t i = 0; i < project->n_services; i++)
                if (strncmp(project->services[i].name, name, length) == 0 && !project->services[i].name[length])
                        return &project->services[i];
        return NULL;
}

/* volumes_from: the named volumes and binds of another service. */
static int add_mounts_of_others(const SpecInput *input, Arena *arena, MountVector *mounts, Error **err)
{
        STRV_FOREACH(item, input->service->volumes_from) {
                const char *colon = strchr(*item, ':');
                const Service *other =
                        find_service(input->project, *item, colon ? (size_t)(colon - *item) : strlen(*item));
                if (!other || startswith(*item, "container:"))
                        return error_set(err, ERROR_UNSUPPORTED,
                                         "service \"%s\": volumes_from: \"%s\" is no service here",
                                         input->service->name, *item);
                for (size_t i = 0; i < other->n_mounts; i++) {
                        SpecMount mount;
                        int r;
                        if (other->mounts[i].type == MOUNT_TYPE_VOLUME && !other->mounts[i].source)
                                return error_set(err, ERROR_UNSUPPORTED,
                                                 "service \"%s\": volumes_from: %s has an anonymous volume at %s",
                                                 input->service->name, other->name, other->mounts[i].target);
                        r = convert_mount(input, arena, &other->mounts[i], &mount, err);
                        if (r < 0)
                                return r;
                        mount.read_only |= colon && streq(colon, ":ro");
                        put_mount(mounts, mount);
                }
        }
        return 0;
}

static int collect_mounts(const SpecInput *input, Arena *arena, MountVector *mounts, Error **err)
{
        const Service *service = input->service;
        SpecMount mount;
        int r;

        r = add_mounts_of_others(input, arena, mounts, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < service->n_mounts; i++) {
                r = convert_mount(input, arena, &service->mounts[i], &mount, err);
                if (r < 0)
                        return r;
                put_mount(mounts, mount);
        }
        STRV_FOREACH(text, service->tmpfs) {
                r = convert_tmpfs(input, arena, *text, &mount, err);
                if (r < 0)
                        return r;
                put_mount(mounts, mount);
        }
        STRV_FOREACH(text, input->overrides ? input->overrides->volumes : NULL) {
                r = convert_override(input, arena, *text, &mount, err);
                if (r < 0)
                        return r;
                put_mount(mounts, mount);
        }
        STRV_FOREACH(target, input->image->config.volumes) {
                if (find_target(mounts, *target))
                        continue;
                vector_add(mounts, (SpecMount){ .kind = SPEC_MOUNT_VOLUME,
                                                .target = arena_strdup(arena, *target),
                                                .source = anonymous_name(arena, input->previous, *target),
                                                .anonymous = true,
                                                .tmpfs_size = -1,
                                                .tmpfs_mode = -1 });
        }
        return 0;
}

int spec_add_mounts(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        MountVector mounts = { 0 };
        int r = collect_mounts(input, spec->arena, &mounts, err);

        if (r >= 0 && mounts.length) {
                spec->n_mounts = mounts.length;
                spec->mounts = arena_new_array(spec->arena, SpecMount, mounts.length);
                memcpy(spec->mounts, mounts.items, mounts.length * sizeof(SpecMount));
        }
        vector_done(&mounts);
        return r;
}

static int add_file(ContainerSpec *spec, const SpecInput *input, const FileReference *reference,
                    const FileSource *sources, size_t n_sources, bool secret, Error **err)
{
        SpecFile *file = &spec->files[spec->n_files];
        const FileSource *source = NULL;
        const char *what = secret ? "secret" : "config";

        for (size_t i = 0; i < n_sources; i++)
                if (streq(sources[i].key, reference->source))
                        source = &sources[i];
        if (!source)
                return error_set(err, ERROR_INVALID, "service \"%s\" refers to undefined %s %s", input->service->name,
                                 what, reference->source);
        if (source->external)
                return error_hint(
                        err, error_set(err, ERROR_UNSUPPORTED, "unsupported external %s %s", what, source->name),
                        secret ? "Say where it comes from: x-berth: {secrets: {%s: {command: [...]}}} or {file: PATH}."
                               : "Give the file of %s.",
                        source->key);
        *file = (SpecFile){
                .target = reference->target
                                  ? arena_strdup(spec->arena, reference->target)
                                  : arena_printf(spec->arena, secret ? "/run/secrets/%s" : "/%s", source->key),
                .host_path = arena_strdup(spec->arena, source->file),
                .content = arena_strdup(spec->arena, source->file ? NULL : source->content),
                .uid = reference->uid,
                .gid = reference->gid,
                .mode = reference->mode,
                .secret = secret,
                .in_memory =
                        secret || !source->file || reference->uid >= 0 || reference->gid >= 0 || reference->mode >= 0,
        };
        if (!file->host_path && !file->content)
                return error_set(
                        err, ERROR_NOT_FOUND,
                        source->command ? "%s \"%s\" of service \"%s\": its command was not run%s"
                                        : "%s \"%s\" of service \"%s\": environment variable \"%s\" is not set",
                        what, source->key, input->service->name, source->environment ? source->environment : "");
        file->content_size = file->content ? strlen(file->content) : 0;
        spec->n_files++;
        return 0;
}

int spec_add_files(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        const Service *service = input->service;
        const Project *project = input->project;
        int r;

        spec->files = arena_new_array(spec->arena, SpecFile, service->n_secrets + service->n_configs);
        for (size_t i = 0; i < service->n_secrets; i++) {
                r = add_file(spec, input, &service->secrets[i], project->secrets, project->n_secrets, true, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < service->n_configs; i++) {
                r = add_file(spec, input, &service->configs[i], project->configs, project->n_configs, false, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

VolumeSpec *spec_volume(Arena *arena, const Project *project, const Volume *volume)
{
        VolumeSpec *spec = arena_new(arena, VolumeSpec);

        spec->name = arena_strdup(arena, volume->name);
        spec->project = arena_strdup(arena, project->name);
        spec->key = arena_strdup(arena, volume->key);
        spec->driver = arena_strdup(arena, volume->driver);
        spec->options = spec_options(arena, &volume->driver_opts);
        spec->labels = spec_labels(arena, &volume->labels, project, LABEL_VOLUME, volume->key);
        return spec;
}
