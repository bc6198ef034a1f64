#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/monitor.h"

/* conmon reads lines "TYPE ROWS COLUMNS" from <bundle>/ctl: 1 sets the terminal's size, 2 opens the logs again. */
static int tell_monitor(const ContainerRecord *record, int type, int rows, int columns, Error **err)
{
        _cleanup_free_ char *path = path_join(record->run_path, "bundle/ctl"), *line = NULL;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

        line = xasprintf("%d %d %d\n", type, rows, columns);
        if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
                return error_set_errno(err, errno, "tell the monitor of container %s", record->spec->name);
        return 0;
}

int monitor_reopen_log(const ContainerRecord *record, Error **err)
{
        return tell_monitor(record, 2, 0, 0, err);
}

int monitor_resize(const ContainerRecord *record, int rows, int columns, Error **err)
{
        return tell_monitor(record, 1, rows, columns, err);
}
