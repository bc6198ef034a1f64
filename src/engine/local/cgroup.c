#include <sys/vfs.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/private.h"

#define CGROUP_ROOT   "/sys/fs/cgroup"
#define CGROUP2_MAGIC 0x63677270

bool cgroup_is_v2(void)
{
        struct statfs status;

        return statfs(CGROUP_ROOT, &status) == 0 && (unsigned long)status.f_type == CGROUP2_MAGIC;
}

int cgroup_check(Error **err)
{
        int r;

        if (cgroup_is_v2() || fs_is_directory(CGROUP_ROOT "/pids") || fs_is_directory(CGROUP_ROOT "/memory"))
                return 0;
        r = error_set(err, ERROR_UNAVAILABLE, "no cgroups are mounted at " CGROUP_ROOT);
        return error_hint(
                err, r, "Containers need them: `mount -t cgroup2 none " CGROUP_ROOT "`, which systemd does by itself.");
}

char *cgroup_path(const char *controller, const char *cgroup)
{
        _cleanup_free_ char *root = NULL;

        if (cgroup_is_v2())
                return xasprintf(CGROUP_ROOT "%s", cgroup);
        root = path_join(CGROUP_ROOT, controller);
        return fs_is_directory(root) ? xasprintf("%s%s", root, cgroup) : NULL;
}
