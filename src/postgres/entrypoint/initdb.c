#include "postgres/entrypoint/initdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/entrypoint/accounts.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/words.h"
#include "postgres/md5.h"
#include "postgres/scram.h"

/* Until 13, initdb cut a password file's line at 99 bytes. */
#define OLD_INITDB_PASSWORD_LIMIT   99
#define FIRST_MAJOR_WITH_LONG_LINES 14

static bool has_argument(char *const *args, const char *name)
{
        size_t length = strlen(name);

        STRV_FOREACH(arg, args)
                if (strncmp(*arg, name, length) == 0 && ((*arg)[length] == '\0' || (*arg)[length] == '='))
                        return true;
        return false;
}

/* initdb's own rule: md5 in a host or general method makes password_encryption md5; 13's default is md5. */
static bool wants_md5(const Settings *settings, char *const *args)
{
        bool md5 = settings->major > 0 && settings->major < 14;

        for (size_t i = 0; args && args[i]; i++) {
                const char *value = startswith(args[i], "--auth=");
                if (!value)
                        value = startswith(args[i], "--auth-host=");
                if (!value && (streq(args[i], "-A") || streq(args[i], "--auth") || streq(args[i], "--auth-host")))
                        value = args[i + 1];
                if (!value && startswith(args[i], "-A"))
                        value = args[i] + 2;
                if (value && streq(value, "md5"))
                        md5 = true;
                else if (value && streq(value, "scram-sha-256"))
                        md5 = false;
        }
        return md5;
}

bool initdb_wants_md5(const Settings *settings)
{
        _cleanup_strv_ char **args = NULL;

        return initdb_split_args(settings->initdb_args, &args, NULL) < 0 || wants_md5(settings, args);
}

bool initdb_password_is_odd(const Settings *settings)
{
        return strchr(settings->password, '\n') || (settings->major < FIRST_MAJOR_WITH_LONG_LINES &&
                                                    strlen(settings->password) > OLD_INITDB_PASSWORD_LIMIT);
}

/* What initdb until 13 reads of a line is too short for a SCRAM verifier, but not for one of MD5. */
static int old_password_line(const Settings *settings, bool md5, char **ret, Error **err)
{
        char verifier[MD5_VERIFIER_LENGTH + 1];

        if (!initdb_password_is_odd(settings)) {
                *ret = xstrdup(settings->password);
                return 0;
        }
        if (!md5) {
                int r = error_set(
                        err, ERROR_UNSUPPORTED,
                        "initdb of PostgreSQL %d takes no password with a newline or of more than %d bytes for "
                        "scram-sha-256",
                        settings->major, OLD_INITDB_PASSWORD_LIMIT);
                return error_hint(err, r, "Choose a shorter password, or set it by ALTER ROLE later.");
        }
        md5_build_verifier(settings->password, settings->user, verifier);
        *ret = xstrdup(verifier);
        return 0;
}

/* initdb reads one line: it takes a ready verifier as well, which has no newlines and is never the plain text. */
static int password_line(const Settings *settings, char *const *args, char **ret, Error **err)
{
        const char *password = settings->password;
        bool odd = initdb_password_is_odd(settings), md5 = wants_md5(settings, args);

        if (!*password || startswith(password, "SCRAM-SHA-256$") || (!odd && md5) ||
            (!odd && !scram_is_plain(password))) {
                *ret = xstrdup(password);
                return 0;
        }
        if (settings->major > 0 && settings->major < FIRST_MAJOR_WITH_LONG_LINES)
                return old_password_line(settings, md5, ret, err);
        if (!scram_is_plain(password)) {
                int r = error_set(err, ERROR_UNSUPPORTED,
                                  "the password holds both a newline and characters beyond ASCII");
                return error_hint(err, r, "Remove the newline: clients cannot be relied upon to send it.");
        }
        return scram_build_verifier(password, NULL, SCRAM_DEFAULT_ITERATIONS, ret, err);
}

static int password_file(const Settings *settings, char *const *args, int *ret_fd, Error **err)
{
        _cleanup_close_ int fd = memfd_create("password", MFD_CLOEXEC);
        _cleanup_(free_secretp) char *line = NULL;
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "keep the password in memory");
        r = password_line(settings, args, &line, err);
        if (r == 0)
                r = fs_write_all(fd, line, strlen(line), err);
        /* An empty file is refused, an empty line is not. */
        if (r == 0)
                r = fs_write_all(fd, "\n", 1, err);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int build_argv(const Settings *settings, const char *build_dir, char ***ret, Error **err)
{
        _cleanup_strv_ char **argv = NULL, **args = NULL;
        int r;

        r = initdb_split_args(settings->initdb_args, &args, err);
        if (r < 0)
                return error_prefix(err, r, "POSTGRES_INITDB_ARGS");
        strv_add(&argv, "initdb");
        strv_addf(&argv, "--username=%s", settings->user);
        strv_add(&argv, "--pwfile=/proc/self/fd/3");
        /* Before 18 the checksums are off unless asked for, and there is no way to ask for none. */
        if (settings->major < 18) {
                if (!has_argument(args, "--no-data-checksums"))
                        strv_add(&argv, "--data-checksums");
                strv_remove(args, "--no-data-checksums");
        }
        strv_add_all(&argv, args);
        if (settings->waldir)
                strv_addf(&argv, "--waldir=%s", settings->waldir);
        /* Everything is synced at once at the end of the first start. */
        strv_add(&argv, "--no-sync");
        strv_add(&argv, "-D");
        strv_add(&argv, build_dir);
        *ret = TAKE_PTR(argv);
        return 0;
}

/* initdb insists on a passwd entry for its user; libnss_wrapper can pretend one, as in the official image. */
static char **environment_for_unknown_user(const Settings *settings, int *ret_passwd_fd, int *ret_group_fd)
{
        static const char *const places[] = { "/usr/lib/libnss_wrapper.so",
                                              "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so",
                                              "/usr/lib/aarch64-linux-gnu/libnss_wrapper.so",
                                              "/usr/lib64/libnss_wrapper.so" };
        _cleanup_free_ char *passwd = NULL, *group = NULL;
        char **environment;
        const char *library = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(places) && !library; i++)
                if (access(places[i], R_OK) == 0)
                        library = places[i];
        if (!library)
                return NULL;
        passwd = xasprintf("postgres:x:%u:%u:PostgreSQL:%s:/bin/false\n", (unsigned)geteuid(), (unsigned)getegid(),
                           settings->data_dir);
        group = xasprintf("postgres:x:%u:\n", (unsigned)getegid());
        *ret_passwd_fd = memfd_create("passwd", 0);
        *ret_group_fd = memfd_create("group", 0);
        if (fs_write_all(*ret_passwd_fd, passwd, strlen(passwd), NULL) < 0 ||
            fs_write_all(*ret_group_fd, group, strlen(group), NULL) < 0)
                return NULL;
        environment = strv_copy(environ);
        strv_env_set(&environment, "LD_PRELOAD", library);
        free_and_replace(&passwd, xasprintf("/proc/%d/fd/%d", (int)getpid(), *ret_passwd_fd));
        free_and_replace(&group, xasprintf("/proc/%d/fd/%d", (int)getpid(), *ret_group_fd));
        strv_env_set(&environment, "NSS_WRAPPER_PASSWD", passwd);
        strv_env_set(&environment, "NSS_WRAPPER_GROUP", group);
        return environment;
}

/* Where nothing says what time it is, the zone is UTC; told so, initdb need not compare all that it knows. */
static void spare_time_zone_search(char ***environment)
{
        if (!isempty(getenv("TZ")) || fs_exists("/etc/localtime"))
                return;
        if (!*environment)
                *environment = strv_copy(environ);
        strv_env_set(environment, "TZ", "Etc/UTC");
}

static void show_line(const char *line, const char *build_dir, const char *data_dir)
{
        _cleanup_strbuf_ Strbuf shown = STRBUF_INIT;
        const char *position;

        /* What --no-sync makes initdb say is not so here: the first start syncs everything before it ends. */
        if (startswith(line, "Sync to disk skipped.") || startswith(line, "The data directory might become corrupt"))
                return;
        while ((position = strstr(line, build_dir))) {
                strbuf_add(&shown, line, (size_t)(position - line));
                strbuf_adds(&shown, data_dir);
                line = position + strlen(build_dir);
        }
        say("%s%s", strbuf_text(&shown), line);
}

/* Copies the output on, a line or an unfinished "creating … " at a time. */
static void show_output(Strbuf *buffer, bool all, const char *build_dir, const char *data_dir)
{
        char *newline;

        while (buffer->length > 0 &&
               ((newline = strchr(buffer->data, '\n')) || all || endswith(buffer->data, "... "))) {
                size_t length = newline ? (size_t)(newline - buffer->data) + 1 : buffer->length;
                _cleanup_free_ char *line = xstrndup(buffer->data, length);

                show_line(line, build_dir, data_dir);
                strbuf_consume(buffer, length);
        }
}

static int relay(Process *process, int fd, const char *build_dir, const char *data_dir, int *ret_status, Error **err)
{
        _cleanup_strbuf_ Strbuf buffer = STRBUF_INIT;
        char chunk[4096];
        bool ended = false;

        while (!ended) {
                int r = child_poll(process, fd, -1, err);
                ssize_t n;

                if (r < 0) {
                        child_kill(process);
                        return r;
                }
                ended = r > 0;
                while ((n = read(fd, chunk, sizeof(chunk))) > 0)
                        strbuf_add(&buffer, chunk, (size_t)n);
                if (n == 0)
                        ended = true;
                show_output(&buffer, ended, build_dir, data_dir);
        }
        return child_wait(process, ret_status, err);
}

int initdb_run(const Settings *settings, const char *build_dir, int *ret_status, Error **err)
{
        _cleanup_close_ int password_fd = -1, read_fd = -1, passwd_fd = -1, group_fd = -1;
        _cleanup_strv_ char **argv = NULL, **environment = NULL;
        Process process;
        int fds[2], r;

        r = build_argv(settings, build_dir, &argv, err);
        if (r < 0)
                return r;
        r = password_file(settings, argv, &password_fd, err);
        if (r < 0)
                return r;
        if (!account_exists(geteuid()))
                environment = environment_for_unknown_user(settings, &passwd_fd, &group_fd);
        spare_time_zone_search(&environment);
        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        read_fd = fds[0];
        fcntl(read_fd, F_SETFL, O_NONBLOCK);
        r = child_start(argv, environment, -1, fds[1], password_fd, &process, err);
        fs_close(fds[1]);
        if (r < 0)
                return r;
        r = relay(&process, read_fd, build_dir, settings->data_dir, ret_status, err);
        if (r == 0 && *ret_status != 0)
                r = error_set(err, ERROR_FAILED, "initdb ended with exit status %d", *ret_status);
        return r;
}

int initdb_set_listen_addresses(const char *data_dir, Error **err)
{
        _cleanup_free_ char *path = path_join(data_dir, "postgresql.conf");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, changed = STRBUF_INIT;
        const char *setting, *rest;
        int r;

        r = fs_read_file(AT_FDCWD, path, (size_t)16 * 1024 * 1024, &text, err);
        if (r < 0)
                return r;
        setting = strstr(strbuf_text(&text), "\n#listen_addresses = ");
        if (!setting)
                return 0;
        rest = setting + strcspn(setting + 1, "\t\n") + 1;
        strbuf_add(&changed, text.data, (size_t)(setting + 1 - text.data));
        strbuf_adds(&changed, "listen_addresses = '*'");
        strbuf_adds(&changed, rest);
        return fs_write_file(AT_FDCWD, path, changed.data, changed.length, 0600, err);
}

static int server_password_encryption(char *const *server_args, char **ret, int *ret_status, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("postgres", "-C", "password_encryption", NULL);
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        int r;

        strv_add_all(&argv, server_args);
        r = child_capture(argv, &output, ret_status, err);
        if (r < 0)
                return r;
        while (output.length > 0 && output.data[output.length - 1] == '\n')
                strbuf_truncate(&output, output.length - 1);
        *ret = strbuf_take(&output);
        return 0;
}

/* What "postgres -C" would say of a configuration that is still initdb's own, without starting it. */
static char *password_encryption_of_file(const Settings *settings)
{
        _cleanup_free_ char *path = path_join(settings->data_dir, "postgresql.conf");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *line;

        if (settings->major == 0 || fs_read_file(AT_FDCWD, path, (size_t)16 * 1024 * 1024, &text, NULL) < 0)
                return NULL;
        line = strstr(strbuf_text(&text), "\npassword_encryption = ");
        if (line) {
                line += strlen("\npassword_encryption = ");
                line += *line == '\'';
                return xstrndup(line, strcspn(line, "' \t\n#"));
        }
        return xstrdup(settings->major < 14 ? "md5" : "scram-sha-256");
}

int initdb_add_host_rule(const Settings *settings, char *const *server_args, int *ret_status, Error **err)
{
        _cleanup_free_ char *path = path_join(settings->data_dir, "pg_hba.conf"), *method = NULL, *rule = NULL;
        _cleanup_close_ int fd = -1;
        bool trust;
        int r;

        if (strv_length(server_args) == 0)
                method = password_encryption_of_file(settings);
        if (!method) {
                /* Also where the method is given: a wrong option of the server's is found here. */
                r = server_password_encryption(server_args, &method, ret_status, err);
                if (r < 0)
                        return r;
        }
        if (settings->auth_method)
                free_and_replace(&method, xstrdup(settings->auth_method));
        trust = streq(method, "trust");
        rule = xasprintf("\n%shost all all all %s\n",
                         trust ? "# warning trust is enabled for all connections\n"
                                 "# see https://www.postgresql.org/docs/17/auth-trust.html\n"
                               : "",
                         method);
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", path);
        return fs_write_all(fd, rule, strlen(rule), err);
}
