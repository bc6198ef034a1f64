#include "postgres/entrypoint/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/directories.h"
#include "postgres/entrypoint/messages.h"

/* In case an event of the file system is lost. */
#define LOOK_AGAIN_MS               100
#define FIRST_MAJOR_WITH_STRATEGIES 15
#define NAME_LIMIT                  63 /* longer ones are cut by the server, with a notice */

/* Lines of postmaster.pid, counted from 0. */
enum { PIDFILE_PID = 0, PIDFILE_STATUS = 7 };

static int make_socket_dir(char **ret, Error **err)
{
        /* Short: the path of a socket may have 107 bytes. */
        _cleanup_free_ char *path = xasprintf(SOCKET_DIR "/.init-%d", (int)getpid());

        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
                free_and_replace(&path, xasprintf("/tmp/.init-%d", (int)getpid()));
                if (mkdir(path, 0700) < 0 && errno != EEXIST)
                        return error_set_errno(err, errno,
                                               "make a folder for the temporary server's socket in %s or /tmp",
                                               SOCKET_DIR);
        }
        *ret = TAKE_PTR(path);
        return 0;
}

static char *pidfile_line(const char *data_dir, size_t number)
{
        _cleanup_free_ char *path = path_join(data_dir, "postmaster.pid");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return NULL;
        lines = strv_split(strbuf_text(&text), '\n');
        return number < strv_length(lines) ? xstrdup(lines[number]) : NULL;
}

static pid_t pidfile_pid(const char *data_dir)
{
        _cleanup_free_ char *line = pidfile_line(data_dir, PIDFILE_PID);
        int64_t pid;

        return line && parse_int64(line, 2, INT32_MAX, &pid) ? (pid_t)pid : 0;
}

static bool is_ready(const TemporaryServer *server)
{
        _cleanup_free_ char *status = NULL;

        if (pidfile_pid(server->data_dir) != server->process.pid)
                return false;
        status = pidfile_line(server->data_dir, PIDFILE_STATUS);
        return status && startswith(status, "ready");
}

static void drain(int fd)
{
        char events[4096];

        while (fd >= 0 && read(fd, events, sizeof(events)) > 0)
                ;
}

static int wait_until_ready(TemporaryServer *server, int *ret_status, Error **err)
{
        _cleanup_close_ int watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (watch_fd >= 0)
                inotify_add_watch(watch_fd, server->data_dir, IN_CREATE | IN_MODIFY | IN_MOVED_TO);
        for (;;) {
                int r;

                drain(watch_fd);
                if (is_ready(server))
                        return 0;
                r = child_poll(&server->process, watch_fd, LOOK_AGAIN_MS, err);
                if (r < 0)
                        return r;
                if (r > 0) {
                        server->running = false;
                        r = process_wait(&server->process, -1, ret_status, err);
                        if (r == 0)
                                r = error_set(err, ERROR_FAILED, "the temporary server ended with exit status %d",
                                              *ret_status);
                        return error_hint(err, r, "The server's own messages above say why.");
                }
        }
}

static char **build_argv(const Settings *settings, char *const *server_args, const char *socket_dir)
{
        /* Until the first start is complete a crash throws everything away, and at its end everything is synced at
         * once: no single write need be waited for before. */
        static const char *const settings_of_ours[] = { "fsync=off", "synchronous_commit=off" };
        char **argv = strv_new("postgres", "-D", settings->data_dir, NULL);

        strv_add_all(&argv, server_args);
        for (size_t i = 0; i < ARRAY_SIZE(settings_of_ours); i++) {
                strv_add(&argv, "-c");
                strv_add(&argv, settings_of_ours[i]);
        }
        strv_add(&argv, "-c");
        strv_add(&argv, "listen_addresses=");
        strv_add(&argv, "-c");
        strv_addf(&argv, "unix_socket_directories=%s", socket_dir);
        strv_add(&argv, "-p");
        strv_add(&argv, settings->port);
        return argv;
}

/* A script may restart the server by itself, with the usual socket: clients then find that one. */
static char **client_environment(const Settings *settings, const char *socket_dir)
{
        _cleanup_free_ char *host = xasprintf("%s," SOCKET_DIR, socket_dir);
        char **environment = strv_copy(environ);
        const char *password = getenv("PGPASSWORD");

        strv_env_set(&environment, "PGHOST", host);
        strv_env_set(&environment, "PGHOSTADDR", "");
        strv_env_set(&environment, "PGPASSWORD", isempty(password) ? settings->password : password);
        strv_env_set(&environment, "BERTH_INIT_HOST", host);
        return environment;
}

/* A line is a statement. */
static char *create_statement(const char *name, bool as_files)
{
        Strbuf text = STRBUF_INIT;

        strbuf_adds(&text, "CREATE DATABASE \"");
        for (const char *c = name; *c; c++)
                strbuf_addf(&text, *c == '"' ? "\"\"" : "%c", *c);
        strbuf_adds(&text, as_files ? "\" STRATEGY file_copy\n" : "\"\n");
        return strbuf_take(&text);
}

int server_create_database(const Settings *settings, int *ret_status, Error **err)
{
        static const char *const there[] = { "postgres", "template0", "template1" };
        const char *name = settings->database;
        _cleanup_strv_ char **argv = NULL;
        _cleanup_free_ char *statement = NULL;
        _cleanup_close_ int fd = -1;
        Process process;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(there); i++)
                if (streq(name, there[i]))
                        return 0;
        if (strpbrk(name, "\n\r") || strlen(name) > NAME_LIMIT)
                return error_set(err, ERROR_UNSUPPORTED, "the database's name is not for one line");
        /* Before 15 there is one way only, and it is this. What it copies need not go through the log as well. */
        statement = create_statement(name, settings->major >= FIRST_MAJOR_WITH_STRATEGIES);
        fd = fs_memory_file("sql", statement, strlen(statement), err);
        if (fd < 0)
                return fd;
        argv = strv_new("postgres", "--single", "-D", settings->data_dir, "-c", "fsync=off", "-c", "exit_on_error=on",
                        "postgres", NULL);
        r = child_start(argv, NULL, fd, -1, -1, &process, err);
        if (r == 0)
                r = child_wait(&process, ret_status, err);
        if (r == 0 && *ret_status != 0)
                r = error_set(err, ERROR_FAILED, "creating the database ended with exit status %d", *ret_status);
        if (r == 0)
                say("CREATE DATABASE\n\n");
        return r;
}

int server_start(const Settings *settings, char *const *server_args, TemporaryServer *ret, int *ret_status, Error **err)
{
        _cleanup_server_ TemporaryServer server = { .process = { .pidfd = -1 } };
        _cleanup_strv_ char **argv = NULL, **environment = strv_copy(environ);
        int r;

        r = make_socket_dir(&server.socket_dir, err);
        if (r < 0)
                return r;
        server.data_dir = xstrdup(settings->data_dir);
        server.environment = client_environment(settings, server.socket_dir);
        argv = build_argv(settings, server_args, server.socket_dir);
        /* A supervisor must not be told that this one is the service. */
        strv_env_set(&environment, "NOTIFY_SOCKET", "");
        say("waiting for server to start....");
        r = child_start(argv, environment, -1, STDOUT_FILENO, -1, &server.process, err);
        if (r < 0)
                return r;
        server.running = true;
        r = wait_until_ready(&server, ret_status, err);
        if (r < 0) {
                say(" stopped waiting\n");
                return r;
        }
        say(" done\nserver started\n");
        *ret = server;
        server = (TemporaryServer){ .process = { .pidfd = -1 } };
        return 0;
}

/* The server of the data folder that is not our child: someone restarted it. */
static int stop_stranger(const char *data_dir, Error **err)
{
        pid_t pid = pidfile_pid(data_dir);
        Process stranger = { .pid = pid, .pidfd = -1 };
        int r = 0;

        if (pid <= 0)
                return 0;
        stranger.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (stranger.pidfd >= 0 && kill(pid, SIGINT) == 0)
                while ((r = child_poll(&stranger, -1, -1, err)) == 0)
                        ;
        if (r < 0)
                kill(pid, SIGKILL);
        fs_close(stranger.pidfd);
        return MIN(r, 0);
}

int server_stop(TemporaryServer *server, Error **err)
{
        int status = 0, r = 0;

        say("waiting for server to shut down....");
        if (server->running) {
                /* Fast: open transactions are rolled back. Where it has ended already, this reaps it. */
                kill(server->process.pid, SIGINT);
                r = child_wait(&server->process, &status, err);
                server->running = false;
        }
        if (r == 0)
                r = stop_stranger(server->data_dir, err);
        if (r == 0 && status != 0)
                r = error_set(err, ERROR_FAILED, "the temporary server ended with exit status %d", status);
        if (r == 0)
                say(" done\nserver stopped\n");
        return r;
}

void server_done(TemporaryServer *server)
{
        if (server->running)
                child_kill(&server->process);
        if (server->socket_dir)
                fs_remove_tree(AT_FDCWD, server->socket_dir, NULL);
        free(server->data_dir);
        free(server->socket_dir);
        strv_free(server->environment);
        *server = (TemporaryServer){ .process = { .pidfd = -1 } };
}
