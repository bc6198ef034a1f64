/* berth-receiver: receives the log of one database, given as JSON on descriptor 3:
 *   {"project", "service", "slot", "target": {"pid", "data_dir", "user", "password"?, "url"?}, "synchronous"?, "async_after_ns"?}
 * It goes into the background unless "foreground" is set, and ends with the server's process or at SIGTERM. At SIGUSR1 it ceases
 * to be a synchronous standby, until SIGUSR2. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "operate/receiver.h"
#include "state/document.h"

#define PARAMS_FD    3
#define PARAMS_LIMIT 65536

static int read_params(json_t **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r = fs_read_fd(PARAMS_FD, PARAMS_LIMIT, &text, err);

        if (r == 0)
                *ret = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        strbuf_erase(&text);
        fs_close(PARAMS_FD);
        return r < 0 || json_is_object(*ret) ? r : error_set(err, ERROR_USAGE, "the parameters are not a JSON object");
}

static void open_log(const Layout *layout, const char *project, const char *service)
{
        _cleanup_free_ char *folder = layout_data(layout, "projects/%s/logs", project);
        _cleanup_free_ char *name = xasprintf("receiver-%s.log", service);
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        fs_close(fd);
        log_open_in_folder(folder, name);
}

/* Whoever started it need not wait for it: it is told the number of the process that goes on. */
static void detach(void)
{
        pid_t pid = fork();

        if (pid > 0) {
                printf("%d\n", (int)pid);
                fflush(stdout);
                _exit(0);
        }
        setsid();
        if (chdir("/") < 0)
                log_debug("the working folder stays");
}

static int catch_signals(void)
{
        sigset_t set;

        signal(SIGPIPE, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_failure(const Error *error)
{
        log_failure(LOG_LEVEL_WARNING, error, "receive the log");
        if (error->hint)
                log_warning("%s", error->hint);
}

static ReceiverOptions read_options(const Layout *layout, const json_t *params)
{
        const json_t *target = json_object_get(params, "target");

        return (ReceiverOptions){
                .layout = layout,
                .failed = on_failure,
                .project = json_get_string(params, "project", ""),
                .service = json_get_string(params, "service", ""),
                .slot = json_get_string(params, "slot", "berth"),
                .synchronous = json_get_bool(params, "synchronous", false),
                .async_after_ns = json_get_int(params, "async_after_ns", -1),
                .target = { .pid = (pid_t)json_get_int(target, "pid", 0),
                            .data_dir = json_get_string(target, "data_dir", "/var/lib/postgresql/data"),
                            .user = json_get_string(target, "user", "postgres"),
                            .password = json_get_string(target, "password", NULL),
                            .url = json_get_string(target, "url", NULL) },
        };
}

static int run(const json_t *params, Error **err)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        ReceiverOptions options = read_options(layout, params);
        int r = layout_prepare(layout, err);

        if (r < 0)
                return r;
        if (!path_is_component(options.project) || !path_is_component(options.service))
                return error_set(err, ERROR_USAGE, "project and service are missing");
        if (!json_get_bool(params, "foreground", false)) {
                detach();
                open_log(layout, options.project, options.service);
        }
        options.signal_fd = catch_signals();
        log_info("receiving the log of %s", options.service);
        return receiver_run(&options, err);
}

int main(void)
{
        _cleanup_json_ json_t *params = NULL;
        _cleanup_error_ Error *error = NULL;
        int r;

        mallopt(M_ARENA_MAX, 1);
        unsetenv("PGAPPNAME"); /* the server knows it as a standby by its name */
        log_open(STDERR_FILENO, LOG_LEVEL_INFO, true);
        r = read_params(&params, &error);
        if (r == 0)
                r = run(params, &error);
        if (r < 0)
                log_failure(LOG_LEVEL_ERROR, error, "receiver");
        return r < 0;
}
