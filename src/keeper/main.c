/* berth-keeper: `run PROJECT` supervises a project; the other verbs are machine.h's. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/process.h"
#include "engine/local/local.h"
#include "keeper/keeper.h"
#include "keeper/local_parts.h"
#include "keeper/machine.h"
#include "state/document.h"

#define MAX_THREADS 96 /* probes that hang must not keep commands from their work */

typedef struct Arguments {
        const char *verb, *project;
        int ready_fd;
        bool at_boot, foreground;
} Arguments;

static const struct {
        const char *name;
        bool with_project, without_project;
} verbs[] = {
        { "run", true, false },
        { "revive", true, false },
        { "boot", false, true },
        { "halt", true, true },
};

static bool parse_arguments(int argc, char **argv, Arguments *ret)
{
        *ret = (Arguments){ .ready_fd = -1 };
        for (int i = 1; i < argc; i++) {
                const char *fd = startswith(argv[i], "--ready-fd=");
                int64_t number;
                if (fd && parse_int64(fd, 3, 1024, &number))
                        ret->ready_fd = (int)number;
                else if (streq(argv[i], "--boot"))
                        ret->at_boot = true;
                else if (streq(argv[i], "--foreground"))
                        ret->foreground = true;
                else if (*argv[i] == '-')
                        return false;
                else if (!ret->verb)
                        ret->verb = argv[i];
                else if (!ret->project)
                        ret->project = argv[i];
                else
                        return false;
        }
        if (!ret->verb)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq(ret->verb, verbs[i].name))
                        return ret->project ? verbs[i].with_project : verbs[i].without_project;
        return false;
}

/* ---- run ---- */

static void say(int ready_fd, const char *text)
{
        if (ready_fd >= 0 && write(ready_fd, text, strlen(text)) < 0)
                log_debug("whoever started the keeper has gone");
}

static void say_error(int ready_fd, const Error *error)
{
        _cleanup_json_ json_t *object = json_from_error(error);
        _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);
        _cleanup_free_ char *line = xasprintf("%s\n", text);

        say(ready_fd, line);
        log_failure(LOG_LEVEL_ERROR, error, "keeper");
}

/* The keeper's own log; a long one makes way once. */
static void open_log(const Layout *layout, const char *project)
{
        _cleanup_free_ char *folder = layout_data(layout, "projects/%s/logs", project);

        log_open_in_folder(folder, "keeper.log");
}

/* The first process ends at once: whoever started the keeper need not wait for it ever again. */
static int detach(void)
{
        pid_t pid = fork();

        if (pid < 0)
                return -1;
        if (pid > 0)
                _exit(0);
        setsid();
        return 0;
}

static void on_terminate(void *context, int signal_number)
{
        Keeper *keeper = context;

        log_info("signal %d: ending; containers go on", signal_number);
        keeper->quitting = true;
        keeper_check_idle(keeper);
}

static int serve(const Layout *layout, const Arguments *arguments, bool *ret_reexec, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "projects/%s/keeper.sock", arguments->project);
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(engine_freep) Engine *engine = NULL;
        _cleanup_(thread_pool_freep) ThreadPool *pool = NULL;
        _cleanup_(keeper_freep) Keeper *keeper = NULL;
        KeeperParts parts = { .layout = layout, .watch_fd = -1 };
        int r;

        r = loop_create(NULL, &loop, err);
        if (r < 0)
                return r;
        r = local_parts_fill(&parts, &engine, err);
        if (r < 0)
                return r;
        pool = thread_pool_create(loop, MAX_THREADS);
        parts.loop = loop;
        parts.pool = pool;
        r = keeper_create(&parts, arguments->project, &keeper, err);
        if (r >= 0)
                r = loop_add_signal(loop, SIGTERM, on_terminate, keeper, err);
        if (r >= 0)
                r = loop_add_signal(loop, SIGINT, on_terminate, keeper, err);
        if (r >= 0)
                r = keeper_listen(keeper, path, err);
        if (r < 0)
                return r;
        say(arguments->ready_fd, "ready\n");
        fs_close(arguments->ready_fd);
        keeper_begin(keeper, arguments->at_boot);
        r = loop_run(loop, err);
        *ret_reexec = keeper->reexec;
        return r;
}

/* In its own place: same process, same lock, the installed program. */
static void run_installed(const Layout *layout, const char *project, int lock_fd)
{
        _cleanup_free_ char *program = layout_libexec(layout, "berth-keeper");
        char *argv[] = { program, (char *)"run", (char *)project, (char *)"--foreground", NULL };
        sigset_t none;

        log_info("running %s in place of this keeper", program);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        fs_close(lock_fd); /* taken again by the new program */
        execv(program, argv);
        log_error("run %s: %s", program, strerror(errno));
}

static int run(const Layout *layout, const Arguments *arguments)
{
        _cleanup_free_ char *folder = layout_run(layout, "projects/%s", arguments->project);
        _cleanup_free_ char *lock_path = path_join(folder, "keeper.lock"), *pid_path = path_join(folder, "keeper.pid");
        _cleanup_free_ char *pid_text = NULL;
        _cleanup_close_ int lock_fd = -1;
        _cleanup_error_ Error *error = NULL;
        bool reexec = false;
        int r;

        if (!arguments->foreground && detach() < 0)
                return 1;
        r = layout_prepare(layout, &error);
        if (r >= 0)
                r = fs_make_directories(folder, 0711, &error);
        if (r >= 0)
                r = lock_file(lock_path, arguments->foreground ? 5000 : 0, &lock_fd, &error);
        if (r == -ERROR_CONFLICT) {
                say(arguments->ready_fd, "busy\n");
                error_free(TAKE_PTR(error));
                if (arguments->at_boot && machine_boot_under(layout, arguments->project, &error) < 0)
                        log_failure(LOG_LEVEL_ERROR, error, "project \"%s\"", arguments->project);
                return 0;
        }
        if (r >= 0) {
                open_log(layout, arguments->project);
                local_parts_leave_cgroups();
                pid_text = xasprintf("%d\n", (int)getpid());
                fs_rewrite_in_place(AT_FDCWD, pid_path, pid_text, strlen(pid_text), 0600, NULL);
                r = serve(layout, arguments, &reexec, &error);
        }
        if (r < 0) {
                say_error(arguments->ready_fd, error);
                return 1;
        }
        unlink(pid_path);
        if (reexec)
                run_installed(layout, arguments->project, TAKE_FD(lock_fd));
        return 0;
}

int main(int argc, char **argv)
{
        _cleanup_(layout_freep) Layout *layout = NULL;
        _cleanup_error_ Error *error = NULL;
        Arguments arguments;
        int r = 0;

        mallopt(M_ARENA_MAX, 2); /* many threads that mostly wait: an arena each would cost more than it saves */
        signal(SIGPIPE, SIG_IGN);
        log_open(STDERR_FILENO, LOG_LEVEL_INFO, true);
        layout = layout_create();
        if (!parse_arguments(argc, argv, &arguments)) {
                fprintf(stderr, "usage: berth-keeper run PROJECT [--boot] | revive PROJECT | boot | halt [PROJECT]\n");
                return 2;
        }
        if (arguments.project && !layout_project_name_is_valid(arguments.project)) {
                fprintf(stderr, "berth-keeper: \"%s\" is no project name\n", arguments.project);
                return 2;
        }
        if (streq(arguments.verb, "run"))
                return run(layout, &arguments);
        r = streq(arguments.verb, "boot")   ? machine_boot(layout, &error)
            : streq(arguments.verb, "halt") ? machine_halt(layout, arguments.project, &error)
                                            : machine_revive(layout, arguments.project, &error);
        if (r < 0) {
                log_failure(LOG_LEVEL_ERROR, error, "%s", arguments.verb);
                return 1;
        }
        return 0;
}
