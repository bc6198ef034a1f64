#include "operate/receiver_control.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"

#define STATE_FORMAT 1
#define LOOK_NS      (10 * NSEC_PER_MSEC)
#define PAUSE_NS     (10 * NSEC_PER_SEC)
#define STOP_MS      30000 /* it files what it has */
#define KILL_MS      5000

static char *state_path(const Layout *layout, const char *project, const char *service)
{
        return layout_run(layout, "projects/%s/receivers/%s.json", project, service);
}

int64_t receiver_told_ns(const Layout *layout, const char *project, const char *service)
{
        _cleanup_free_ char *path = state_path(layout, project, service);
        struct stat status;

        return stat(path, &status) == 0 ? status.st_mtim.tv_sec * NSEC_PER_SEC + status.st_mtim.tv_nsec : 0;
}

json_t *receiver_state_load(const Layout *layout, const char *project, const char *service)
{
        _cleanup_free_ char *path = state_path(layout, project, service), *boot_id = layout_boot_id();
        _cleanup_json_ json_t *state = NULL;

        if (document_load(path, STATE_FORMAT, &state, NULL) < 0 ||
            !streq(json_get_string(state, "boot_id", ""), boot_id))
                return NULL;
        return TAKE_PTR(state);
}

/* Also one that nobody has waited for yet. */
static bool has_ended(pid_t pid)
{
        _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct pollfd item = { .fd = fd, .events = POLLIN };

        return fd < 0 || poll(&item, 1, 0) != 0;
}

pid_t receiver_state_pid(const json_t *state)
{
        pid_t pid = (pid_t)json_get_int(state, "pid", 0);
        _cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)pid);
        _cleanup_strbuf_ Strbuf name = STRBUF_INIT;

        if (pid <= 0 || fs_read_file(AT_FDCWD, path, 64, &name, NULL) < 0 ||
            !startswith(strbuf_text(&name), "berth-receiver") || has_ended(pid))
                return 0;
        return pid;
}

static bool is_asked(const json_t *state)
{
        return json_get_bool(json_object_get(state, "asked"), "synchronous", false);
}

bool receiver_was_asked(const Layout *layout, const char *project, const char *service)
{
        _cleanup_json_ json_t *state = receiver_state_load(layout, project, service);

        return is_asked(state);
}

int receiver_pause(const Layout *layout, const char *project, const char *service)
{
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + PAUSE_NS;
        bool told = false;

        do {
                _cleanup_json_ json_t *state = receiver_state_load(layout, project, service);
                pid_t pid = receiver_state_pid(state);

                if (!pid || !is_asked(state))
                        return 0;
                if (streq(json_get_string(state, "synchronous", ""), "paused"))
                        return 1;
                if (!told && kill(pid, SIGUSR1) < 0)
                        return 0;
                told = true;
                nanosleep(&pause, NULL);
        } while (clock_monotonic_ns() < until_ns);
        return 0;
}

void receiver_resume(const Layout *layout, const char *project, const char *service)
{
        _cleanup_json_ json_t *state = receiver_state_load(layout, project, service);
        pid_t pid = receiver_state_pid(state);

        if (pid && is_asked(state))
                kill(pid, SIGUSR2);
}

void receiver_await_end(const Layout *layout, const char *project, const char *service, int timeout_ms)
{
        _cleanup_json_ json_t *state = receiver_state_load(layout, project, service);
        pid_t pid = receiver_state_pid(state);
        _cleanup_close_ int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        struct pollfd item = { .fd = fd, .events = POLLIN };

        if (fd >= 0)
                poll(&item, 1, timeout_ms);
}

int receiver_stop(const Layout *layout, const char *project, const char *service, Error **err)
{
        static const struct {
                int signal, wait_ms;
        } words[] = { { SIGTERM, STOP_MS }, { SIGKILL, KILL_MS } };
        _cleanup_json_ json_t *state = receiver_state_load(layout, project, service);
        pid_t pid = receiver_state_pid(state);
        _cleanup_close_ int fd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
        struct pollfd item = { .fd = fd, .events = POLLIN };

        if (fd < 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                syscall(SYS_pidfd_send_signal, fd, words[i].signal, NULL, 0);
                if (poll(&item, 1, words[i].wait_ms) > 0)
                        return 0;
        }
        return error_set(err, ERROR_TIMEOUT, "the receiver of \"%s\" (process %d) does not end", service, (int)pid);
}
