/* Volumes: <data>/volumes/<name>/{_data/, volume.json, used, lock}. What is removed goes to <data>/trash/<time>-<name>/
 * and is kept there for seven days. A volume's name never leaves the folder. volume.json is written when the volume is
 * made and when the first container fills it; `used` is touched at every use. */
#ifndef BERTH_ENGINE_LOCAL_VOLUME_H
#define BERTH_ENGINE_LOCAL_VOLUME_H

#include "engine/engine.h"
#include "state/layout.h"

#define TRASH_KEPT_NS (7 * 86400 * INT64_C(1000000000))

typedef enum VolumeFill {
        VOLUME_UNTOUCHED,
        VOLUME_FILLING, /* the image's content is being copied; found after a crash: done again */
        VOLUME_FILLED,
} VolumeFill;

typedef struct VolumeRecord { /* volume.json */
        Arena *arena;
        char *name, *project, *key, *driver;
        char **options, **labels;
        bool anonymous;
        int64_t created_ns;
        int fill; /* VolumeFill */
        char *written_by;
        char *path; /* of the volume's folder, not kept */
} VolumeRecord;

void volume_record_free(VolumeRecord *record);
DEFINE_CLEANUP(VolumeRecord, volume_record_free);
#define _cleanup_volume_ _cleanup_(volume_record_freep)

bool volume_name_is_valid(const char *name);

/* ---- reading (engine_local_read) ---- */

int volume_record_load(const Layout *layout, const char *name, VolumeRecord **ret, Error **err);
/* Where its files are: _data, or the folder that driver_opts bind. The caller's. */
char *volume_data_path(const VolumeRecord *record);
/* Volumes in the trash, the youngest first; in_trash is set and name is the original one. */
int volume_trash_list(const Layout *layout, VolumeInfo ***ret, size_t *ret_length, Error **err);

/* ---- doing ---- */

/* Whether volume_create would refuse it: ERROR_INVALID, ERROR_UNSUPPORTED (drivers, file systems), ERROR_NOT_FOUND (a
 * folder to be bound). */
int volume_check_spec(const VolumeSpec *spec, Error **err);
int volume_create(const Layout *layout, const VolumeSpec *spec, Error **err);
int volume_remove(const Layout *layout, const char *name, bool purge, Error **err);
int volume_record_save(const VolumeRecord *record, Error **err);
/* Notes that a container has it mounted now. */
void volume_touch(const VolumeRecord *record);
/* Remembers what wrote its data: "postgres 16.9, glibc 2.36, …". */
int volume_set_written_by(const Layout *layout, const char *name, const char *text, Error **err);
/* The content of two volumes changes places, at one instant: whatever dies meanwhile, each name has one or the other.
 * No container may use them. ERROR_UNSUPPORTED where the file system cannot do that. */
int volume_exchange(const Layout *layout, const char *one, const char *other, Error **err);
/* Brings the youngest removed volume of that name back. ERROR_EXISTS where there is one by that name again. */
int volume_restore(const Layout *layout, const char *name, Error **err);
/* Deletes from the trash what was removed more than max_age_ns ago, once that has been found so for a day of running: a clock that
 * leaps is not believed at once. 0: everything, at once. *ret_freed may be NULL. */
int volume_trash_empty(const Layout *layout, int64_t max_age_ns, uint64_t *ret_freed, Error **err);

#endif
