#include "engine/local/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "base/vector.h"

static bool is_ipv6(const HeldPort *port)
{
        return strchr(port->host_ip, ':') != NULL;
}

typedef VECTOR(int) Fds;

/* Arguments: the container's folder (for people who look at processes), the target's address, then for each descriptor
 * from 4 on "tcp:5432". 3 is the pipe to watch. */
static char **relay_arguments(const Layout *layout, const RelayTarget *target, const HeldPorts *ports, int watch_fd,
                              Fds *fds)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-relay");
        char **argv = strv_new(program, target->directory, target->address, NULL);

        vector_add(fds, watch_fd);
        for (size_t i = 0; i < ports->length; i++) {
                const HeldPort *port = &ports->items[i];

                if (!is_ipv6(port))
                        continue;
                strv_addf(&argv, "%s:%u", port->udp ? "udp" : "tcp", port->container_port);
                vector_add(fds, port->fd);
        }
        vector_add(fds, -1);
        return argv;
}

static int run_relay(char **argv, const Fds *fds, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        int r;

        run.spec.argv = argv;
        run.spec.keep_fds = fds->items;
        run.spec.new_session = true;
        run.timeout_ms = 10000;
        r = process_run_checked(&run, &result, err); /* it goes on by itself after its first process has ended */
        return error_prefix(err, r, "start the relay for IPv6");
}

int relay_start(const Layout *layout, const RelayTarget *target, HeldPorts *ports, int *ret_fd, Error **err)
{
        _cleanup_close_ int watch_read = -1, watch_write = -1;
        _cleanup_strv_ char **argv = NULL;
        Fds fds = { 0 };
        int pipe_fds[2], r;

        *ret_fd = -1;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        watch_read = pipe_fds[0];
        watch_write = pipe_fds[1];
        argv = relay_arguments(layout, target, ports, watch_read, &fds);
        r = fds.length > 2 ? run_relay(argv, &fds, err) : 0;
        if (r == 0 && fds.length > 2) {
                *ret_fd = TAKE_FD(watch_write);
                VECTOR_FOREACH(port, ports)
                        if (is_ipv6(port))
                                port->fd = fs_close(port->fd);
        }
        vector_done(&fds);
        return r;
}
