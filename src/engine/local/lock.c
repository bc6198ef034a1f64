#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/lifecycle.h"

int container_lock(const Layout *layout, const char *id_or_name, ContainerRecord **ret, int *ret_lock, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_free_ char *path = NULL, *folder = NULL, *id = NULL;
        _cleanup_close_ int lock = -1;
        int r;

        r = container_record_find(layout, id_or_name, &record, err);
        if (r >= 0)
                r = fs_make_directories(record->run_path, 0700, err);
        if (r < 0)
                return r;
        path = path_join(record->run_path, "lock");
        r = lock_file(path, -1, &lock, err);
        if (r < 0)
                return r;
        folder = xstrdup(record->folder);
        id = xstrdup(record->id);
        container_record_free(TAKE_PTR(record));
        r = container_record_load(layout, folder, id, &record, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(record);
        *ret_lock = TAKE_FD(lock);
        return 0;
}
