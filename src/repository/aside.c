#include "repository/aside.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define TIME_FORM "%Y%m%dT%H%M%SZ"

char *aside_name(void)
{
        time_t seconds = (time_t)(clock_realtime_ns() / NSEC_PER_SEC);
        char text[32];
        struct tm utc;

        gmtime_r(&seconds, &utc);
        strftime(text, sizeof(text), TIME_FORM, &utc);
        return xasprintf(REPOSITORY_ASIDE "/%s", text);
}

int aside_prune(const char *path, int64_t now_ns, uint64_t *removed, uint64_t *freed_bytes, Error **err)
{
        _cleanup_free_ char *folder = path_join(path, REPOSITORY_ASIDE);
        _cleanup_strv_ char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *kept = path_join(folder, *name);
                struct tm utc = { 0 };
                const char *rest = strptime(*name, TIME_FORM, &utc);
                uint64_t bytes;
                int r;

                if (!rest || *rest || now_ns - (int64_t)timegm(&utc) * NSEC_PER_SEC < ASIDE_KEPT_NS)
                        continue;
                bytes = fs_disk_usage(kept);
                r = fs_remove_tree(AT_FDCWD, kept, err);
                if (r < 0)
                        return r;
                *removed += 1;
                *freed_bytes += bytes;
        }
        rmdir(folder); /* where it is empty */
        return 0;
}
