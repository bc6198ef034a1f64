/* restore --forget: the data that restores have set aside. */
#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/confirm.h"
#include "cli/restore.h"
#include "engine/local/volume.h"
#include "operate/data_folder.h"
#include "operate/restore_mark.h"

typedef struct Kept {
        char **volumes;
        char **folders; /* beside a bind mount's */
        Table *table;
} Kept;

static void kept_done(Kept *kept)
{
        strv_free(kept->volumes);
        strv_free(kept->folders);
        table_free(kept->table);
}

/* Being made by a restore that is at work, or left by one that was cut off: the next restore clears it away. */
static bool is_unfinished(const char *root)
{
        _cleanup_free_ char *mark = path_join(root, RESTORE_MARK);

        return fs_exists(mark);
}

static int find_volumes(const Restore *restore, const char *volume, Kept *kept, Error **err)
{
        _cleanup_free_ char *prefix = xasprintf("%s" RESTORE_KEPT_SUFFIX, volume);
        Engine *engine = restore->scope.engine;
        VolumeInfo **list = NULL;
        size_t length = 0;
        int r = engine->operations->volume_list(engine, NULL, &list, &length, err);

        for (size_t i = 0; i < length; i++) {
                const char *path = list[i]->path;
                if (startswith(list[i]->name, prefix) && !list[i]->in_trash && path && !is_unfinished(path)) {
                        _cleanup_free_ char *size = format_size(fs_disk_usage(path));
                        table_add_row(kept->table, list[i]->name, size);
                        strv_add(&kept->volumes, list[i]->name);
                }
                volume_info_free(list[i]);
        }
        free(list);
        return MIN(r, 0);
}

static int find_folders(const char *present, Kept *kept, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(present),
                            *prefix = xasprintf("%s" RESTORE_KEPT_SUFFIX, path_basename(present));
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, parent, &names, err);

        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(parent, *name), *size = NULL;

                if (!startswith(*name, prefix) || is_unfinished(path))
                        continue;
                size = format_size(fs_disk_usage(path));
                table_add_row(kept->table, path, size);
                strv_add(&kept->folders, path);
        }
        return r;
}

/* By the service's container; where that is gone, by the volumes that the compose file names for it. */
static int find_kept(Restore *restore, Kept *kept, Error **err)
{
        const SpecMount *mount = NULL;
        const char *inside;
        _cleanup_free_ char *folder = NULL;
        bool is_new;
        int r = restore_need_container(restore, err);

        if (r < 0)
                return r;
        inside = restore->container->spec ? data_folder_of_spec(restore->container->spec) : NULL;
        if (inside)
                folder = data_folder_on_host(restore->scope.engine, restore->container->spec, inside, &mount, &is_new);
        if (!mount || !mount->source)
                return 0;
        return mount->kind == SPEC_MOUNT_VOLUME ? find_volumes(restore, mount->source, kept, err)
                                                : find_folders(mount->source, kept, err);
}

static int remove_kept(const Restore *restore, const Kept *kept, Error **err)
{
        int r = 0;

        STRV_FOREACH(name, kept->volumes) {
                r = volume_remove(restore->invocation->layout, *name, true, err);
                if (r < 0)
                        return r;
                printf("%s\n", *name);
        }
        STRV_FOREACH(path, kept->folders) {
                r = fs_remove_tree(AT_FDCWD, *path, err);
                if (r < 0)
                        return r;
                printf("%s\n", *path);
        }
        return r;
}

int restore_forget(Restore *restore, Error **err)
{
        Invocation *invocation = restore->invocation;
        _cleanup_(kept_done) Kept kept = { .table = table_create("SET ASIDE", "SIZE", NULL) };
        _cleanup_free_ char *what = NULL;
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &restore->scope,
                             &restore->service, err);

        if (r >= 0)
                r = find_kept(restore, &kept, err);
        if (r < 0)
                return r;
        if (table_length(kept.table) == 0)
                return error_set(err, ERROR_NOT_FOUND, "no restore of service \"%s\" has set data aside",
                                 restore->service);
        what = xasprintf("remove for good what restores of service \"%s\" have set aside", restore->service);
        r = confirm(what, kept.table, invocation_flag(invocation, "yes"), "--yes", err);
        return r < 0 ? r : remove_kept(restore, &kept, err);
}
