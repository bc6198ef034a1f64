#include "keeper/readiness.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "deploy/spec.h"

#define DEFAULT_FOLDER "/var/lib/postgresql/data"
#define MAX_BYTES      4096

char *readiness_path(const ContainerInfo *info)
{
        const ContainerSpec *spec = info->spec;
        const char *folder = spec ? strv_env_get(spec->environment, "PGDATA") : NULL;

        if (!spec || info->pid <= 0 || !strv_env_get(spec->annotations, ANNOTATION_DATABASE))
                return NULL;
        if (!folder || *folder != '/')
                folder = DEFAULT_FOLDER;
        return xasprintf("%d:%s/postmaster.pid", (int)info->pid, folder);
}

bool readiness_in_text(const char *text)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');
        bool is_first_process, listens;

        if (strv_length(lines) < 8 || !startswith(lines[7], "ready"))
                return false;
        is_first_process = streq(lines[0], "1");
        listens = lines[5][0] != '\0';
        return is_first_process || listens;
}

/* The container owns what lies there: links are followed within its root only, and what is no plain file is not read. */
static int open_in_root(const char *pid, const char *path)
{
        const struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                                      .resolve = RESOLVE_IN_ROOT };
        _cleanup_free_ char *root = xasprintf("/proc/%s/root", pid);
        _cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return root_fd < 0 ? -1 : (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

bool readiness_reached(const char *path)
{
        _cleanup_free_ char *copy = xstrdup(path);
        char *colon = strchr(copy, ':'), text[MAX_BYTES + 1];
        _cleanup_close_ int fd = -1;
        struct stat status;
        ssize_t n;

        *colon = '\0';
        fd = open_in_root(copy, colon + 1);
        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return false;
        n = read(fd, text, MAX_BYTES);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return readiness_in_text(text);
}
