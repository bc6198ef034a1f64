#include "engine/local/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

int sysctl_write(const char *name, const char *value, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/proc/sys/%s", name);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        int r;

        if (fd < 0 || write(fd, value, strlen(value)) < 0) {
                r = error_set_errno(err, errno, "set %s to %s", path, value);
                return errno == EROFS ? error_hint(err, r, "/proc/sys is mounted read-only here.") : r;
        }
        return 0;
}

char *sysctl_read(const char *name)
{
        _cleanup_free_ char *path = xasprintf("/proc/sys/%s", name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
                return NULL;
        while (text.length > 0 && text.data[text.length - 1] == '\n')
                strbuf_truncate(&text, text.length - 1);
        return strbuf_take(&text);
}

int sysctl_ensure(const char *name, const char *value, Error **err)
{
        _cleanup_free_ char *present = sysctl_read(name);

        return streq_ptr(present, value) ? 0 : sysctl_write(name, value, err);
}
