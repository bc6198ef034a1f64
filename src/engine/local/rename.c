#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/lifecycle.h"

int local_container_rename(Engine *engine, const char *id, const char *name, Error **err)
{
        const Layout *layout = engine_layout(engine);
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_free_ char *old = NULL, *lock_path = layout_run(layout, "names.lock");
        _cleanup_close_ int lock = -1, names = -1;
        int r;

        if (!container_name_is_valid(name))
                return error_set(err, ERROR_INVALID, "\"%s\" is not a container's name", name);
        r = container_lock(layout, id, &record, &lock, err);
        if (r < 0 || streq(record->spec->name, name))
                return r;
        r = lock_file(lock_path, -1, &names, err);
        if (r >= 0)
                r = container_name_claim(layout, name, record->folder, record->id, err);
        if (r < 0)
                return r;
        old = xstrdup(record->spec->name);
        record->spec->name = arena_strdup(record->spec->arena, name);
        r = container_record_save(record, err);
        container_name_release(layout, r < 0 ? name : old, record->id);
        return r;
}

int local_container_note(Engine *engine, const char *id, const char *health, int64_t restart_count, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        record->health = arena_strdup(record->arena, health);
        record->restart_count = restart_count;
        return container_record_save_note(record, err);
}
