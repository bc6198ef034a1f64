#include "net/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "base/mem.h"

int socket_path_prepare(const char *path, struct sockaddr_un *ret, int *ret_folder_fd, Error **err)
{
        _cleanup_free_ char *folder = NULL;
        int n;

        *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
        *ret_folder_fd = -1;
        if (strlen(path) < sizeof(ret->sun_path)) {
                memcpy(ret->sun_path, path, strlen(path) + 1);
                return 0;
        }
        folder = path_dirname(path);
        *ret_folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (*ret_folder_fd < 0 && errno == ENOENT)
                return error_set(err, ERROR_NOT_FOUND, "nobody listens at %s", path);
        if (*ret_folder_fd < 0)
                return error_set_errno(err, errno, "open %s", folder);
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *ret_folder_fd, path_basename(path));
        if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
                return error_set(err, ERROR_INVALID, "the socket's name in %s is too long", path);
        return 0;
}
