/* What an upgrade is to do: the old server and its volume, the images, and whether there is room for it. */
#include <stdio.h>
#include <sys/statvfs.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/confirm.h"
#include "cli/database.h"
#include "cli/output/table.h"
#include "cli/upgrade.h"
#include "compose/edit.h"
#include "engine/local/volume.h"
#include "operate/data_folder.h"

#define OLDEST_MAJOR                13
#define NEWEST_MAJOR                18
#define FIRST_MAJOR_WITH_NEW_LAYOUT 18

static int find_old(UpgradeTask *task, const char *service, Error **err)
{
        Engine *engine = task->scope->engine;
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        const SpecMount *mount = NULL;
        const char *path;
        bool is_new;
        int r;

        r = scope_container(task->scope, service, 0, true, &task->old, err);
        if (r < 0)
                return error_prefix(err, r, "the old server copies its data itself");
        if (!container_is_database(task->old))
                return error_set(err, ERROR_INVALID, "service \"%s\" is no PostgreSQL database", service);
        path = data_folder_of_spec(task->old->spec);
        task->old_folder = path ? data_folder_on_host(engine, task->old->spec, path, &mount, &is_new) : NULL;
        if (!task->old_folder || !mount || mount->kind != SPEC_MOUNT_VOLUME || mount->anonymous)
                return error_hint(err,
                                  error_set(err, ERROR_UNSUPPORTED,
                                            "the data of service \"%s\" are not in a named volume", service),
                                  "Mount a named volume at %s; `berth volume import` can fill it.",
                                  path ? path : "PGDATA");
        r = engine->operations->volume_inspect(engine, mount->source, false, &volume, err);
        if (r < 0)
                return r;
        if (!endswith(volume->path, "/_data"))
                return error_set(err, ERROR_UNSUPPORTED, "volume \"%s\" is a folder of yours: it cannot be exchanged",
                                 mount->source);
        task->record.volume = xstrdup(mount->source);
        task->record.old_target = xstrdup(mount->target);
        task->record.old_folder =
                xstrdup(task->old_folder + strlen(volume->path) + (task->old_folder[strlen(volume->path)] == '/'));
        task->record.from = upgrade_major_of_folder(task->old_folder);
        return 0;
}

static int find_volume_key(UpgradeTask *task, Error **err)
{
        const Project *project = task->scope->project;

        for (size_t i = 0; i < project->n_volumes; i++)
                if (streq_ptr(project->volumes[i].name, task->record.volume))
                        task->volume_key = xstrdup(project->volumes[i].key);
        return task->volume_key ? 0
                                : error_set(err, ERROR_INVALID, "the compose file does not name volume \"%s\" any more",
                                            task->record.volume);
}

/* The image of the new major: the file's own, where it says so already, or the one of the same name. */
static int choose_images(UpgradeTask *task, const char *service, Error **err)
{
        const char *written = project_find_service(task->scope->project, service)->image;
        UpgradeRecord *record = &task->record;
        int r;

        record->old_image = xstrdup(task->old->spec->image);
        if (written && upgrade_image_major(written) == record->to) {
                record->new_image = xstrdup(written);
                return 0;
        }
        record->new_image =
                written && upgrade_image_major(written) == record->from ? upgrade_image_for(written, record->to) : NULL;
        if (!record->new_image) {
                r = error_set(err, ERROR_INVALID, "the tag of image \"%s\" names no major to replace",
                              written ? written : "");
                return error_hint(err, r,
                                  "Write the image of PostgreSQL %d into the compose file, then run this again.",
                                  record->to);
        }
        if (record->to >= FIRST_MAJOR_WITH_NEW_LAYOUT && record->from < FIRST_MAJOR_WITH_NEW_LAYOUT) {
                r = error_set(err, ERROR_INVALID, "images from %d on keep their data elsewhere",
                              FIRST_MAJOR_WITH_NEW_LAYOUT);
                return error_hint(
                        err, r,
                        "Write into the compose file `image: %s` and the volume at /var/lib/postgresql, then run "
                        "this again; the old server goes on until then.",
                        record->new_image);
        }
        return 0;
}

static int check_majors(const UpgradeTask *task, Error **err)
{
        const UpgradeRecord *record = &task->record;

        if (!record->from)
                return error_set(err, ERROR_CORRUPT, "the data of service \"%s\" do not say which major wrote them",
                                 record->service);
        if (record->to == record->from)
                return error_set(err, ERROR_CONFLICT, "the data of service \"%s\" are of PostgreSQL %d already",
                                 record->service, record->from);
        if (record->to < record->from || record->from < OLDEST_MAJOR || record->to > NEWEST_MAJOR)
                return error_set(err, ERROR_UNSUPPORTED,
                                 "from PostgreSQL %d to %d there is no way here (%d to %d, upwards)", record->from,
                                 record->to, OLDEST_MAJOR, NEWEST_MAJOR);
        return 0;
}

static int check_space(const UpgradeTask *task, Error **err)
{
        _cleanup_free_ char *wanted_text = NULL, *free_text = NULL;
        uint64_t wanted = fs_disk_usage(task->old_folder), available;
        struct statvfs status;

        if (statvfs(task->old_folder, &status) < 0)
                return 0;
        available = (uint64_t)status.f_bavail * status.f_frsize;
        if (available > wanted + wanted / 2)
                return 0;
        wanted_text = format_size(wanted + wanted / 2);
        free_text = format_size(available);
        return error_set(err, ERROR_IO, "the new cluster and the dump may take %s, and %s are free", wanted_text,
                         free_text);
}

static int ask(const UpgradeTask *task, Error **err)
{
        const UpgradeRecord *record = &task->record;
        const Service *service = project_find_service(task->scope->project, record->service);
        _cleanup_free_ char *what = NULL, *place = NULL;
        bool edits = !streq_ptr(service->image, record->new_image);
        int r = edits ? edit_find_image(task->scope->project, record->service, &place, err) : 0;

        if (r < 0)
                return r;
        what = xasprintf(
                "upgrade service \"%s\" from PostgreSQL %d to %d%s%s%s%s (writers wait meanwhile; the old data stay "
                "in volume %s)",
                record->service, record->from, record->to, edits ? ", and write image: " : "",
                edits ? record->new_image : "", edits ? " into " : "", edits ? place : "", record->kept);
        if (invocation_flag(task->invocation, "dry-run")) {
                printf("%s\n", what);
                return 1;
        }
        return confirm(what, NULL, invocation_flag(task->invocation, "yes"), "--yes", err);
}

int upgrade_prepare(UpgradeTask *task, const char *service, Error **err)
{
        UpgradeRecord *record = &task->record;
        int r = find_old(task, service, err);

        if (r >= 0)
                r = check_majors(task, err);
        if (r >= 0)
                r = find_volume_key(task, err);
        if (r >= 0)
                r = choose_images(task, service, err);
        if (r >= 0)
                r = check_space(task, err);
        if (r < 0)
                return r;
        record->kept = xasprintf("%s-upgrade-%d-%d", record->volume, record->from, record->to);
        return ask(task, err);
}
