#include "operate/migration.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "compose/xsecurity.h"
#include "operate/login.h"
#include "operate/secret_source.h"
#include "state/document.h"

/* keep_fds puts them there. */
#define PASSWORD_FD      "3"
#define ROLE_PASSWORD_FD "4"

char *migration_program(const Layout *layout)
{
        return layout_libexec(layout, "berth-migrate");
}

static char *absolute(const char *folder)
{
        _cleanup_free_ char *working = getcwd(NULL, 0);

        return path_clean(working ? working : "/", folder ? folder : ".");
}

/* The first of the usual places that exists; NULL. */
static char *find_usual(const char *root, const char *name)
{
        static const char *const parents[] = { "", "database/", "db/" };

        for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s%s", root, parents[i], name);
                if (fs_is_directory(path))
                        return TAKE_PTR(path);
        }
        return NULL;
}

int migration_find_folder(const char *project_folder, const XBerth *settings, bool make, char **ret, Error **err)
{
        _cleanup_free_ char *root = absolute(project_folder);
        int r;

        *ret = settings->migrations_path ? path_clean(root, settings->migrations_path) : find_usual(root, "migrations");
        if (*ret)
                return 0;
        if (make) {
                *ret = path_join(root, "migrations");
                return 0;
        }
        r = error_set(err, ERROR_NOT_FOUND,
                      "no folder of migrations: neither migrations nor database/migrations is in %s", root);
        return error_hint(err, r,
                          "Name it: x-berth: {migrations: {path: FOLDER}}; or make one: berth migrate create NAME.");
}

char *migration_find_seeds(const char *project_folder, const XBerth *settings)
{
        _cleanup_free_ char *root = absolute(project_folder);

        return settings->seed_path ? path_clean(root, settings->seed_path) : find_usual(root, "seeds");
}

/* Its strings live as long as the project; name NULL: there is none. */
static XRole find_owner(const Project *project, const Service *service)
{
        const char *user = service ? key_values_get(&service->environment, "POSTGRES_USER") : NULL,
                   *database = service ? key_values_get(&service->environment, "POSTGRES_DB") : NULL;
        XSecurity wanted;

        if (!service)
                return (XRole){ 0 };
        if (isempty(database))
                database = isempty(user) ? "postgres" : user;
        x_security_read(project, service, &wanted);
        for (size_t i = 0; i < wanted.n_roles; i++) {
                const XRole *role = &wanted.roles[i];
                if (role->kind == X_ROLE_OWNER && (!role->databases || strv_contains(role->databases, database)))
                        return *role;
        }
        return (XRole){ 0 };
}

const char *migration_role(const Project *project, const Service *service)
{
        return find_owner(project, service).name;
}

char *migration_role_password(const Project *project, const Service *service)
{
        XRole owner = find_owner(project, service);
        const FileSource *secret = owner.secret ? project_find_secret(project, owner.secret) : NULL;
        char *password = NULL;

        if (secret)
                secret_source_read(secret, &password, NULL);
        return password;
}

/* Everything but letters, digits and -._~ as %XX. */
static void add_encoded(Strbuf *url, const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

        for (; *text; text++) {
                if (strchr(plain, *text))
                        strbuf_addc(url, *text);
                else
                        strbuf_addf(url, "%%%02X", (unsigned char)*text);
        }
}

static char *database_url(const DatabaseLogin *login, const XBerth *settings)
{
        _cleanup_strbuf_ Strbuf url = STRBUF_INIT;

        strbuf_adds(&url, "postgres://");
        add_encoded(&url, login->user);
        strbuf_addf(&url, "@127.0.0.1:%s/", login->port);
        add_encoded(&url, login->database);
        strbuf_adds(&url, "?sslmode=prefer");
        if (settings->migrations_table) {
                strbuf_adds(&url, "&x-migrations-table=");
                add_encoded(&url, settings->migrations_table);
        }
        return strbuf_take(&url);
}

/* What only looks may do so as the superuser, and changes nothing. */
static bool writes(char *const *arguments)
{
        static const char *const verbs[] = { "up", "down", "goto", "force", "drop", "seed" };
        bool found = false;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                found |= arguments[0] && streq(arguments[0], verbs[i]);
        STRV_FOREACH(argument, arguments)
                if (streq(*argument, "-dry-run") || streq(*argument, "--dry-run"))
                        found = false;
        return found;
}

static char **arguments_of(const MigrationCommand *command, const DatabaseLogin *login)
{
        _cleanup_free_ char *program = migration_program(command->layout);
        _cleanup_free_ char *url = database_url(login, command->settings);
        char **argv = strv_new(program, "-database", url, "-history", NULL);

        if (command->folder) {
                strv_add(&argv, "-path");
                strv_add(&argv, command->folder);
        }
        if (*login->password) {
                strv_add(&argv, "-password-fd");
                strv_add(&argv, PASSWORD_FD);
        }
        if (command->role && writes(command->arguments)) {
                strv_add(&argv, "-role");
                strv_add(&argv, command->role);
                if (command->role_password) {
                        strv_add(&argv, "-role-password-fd");
                        strv_add(&argv, ROLE_PASSWORD_FD);
                }
        }
        if (command->json) {
                strv_add(&argv, "-format");
                strv_add(&argv, "json");
        }
        if (command->settings->migrations_lock_timeout_ns >= 0) {
                strv_add(&argv, "-lock-timeout");
                strv_addf(
                        &argv, "%lld",
                        (long long)((command->settings->migrations_lock_timeout_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC));
        }
        strv_add_all(&argv, command->arguments);
        return argv;
}

int migration_spawn(const MigrationCommand *command, Process *ret, Error **err)
{
        _cleanup_free_ char *namespace = xasprintf("/proc/%d/ns/net", (int)command->container->pid);
        _cleanup_close_ int netns_fd = open(namespace, O_RDONLY | O_CLOEXEC), password_fd = -1, role_fd = -1;
        const char *role_password = command->role_password ?: "";
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_strv_ char **argv = NULL;
        ProcessSpec spec = PROCESS_SPEC_INIT;
        int keep[3] = { -1, -1, -1 };

        if (netns_fd < 0)
                return error_set(err, ERROR_UNSUPPORTED, "the network of container %s cannot be entered from here",
                                 command->container->name);
        database_login_of(command->container, &login);
        password_fd = fs_memory_file("password", login.password, strlen(login.password), err);
        if (password_fd < 0)
                return password_fd;
        role_fd = fs_memory_file("role", role_password, strlen(role_password), err);
        if (role_fd < 0)
                return role_fd;
        keep[0] = password_fd;
        keep[1] = role_fd;
        argv = arguments_of(command, &login);
        spec.argv = argv;
        spec.stdin_fd = command->stdin_fd;
        spec.stdout_fd = command->stdout_fd;
        spec.stderr_fd = command->stderr_fd;
        spec.keep_fds = keep;
        spec.netns_fd = netns_fd;
        return process_spawn(&spec, ret, err);
}

/* ---- as a program's partner ---- */

typedef struct Listener {
        MigrationEvent event;
        void *context;
        Error *error; /* what it reported */
} Listener;

static void hear(Listener *listener, const char *line)
{
        _cleanup_json_ json_t *event = json_loads(line, 0, NULL);
        const json_t *error = json_object_get(event, "error");

        if (error)
                error_from_json(&listener->error, error);
        else if (event && listener->event)
                listener->event(listener->context, event);
}

static void hear_lines(Listener *listener, Strbuf *buffer)
{
        char *newline;

        while (buffer->length && (newline = memchr(buffer->data, '\n', buffer->length))) {
                *newline = '\0';
                hear(listener, buffer->data);
                strbuf_consume(buffer, (size_t)(newline - buffer->data) + 1);
        }
}

/* Until the program closes its output; a cancellation is passed on once. */
static void listen_to(Listener *listener, const Process *process, int fd, int cancel_fd)
{
        struct pollfd pollers[] = { { .fd = fd, .events = POLLIN }, { .fd = cancel_fd, .events = POLLIN } };
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        char chunk[4096];

        for (;;) {
                ssize_t n;

                if (poll(pollers, ARRAY_SIZE(pollers), -1) < 0)
                        continue;
                if (pollers[1].revents) {
                        kill(process->pid, SIGTERM);
                        pollers[1].fd = -1;
                }
                if (!pollers[0].revents)
                        continue;
                n = read(fd, chunk, sizeof(chunk));
                if (n <= 0)
                        return;
                strbuf_add(&buffer, chunk, (size_t)n);
                hear_lines(listener, &buffer);
        }
}

int migration_run(const MigrationCommand *command, MigrationEvent event, void *context, int cancel_fd, Error **err)
{
        _cleanup_close_ int read_fd = -1, write_fd = -1;
        Listener listener = { .event = event, .context = context };
        MigrationCommand copy = *command;
        int fds[2], status = 0, r;
        Process process;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        read_fd = fds[0];
        write_fd = fds[1];
        copy.json = true;
        copy.stdin_fd = copy.stderr_fd = -1;
        copy.stdout_fd = write_fd;
        r = migration_spawn(&copy, &process, err);
        if (r < 0)
                return r;
        write_fd = fs_close(write_fd);
        listen_to(&listener, &process, read_fd, cancel_fd);
        r = process_wait(&process, -1, &status, err);
        if (listener.error)
                return error_move(err, &listener.error, -(int)listener.error->kind);
        return r < 0 || status == 0
                       ? r
                       : error_set(err, ERROR_FAILED, "the migration command ended with status %d", status);
}
