#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/dial.h"

/* A socket made inside a namespace stays there; the thread goes back at once. */
static int socket_inside(pid_t pid, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/ns/net", (int)pid);
        _cleanup_close_ int inside = open(path, O_RDONLY | O_CLOEXEC), here = -1, fd = -1;
        int error_number;

        here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (inside < 0 || here < 0 || setns(inside, CLONE_NEWNET) < 0)
                return error_set_errno(err, errno, "enter the network of process %d", (int)pid);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        error_number = errno;
        if (setns(here, CLONE_NEWNET) < 0)
                abort(); /* the thread would go on in the wrong network */
        return fd < 0 ? error_set_errno(err, error_number, "make a socket") : TAKE_FD(fd);
}

int local_dial(Engine *engine, const char *id, uint16_t port, int *ret_fd, Error **err)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int fd = -1;
        int r = local_running(engine, id, false, &record, err);

        if (r < 0)
                return r;
        fd = socket_inside((pid_t)record->run.pid, err);
        if (fd < 0)
                return fd;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_set_errno(err, errno, "connect to port %u inside container %s", port, record->spec->name);
        *ret_fd = TAKE_FD(fd);
        return 0;
}
