#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strmap.h"
#include "base/strv.h"
#include "engine/fields.h"
#include "engine/local/private.h"
#include "engine/local/volume.h"
#include "engine/local/volume_format.h"
#include "state/document.h"

static const Field volume_fields[] = {
        FIELD(VolumeRecord, FIELD_STRING, name),    FIELD(VolumeRecord, FIELD_STRING, project),
        FIELD(VolumeRecord, FIELD_STRING, key),     FIELD(VolumeRecord, FIELD_STRING, driver),
        FIELD(VolumeRecord, FIELD_STRV, options),   FIELD(VolumeRecord, FIELD_STRV, labels),
        FIELD(VolumeRecord, FIELD_BOOL, anonymous), FIELD(VolumeRecord, FIELD_INT64, created_ns),
        FIELD(VolumeRecord, FIELD_INT, fill),       FIELD(VolumeRecord, FIELD_STRING, written_by),
};
const FieldTable volume_table = FIELD_TABLE(VolumeRecord, volume_fields);

void volume_record_free(VolumeRecord *record)
{
        if (!record)
                return;
        arena_free(record->arena);
        free(record);
}

bool volume_name_is_valid(const char *name)
{
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

        return length > 0 && length <= 200 && !name[length] && isalnum((unsigned char)*name);
}

static int load_from(const char *path, const char *name, VolumeRecord **ret, Error **err)
{
        _cleanup_volume_ VolumeRecord *record = xnew(VolumeRecord);
        _cleanup_free_ char *file = path_join(path, "volume.json");
        _cleanup_error_ Error *error = NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        record->arena = arena_create();
        r = document_load(file, VOLUME_FORMAT, &json, &error);
        if (r == -ERROR_NOT_FOUND)
                return error_set(err, ERROR_NOT_FOUND, "volume \"%s\" does not exist", name);
        if (r >= 0)
                r = fields_from_json(&volume_table, json, record->arena, record, &error);
        if (r == -ERROR_INVALID)
                return error_set(err, ERROR_CORRUPT, "\"%s\": %s", file, error->message);
        if (r < 0)
                return error_move(err, &error, r);
        record->name = arena_strdup(record->arena, name);
        record->path = arena_strdup(record->arena, path);
        *ret = TAKE_PTR(record);
        return 0;
}

int volume_record_load(const Layout *layout, const char *name, VolumeRecord **ret, Error **err)
{
        _cleanup_free_ char *path = NULL;

        if (!volume_name_is_valid(name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a volume's name", name);
        path = layout_data(layout, "volumes/%s", name);
        return load_from(path, name, ret, err);
}

char *volume_data_path(const VolumeRecord *record)
{
        const char *device = strv_env_get(record->options, "device"), *o = strv_env_get(record->options, "o");
        _cleanup_strv_ char **options = o ? strv_split(o, ',') : NULL;

        if (device && (strv_contains(options, "bind") || strv_contains(options, "rbind")))
                return xstrdup(device);
        return path_join(record->path, "_data");
}

/* ---- who uses what ---- */

static void free_users(void *users)
{
        strv_free(users);
}

/* Names of the containers (stopped ones too) by volume. */
static void find_users(Engine *engine, Strmap *ret)
{
        _cleanup_container_list_ ContainerList list = { 0 };

        ret->free_value = free_users;
        if (engine->operations->container_list(engine, NULL, &list, NULL) < 0)
                return;
        for (size_t i = 0; i < list.length; i++) {
                const ContainerSpec *spec = list.items[i]->spec;
                for (const SpecMount *mount = spec->mounts; mount < spec->mounts + spec->n_mounts; mount++) {
                        char **users = NULL;
                        if (mount->kind != SPEC_MOUNT_VOLUME || !mount->source)
                                continue;
                        strv_add_all(&users, strmap_get(ret, mount->source));
                        if (!strv_contains(users, spec->name))
                                strv_add(&users, spec->name);
                        strmap_set(ret, mount->source, users);
                }
        }
}

/* Of a record that cannot be read its name is left; whose it is, the usual form of names tells. */
static VolumeInfo *damaged_info(const Layout *layout, const char *name, const char *project, const Strmap *users)
{
        const char *rest = project ? startswith(name, project) : NULL;
        VolumeInfo *info = xnew(VolumeInfo);

        info->name = xstrdup(name);
        info->driver = xstrdup("local");
        info->path = layout_data(layout, "volumes/%s/_data", name);
        info->damage = layout_data(layout, "volumes/%s/volume.json", name);
        info->used_by = strv_copy(strmap_get(users, name));
        if (rest && *rest == '_') {
                info->project = xstrdup(project);
                info->key = xstrdup(rest + 1);
        }
        return info;
}

static VolumeInfo *info_of(const VolumeRecord *record, const Strmap *users, bool with_size)
{
        VolumeInfo *info = xnew(VolumeInfo);
        _cleanup_free_ char *used = path_join(record->path, "used");
        struct stat status;

        info->name = xstrdup(record->name);
        info->driver = xstrdup(record->driver ? record->driver : "local");
        info->path = volume_data_path(record);
        info->project = xstrdup(record->project);
        info->key = xstrdup(record->key);
        info->anonymous = record->anonymous;
        info->labels = strv_copy(record->labels);
        info->options = strv_copy(record->options);
        info->created_ns = record->created_ns;
        info->written_by = xstrdup(record->written_by);
        if (stat(used, &status) == 0)
                info->used_ns = status.st_mtim.tv_sec * NSEC_PER_SEC + status.st_mtim.tv_nsec;
        if (users)
                info->used_by = strv_copy(strmap_get(users, record->name));
        if (with_size)
                info->size_bytes = fs_disk_usage(info->path);
        return info;
}

int local_volume_inspect(Engine *engine, const char *name, bool with_size, VolumeInfo **ret, Error **err)
{
        _cleanup_volume_ VolumeRecord *record = NULL;
        _cleanup_strmap_ Strmap users = STRMAP_INIT;
        _cleanup_error_ Error *error = NULL;
        int r = volume_record_load(engine_layout(engine), name, &record, &error);

        if (r < 0 && r != -ERROR_CORRUPT)
                return error_move(err, &error, r);
        find_users(engine, &users);
        *ret = r < 0 ? damaged_info(engine_layout(engine), name, NULL, &users) : info_of(record, &users, with_size);
        return 0;
}

static void free_infos(VolumeInfo **infos, size_t length)
{
        for (size_t i = 0; i < length; i++)
                volume_info_free(infos[i]);
        free(infos);
}

static int list_names(const char *path, char ***ret, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = fs_list_directory(AT_FDCWD, path, ret, &error);

        return r == -ERROR_NOT_FOUND ? 0 : error_move(err, &error, r);
}

int local_volume_list(Engine *engine, const char *project, VolumeInfo ***ret, size_t *ret_length, Error **err)
{
        _cleanup_free_ char *path = layout_data(engine_layout(engine), "volumes");
        _cleanup_strmap_ Strmap users = STRMAP_INIT;
        _cleanup_strv_ char **names = NULL;
        VolumeInfo **infos = NULL, *info;
        size_t length = 0;
        int r = list_names(path, &names, err);

        if (r < 0)
                return r;
        find_users(engine, &users);
        STRV_FOREACH(name, names) {
                _cleanup_volume_ VolumeRecord *record = NULL;
                _cleanup_error_ Error *error = NULL;
                r = volume_record_load(engine_layout(engine), *name, &record, &error);
                if (r == -ERROR_NOT_FOUND || r == -ERROR_INVALID)
                        continue;
                if (r < 0 && r != -ERROR_CORRUPT) {
                        free_infos(infos, length);
                        return error_move(err, &error, r);
                }
                info = r < 0 ? damaged_info(engine_layout(engine), *name, project, &users)
                             : info_of(record, &users, false);
                if (project && !streq_ptr(info->project, project)) {
                        volume_info_free(info);
                        continue;
                }
                infos = xreallocarray(infos, length + 1, sizeof(VolumeInfo *));
                infos[length++] = info;
        }
        *ret = infos;
        *ret_length = length;
        return 0;
}

bool trash_entry_parse(const char *entry, int64_t *ret_removed_ns, const char **ret_name)
{
        const char *dash = strchr(entry, '-');
        _cleanup_free_ char *time = dash ? xstrndup(entry, (size_t)(dash - entry)) : NULL;

        return dash && parse_int64(time, 0, INT64_MAX, ret_removed_ns) && volume_name_is_valid(*ret_name = dash + 1);
}

int volume_trash_list(const Layout *layout, VolumeInfo ***ret, size_t *ret_length, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "trash");
        _cleanup_strv_ char **names = NULL;
        VolumeInfo **infos = NULL;
        size_t length = 0, count;
        int r = list_names(path, &names, err);

        if (r < 0)
                return r;
        count = strv_length(names);
        for (size_t i = count; i-- > 0;) {
                _cleanup_free_ char *entry = path_join(path, names[i]);
                _cleanup_volume_ VolumeRecord *record = NULL;
                const char *name;
                int64_t removed_ns;
                if (!trash_entry_parse(names[i], &removed_ns, &name) || load_from(entry, name, &record, NULL) < 0)
                        continue;
                infos = xreallocarray(infos, length + 1, sizeof(VolumeInfo *));
                infos[length] = info_of(record, NULL, true);
                infos[length]->used_ns = removed_ns;
                infos[length++]->in_trash = true;
        }
        *ret = infos;
        *ret_length = length;
        return 0;
}
