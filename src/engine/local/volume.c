#include "engine/local/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/copy.h"
#include "engine/local/volume_format.h"
#include "state/document.h"

int volume_record_save(const VolumeRecord *record, Error **err)
{
        _cleanup_free_ char *path = path_join(record->path, "volume.json");
        _cleanup_json_ json_t *json = fields_to_json(&volume_table, record);

        return document_save(path, VOLUME_FORMAT, json, err);
}

static VolumeRecord record_of(const VolumeSpec *spec)
{
        return (VolumeRecord){
                .name = spec->name,
                .project = spec->project,
                .key = spec->key,
                .driver = spec->driver,
                .options = spec->options,
                .labels = spec->labels,
                .anonymous = spec->anonymous,
                .created_ns = clock_realtime_ns(),
        };
}

/* On ext4 folders lie near their parent, where a new file's number is looked for among all that were freed of late: beside a
 * volume that was just deleted that costs more than all the rest of a first start. So each gets a part of the disk of its
 * own, like folders at the top. A hint, which other file systems do not know. */
static void spread_over_disk(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int flags = 0;

        if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || flags & FS_TOPDIR_FL)
                return;
        flags |= FS_TOPDIR_FL;
        _unused_ int ignored = ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Made aside and renamed into place, so that a volume is there with its description or not at all. */
static int make_volume(const Layout *layout, const VolumeSpec *spec, const char *path, Error **err)
{
        _cleanup_free_ char *parent = layout_data(layout, "volumes"), *aside = NULL, *data = NULL;
        VolumeRecord record = record_of(spec);
        int r;

        aside = xasprintf("%s/.new.%d", parent, (int)gettid());
        data = path_join(aside, "_data");
        fs_remove_tree(AT_FDCWD, aside, NULL);
        r = fs_make_directories(parent, 0711, err);
        if (r < 0)
                return r;
        spread_over_disk(parent);
        r = fs_make_directories(data, 0755, err);
        if (r < 0)
                return r;
        chmod(aside, 0711);
        chmod(parent, 0711);
        record.path = aside;
        r = volume_record_save(&record, err);
        if (r >= 0 && rename(aside, path) < 0 && errno != EEXIST && errno != ENOTEMPTY)
                r = error_set_errno(err, errno, "create volume \"%s\"", spec->name);
        fs_remove_tree(AT_FDCWD, aside, NULL);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, parent, err);
}

int volume_check_spec(const VolumeSpec *spec, Error **err)
{
        const char *type = strv_env_get(spec->options, "type"), *device = strv_env_get(spec->options, "device");
        const char *o = strv_env_get(spec->options, "o");
        _cleanup_strv_ char **options = o ? strv_split(o, ',') : NULL;
        bool binds = strv_contains(options, "bind") || strv_contains(options, "rbind");
        int r;

        if (!volume_name_is_valid(spec->name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a volume's name", spec->name);
        if (!isempty(spec->driver) && !streq(spec->driver, "local"))
                return error_set(err, ERROR_UNSUPPORTED, "volume \"%s\": there is no driver \"%s\" on this machine",
                                 spec->name, spec->driver);
        if (binds && (!device || *device != '/'))
                return error_set(err, ERROR_INVALID, "volume \"%s\": driver_opts.device must be an absolute path",
                                 spec->name);
        if (binds && !fs_is_directory(device))
                return error_set(err, ERROR_NOT_FOUND, "volume \"%s\": folder \"%s\" does not exist", spec->name,
                                 device);
        if (!type || binds || streq(type, "tmpfs") || streq(type, "none"))
                return 0;
        r = error_set(err, ERROR_UNSUPPORTED, "volume \"%s\": file systems of type \"%s\" are not mounted by Berth",
                      spec->name, type);
        return error_hint(err, r,
                          "Mount it on this machine and name that folder: "
                          "`driver_opts: {type: none, o: bind, device: /mnt/%s}`.",
                          spec->key ? spec->key : spec->name);
}

/* Its description is lost; its files stay as they are, whoever filled them. */
static int rebuild(const VolumeSpec *spec, char *path, Error **err)
{
        _cleanup_free_ char *file = path_join(path, "volume.json"), *data = path_join(path, "_data"), *kept = NULL;
        _cleanup_close_ int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        VolumeRecord record = record_of(spec);
        int r = 0;

        record.path = path;
        record.fill = fd < 0 || folder_is_empty(fd) ? VOLUME_UNTOUCHED : VOLUME_FILLED;
        if (fs_exists(file))
                r = document_keep_copy(file, &kept, err);
        return r < 0 ? r : volume_record_save(&record, err);
}

int volume_create(const Layout *layout, const VolumeSpec *spec, Error **err)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_volume_ VolumeRecord *existing = NULL;
        _cleanup_error_ Error *error = NULL;
        int r;

        if (!volume_name_is_valid(spec->name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a volume's name", spec->name);
        r = volume_record_load(layout, spec->name, &existing, &error);
        if (r != -ERROR_NOT_FOUND && r != -ERROR_CORRUPT)
                return error_move(err, &error, r);
        path = layout_data(layout, "volumes/%s", spec->name);
        r = volume_check_spec(spec, err);
        if (r < 0)
                return r;
        r = fs_is_directory(path) ? rebuild(spec, path, err) : make_volume(layout, spec, path, err);
        return error_prefix(err, r, "volume \"%s\"", spec->name);
}

int volume_remove(const Layout *layout, const char *name, bool purge, Error **err)
{
        _cleanup_free_ char *path = NULL, *trash = layout_data(layout, "trash"), *entry = NULL;
        int r;

        if (!volume_name_is_valid(name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a volume's name", name);
        path = layout_data(layout, "volumes/%s", name);
        if (!fs_exists(path))
                return 0;
        r = fs_make_directories(trash, 0700, err);
        if (r < 0)
                return r;
        entry = xasprintf("%s/%lld-%s", trash, (long long)clock_realtime_ns(), name);
        if (rename(path, entry) < 0)
                return error_set_errno(err, errno, "remove volume \"%s\"", name);
        r = fs_sync_directory(AT_FDCWD, trash, err);
        if (r < 0)
                return r;
        return purge ? fs_remove_tree(AT_FDCWD, entry, err) : 0;
}

void volume_touch(const VolumeRecord *record)
{
        _cleanup_free_ char *path = path_join(record->path, "used");
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd >= 0)
                futimens(fd, NULL);
}

int volume_set_written_by(const Layout *layout, const char *name, const char *text, Error **err)
{
        _cleanup_volume_ VolumeRecord *record = NULL;
        int r = volume_record_load(layout, name, &record, err);

        if (r < 0 || streq_ptr(record->written_by, text))
                return r;
        record->written_by = arena_strdup(record->arena, text);
        return volume_record_save(record, err);
}

/* Who wrote what goes along. It comes after the exchange: a crash between leaves a note that is out of date. */
static int exchange_writers(VolumeRecord *one, VolumeRecord *other, Error **err)
{
        char *text = one->written_by;
        int r;

        one->written_by = other->written_by;
        other->written_by = text;
        r = volume_record_save(one, err);
        if (r >= 0)
                r = volume_record_save(other, err);
        one->written_by = NULL;
        other->written_by = NULL;
        return r;
}

int volume_exchange(const Layout *layout, const char *one, const char *other, Error **err)
{
        _cleanup_volume_ VolumeRecord *first = NULL, *second = NULL;
        _cleanup_free_ char *first_data = NULL, *second_data = NULL;
        int r;

        r = volume_record_load(layout, one, &first, err);
        if (r >= 0)
                r = volume_record_load(layout, other, &second, err);
        if (r < 0)
                return r;
        first_data = path_join(first->path, "_data");
        second_data = path_join(second->path, "_data");
        if (renameat2(AT_FDCWD, first_data, AT_FDCWD, second_data, RENAME_EXCHANGE) < 0)
                return errno == EINVAL ? error_set(err, ERROR_UNSUPPORTED,
                                                   "the file system of \"%s\" cannot exchange two folders", first->path)
                                       : error_set_errno(err, errno, "exchange volumes \"%s\" and \"%s\"", one, other);
        r = fs_sync_directory(AT_FDCWD, first->path, err);
        if (r >= 0)
                r = fs_sync_directory(AT_FDCWD, second->path, err);
        return r < 0 ? r : exchange_writers(first, second, err);
}

int volume_restore(const Layout *layout, const char *name, Error **err)
{
        _cleanup_free_ char *trash = layout_data(layout, "trash"), *path = NULL, *found = NULL;
        _cleanup_strv_ char **entries = NULL;
        const char *original;
        int64_t removed_ns;

        if (!volume_name_is_valid(name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a volume's name", name);
        path = layout_data(layout, "volumes/%s", name);
        fs_list_directory(AT_FDCWD, trash, &entries, NULL);
        STRV_FOREACH(entry, entries)
                if (trash_entry_parse(*entry, &removed_ns, &original) && streq(original, name))
                        free_and_replace(&found, path_join(trash, *entry)); /* sorted: the last is the youngest */
        if (!found)
                return error_set(err, ERROR_NOT_FOUND, "there is no volume \"%s\" in the trash", name);
        if (renameat2(AT_FDCWD, found, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
                return errno == EEXIST
                               ? error_hint(err, error_set(err, ERROR_EXISTS, "volume \"%s\" exists again", name),
                                            "Remove it first; it then goes to the trash itself.")
                               : error_set_errno(err, errno, "restore volume \"%s\"", name);
        return fs_sync_directory(AT_FDCWD, trash, err);
}
