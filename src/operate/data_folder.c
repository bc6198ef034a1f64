#include "operate/data_folder.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

const char *data_folder_of_spec(const ContainerSpec *spec)
{
        const char *folder = strv_env_get(spec->environment, "PGDATA");

        return isempty(folder) ? NULL : folder;
}

#define VALUE_LIMIT ((size_t)1024 * 1024)

static char *without_newlines(Strbuf *text)
{
        while (text->length > 0 && text->data[text->length - 1] == '\n')
                strbuf_truncate(text, text->length - 1);
        return strbuf_take(text);
}

SpecMount *data_folder_mount_of(const ContainerSpec *spec, const char *path)
{
        SpecMount *found = NULL;

        for (size_t i = 0; i < spec->n_mounts; i++)
                if (path_below(path, spec->mounts[i].target) &&
                    (!found || strlen(spec->mounts[i].target) > strlen(found->target)))
                        found = &spec->mounts[i];
        return found;
}

static char *source_of(Engine *engine, const SpecMount *mount, bool *ret_new)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;

        if (mount->kind == SPEC_MOUNT_BIND) {
                *ret_new = !fs_exists(mount->source);
                return xstrdup(mount->source);
        }
        if (mount->kind == SPEC_MOUNT_TMPFS) {
                *ret_new = true;
                return NULL;
        }
        *ret_new =
                engine->operations->volume_inspect(engine, mount->source, false, &volume, NULL) < 0 || volume->in_trash;
        if (*ret_new || !volume->path)
                return NULL;
        return mount->subpath ? path_join(volume->path, mount->subpath) : xstrdup(volume->path);
}

char *data_folder_on_host(Engine *engine, const ContainerSpec *spec, const char *path, const SpecMount **ret_mount,
                          bool *ret_new)
{
        _cleanup_free_ char *clean = path_clean("/", path), *source = NULL;
        const SpecMount *mount = data_folder_mount_of(spec, clean);
        const char *rest;

        *ret_new = false;
        *ret_mount = mount;
        if (!mount)
                return NULL;
        source = source_of(engine, mount, ret_new);
        rest = path_below(clean, mount->target);
        if (!source || *ret_new)
                return NULL;
        return *rest ? path_join(source, rest) : TAKE_PTR(source);
}

char *data_folder_read_file(const ContainerSpec *spec, const char *path)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *source = NULL;
        const SpecMount *mount;
        const char *rest;

        for (size_t i = 0; i < spec->n_files; i++) {
                const SpecFile *file = &spec->files[i];

                if (!streq(file->target, path))
                        continue;
                if (file->host_path)
                        fs_read_file(AT_FDCWD, file->host_path, VALUE_LIMIT, &text, NULL);
                else if (file->content)
                        strbuf_add(&text, file->content, file->content_size);
                return without_newlines(&text);
        }
        mount = data_folder_mount_of(spec, path);
        if (!mount || mount->kind != SPEC_MOUNT_BIND)
                return NULL;
        rest = path_below(path, mount->target);
        source = *rest ? path_join(mount->source, rest) : xstrdup(mount->source);
        return fs_read_file(AT_FDCWD, source, VALUE_LIMIT, &text, NULL) == 0 ? without_newlines(&text) : NULL;
}
