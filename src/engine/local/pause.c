#include "base/fs.h"
#include "engine/local/lifecycle.h"

int local_container_pause(Engine *engine, const char *id, bool pause, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int lock = -1;
        ContainerState state;
        int r = container_lock(engine_layout(engine), id, &record, &lock, err);

        if (r < 0)
                return r;
        state = container_record_state(record);
        if (state != CONTAINER_RUNNING && state != CONTAINER_PAUSED)
                return error_set(err, ERROR_CONFLICT, "container %s is not running", record->spec->name);
        r = cgroup_freeze(record->run.cgroup, pause, err);
        if (r < 0)
                return error_prefix(err, r, "%s container %s", pause ? "pause" : "unpause", record->spec->name);
        record->run.paused = pause;
        return container_record_save_run(record, err);
}
