/* conmon's attach socket is a SOCK_SEQPACKET one: what it sends begins with a byte for the stream (2: output, 3:
 * errors), what it gets is the input as it is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "engine/local/monitor.h"
#include "engine/local/private.h"
#include "engine/local/terminal.h"

#define PACKET_SIZE   32768
#define START_WAIT_MS 60000
#define DETACH_FIRST  16 /* ctrl-p */
#define DETACH_SECOND 17 /* ctrl-q */

typedef struct Attachment {
        const ContainerRecord *record;
        const ExecSpec *spec;
        Terminal terminal;
        int socket;
        bool input_open, half_detached, detached;
} Attachment;

static int connect_socket(const ContainerRecord *record)
{
        _cleanup_free_ char *folder = path_join(record->run_path, "bundle");
        _cleanup_close_ int directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        /* By descriptor: the path is longer than an address may be. */
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/attach", directory);
        if (directory < 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        return TAKE_FD(fd);
}

/* A container that is not started yet: a lock on this file makes its start wait until we are connected, so that no
 * output is missed. */
static int wait_for_start(ContainerRecord *record, int *ret_socket, Error **err)
{
        const struct timespec pause = { .tv_nsec = 2 * NSEC_PER_MSEC };
        _cleanup_free_ char *path = path_join(record->run_path, "attaching");
        _cleanup_close_ int lock = -1;
        int64_t deadline = clock_monotonic_ns() + START_WAIT_MS * NSEC_PER_MSEC;
        int r = fs_make_directories(record->run_path, 0700, err);

        if (r >= 0)
                r = lock_file(path, 1000, &lock, err);
        if (r < 0)
                return r;
        do {
                *ret_socket = connect_socket(record);
                if (*ret_socket < 0)
                        nanosleep(&pause, NULL);
        } while (*ret_socket < 0 && clock_monotonic_ns() < deadline);
        unlink(path);
        return *ret_socket < 0 ? error_set(err, ERROR_TIMEOUT, "container %s was not started", record->spec->name) : 0;
}

static int resize(Attachment *attachment)
{
        struct signalfd_siginfo info;
        int rows, columns;

        while (attachment->terminal.resize_fd >= 0 && read(attachment->terminal.resize_fd, &info, sizeof(info)) > 0)
                ;
        if (terminal_size(&attachment->terminal, &rows, &columns))
                return monitor_resize(attachment->record, rows, columns, NULL);
        return 0;
}

/* True where the keys were typed; what comes before them is still sent. */
static bool sees_detach_keys(Attachment *attachment, const char *data, size_t size)
{
        for (size_t i = 0; i < size && attachment->terminal.fd >= 0; i++) {
                if (attachment->half_detached && data[i] == DETACH_SECOND)
                        return true;
                attachment->half_detached = data[i] == DETACH_FIRST;
        }
        return false;
}

static void pass_input(Attachment *attachment)
{
        char data[PACKET_SIZE / 2];
        ssize_t n = read(attachment->spec->stdin_fd, data, sizeof(data));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return;
        if (n <= 0) {
                attachment->input_open = false;
                shutdown(attachment->socket, SHUT_WR);
                return;
        }
        attachment->detached = sees_detach_keys(attachment, data, (size_t)n);
        if (!attachment->detached && send(attachment->socket, data, (size_t)n, MSG_NOSIGNAL) < 0)
                attachment->input_open = false;
}

/* False at its end. */
static bool pass_output(Attachment *attachment)
{
        char packet[PACKET_SIZE];
        ssize_t n = recv(attachment->socket, packet, sizeof(packet), 0);
        int fd;

        if (n < 0 && errno == EINTR)
                return true;
        if (n <= 0)
                return false;
        fd = packet[0] == 3 ? attachment->spec->stderr_fd : attachment->spec->stdout_fd;
        if (fd >= 0 && n > 1)
                fs_write_all(fd, packet + 1, (size_t)n - 1, NULL);
        return true;
}

enum { SOCKET, INPUT, RESIZE, N_POLLERS };

static void converse(Attachment *attachment)
{
        struct pollfd pollers[N_POLLERS] = { { attachment->socket, POLLIN, 0 },
                                             { -1, POLLIN, 0 },
                                             { attachment->terminal.resize_fd, POLLIN, 0 } };

        for (bool open = true; open && !attachment->detached;) {
                pollers[INPUT].fd = attachment->input_open ? attachment->spec->stdin_fd : -1;
                if (poll(pollers, N_POLLERS, -1) < 0 && errno != EINTR)
                        return;
                if (pollers[SOCKET].revents)
                        open = pass_output(attachment);
                if (pollers[INPUT].fd >= 0 && pollers[INPUT].revents)
                        pass_input(attachment);
                if (pollers[RESIZE].fd >= 0 && pollers[RESIZE].revents)
                        resize(attachment);
        }
}

static int exit_code_of(Engine *engine, const char *id)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_close_ int end = -1;
        struct pollfd poller = { .events = POLLIN };

        /* The output ends a moment before the process. */
        if (engine->operations->container_exit_fd(engine, id, &end, NULL) >= 0) {
                poller.fd = end;
                poll(&poller, 1, 10000);
        }
        return engine->operations->container_inspect(engine, id, &info, NULL) < 0 ? 0 : info->exit_code;
}

int local_attach(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_close_ int socket_fd = -1;
        Attachment attachment = { .spec = spec };
        ContainerState state;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        state = container_record_state(record);
        if (state == CONTAINER_EXITED)
                return error_set(err, ERROR_CONFLICT, "container %s is not running", record->spec->name);
        if (state == CONTAINER_CREATED)
                r = wait_for_start(record, &socket_fd, err);
        else if ((socket_fd = connect_socket(record)) < 0)
                r = error_set_errno(err, errno, "attach to container %s", record->spec->name);
        if (r < 0)
                return r;
        attachment.record = record;
        attachment.socket = socket_fd;
        attachment.input_open = spec->stdin_fd >= 0 && record->spec->open_stdin;
        terminal_open(spec->tty ? spec->stdin_fd : -1, &attachment.terminal);
        resize(&attachment);
        converse(&attachment);
        terminal_close(&attachment.terminal);
        *ret_exit_code = attachment.detached ? 0 : exit_code_of(engine, record->id);
        return 0;
}
