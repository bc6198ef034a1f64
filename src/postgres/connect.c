#include "postgres/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

#define CONNECT_TIMEOUT_S        "10"
#define CONNECT_TIMEOUT_NS       (10 * NSEC_PER_SEC)
#define SQLSTATE_LENGTH          5
#define STATE_CANNOT_CONNECT_NOW "57P03" /* it starts, recovers or ends */
#define PID_FILE_LIMIT           4096

/* postmaster.pid's lines (miscadmin.h). */
enum { LINE_PORT = 3, LINE_SOCKET_FOLDER = 4, LINES_WANTED = 6 };

typedef struct Door {
        char port[8];
        char *socket_folder; /* inside; "" where it listens on none */
        uid_t uid;           /* the server's */
} Door;

static void door_done(Door *door)
{
        free(door->socket_folder);
}
#define _cleanup_door_ _cleanup_(door_done)

/* The container owns what lies there: links are followed within its root only. */
static int open_inside(pid_t pid, const char *path, unsigned flags)
{
        const struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
        _cleanup_free_ char *root = xasprintf("/proc/%d/root", (int)pid);
        _cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        return root_fd < 0 ? -1 : (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

static int find_door(const PostgresTarget *target, Door *ret, Error **err)
{
        _cleanup_free_ char *path = path_join(target->data_dir, "postmaster.pid");
        _cleanup_close_ int fd = open_inside(target->pid, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
            fs_read_fd(fd, PID_FILE_LIMIT, &text, NULL) < 0)
                return error_set(err, ERROR_UNAVAILABLE, "no server runs in the container (%s is not there)", path);
        lines = strv_split(strbuf_text(&text), '\n');
        if (strv_length(lines) < LINES_WANTED)
                return error_set(err, ERROR_UNAVAILABLE, "the server is not up yet");
        snprintf(ret->port, sizeof(ret->port), "%.7s", lines[LINE_PORT]);
        ret->socket_folder = xstrdup(lines[LINE_SOCKET_FOLDER]);
        ret->uid = status.st_uid;
        return 0;
}

int64_t postgres_log_room(const PostgresTarget *target)
{
        _cleanup_free_ char *path = path_join(target->data_dir, "pg_wal");
        _cleanup_close_ int fd = target->pid > 0 ? open_inside(target->pid, path, O_PATH | O_DIRECTORY) : -1;
        struct statvfs status;

        if (fd < 0 || fstatvfs(fd, &status) < 0)
                return -1;
        return (int64_t)((uint64_t)status.f_bavail * status.f_frsize);
}

typedef struct Words {
        const char *names[16], *values[16];
        size_t length;
} Words;

static void add_word(Words *words, const char *name, const char *value)
{
        if (!value)
                return;
        words->names[words->length] = name;
        words->values[words->length++] = value;
}

/* replication: NULL, "true" (the log alone), "database" (statements too) */
static Words common_words(const PostgresTarget *target, const char *replication, const char *application_name)
{
        Words words = { 0 };

        add_word(&words, "dbname", target->url ? target->url : target->database ? target->database : "postgres");
        if (!target->url)
                add_word(&words, "user", target->user);
        add_word(&words, "password", target->password);
        add_word(&words, "replication", replication);
        add_word(&words, "fallback_application_name", application_name);
        add_word(&words, "connect_timeout", CONNECT_TIMEOUT_S);
        add_word(&words, "gssencmode", target->url ? NULL : "disable");
        add_word(&words, "client_encoding", "UTF8");
        return words;
}

static PGconn *connect_words(const Words *words)
{
        return PQconnectdbParams(words->names, words->values, 1);
}

static bool is_up(PGconn *connection)
{
        return PQstatus(connection) == CONNECTION_OK;
}

/* For one host. A refusal comes in the server's language; here its SQLSTATE is told along, which PQconnectdbParams cannot be asked for. */
static PGconn *connect_telling_state(const Words *words)
{
        PGconn *connection = PQconnectStartParams(words->names, words->values, 1);
        int64_t until_ns = clock_monotonic_ns() + CONNECT_TIMEOUT_NS;
        PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

        if (!connection || PQstatus(connection) == CONNECTION_BAD)
                return connection;
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
        while (wanted == PGRES_POLLING_READING || wanted == PGRES_POLLING_WRITING) {
                struct pollfd item = { .fd = PQsocket(connection),
                                       .events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT };
                int64_t left_ns = until_ns - clock_monotonic_ns();
                int n = left_ns > 0 ? poll(&item, 1, (int)(left_ns / NSEC_PER_MSEC) + 1) : 0;

                if (n == 0 || (n < 0 && errno != EINTR))
                        break;
                if (n > 0)
                        wanted = PQconnectPoll(connection);
        }
        PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
        return connection;
}

/* Only this thread's user changes, and only its effective one: the server asks the kernel for it. */
static PGconn *connect_by_socket(const PostgresTarget *target, const Door *door, Words words)
{
        _cleanup_close_ int folder = open_inside(target->pid, door->socket_folder, O_PATH | O_DIRECTORY);
        char path[64];
        PGconn *connection;

        if (folder < 0)
                return NULL;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", folder);
        add_word(&words, "host", path);
        add_word(&words, "port", door->port);
        if (syscall(SYS_setresuid, -1, door->uid, -1) < 0)
                return NULL;
        connection = connect_telling_state(&words);
        if (syscall(SYS_setresuid, -1, 0, -1) < 0)
                abort(); /* the thread would go on as somebody else */
        return connection;
}

static PGconn *connect_by_loopback(const PostgresTarget *target, const Door *door, Words words)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/ns/net", (int)target->pid);
        _cleanup_close_ int inside = open(path, O_RDONLY | O_CLOEXEC),
                            here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        PGconn *connection;

        if (inside < 0 || here < 0 || setns(inside, CLONE_NEWNET) < 0)
                return NULL;
        add_word(&words, "hostaddr", "127.0.0.1");
        add_word(&words, "port", door->port);
        connection = connect_telling_state(&words);
        if (setns(here, CLONE_NEWNET) < 0)
                abort(); /* the thread would go on in the wrong network */
        return connection;
}

/* Of "… failed: FATAL:  57P03: the database system is starting up": where the SQLSTATE begins; the word before it may be in any
 * language. NULL: the message brings none. */
static const char *find_sqlstate(const char *message)
{
        static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

        for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  ")) {
                const char *state = at + strlen(":  ");

                if (strspn(state, letters) == SQLSTATE_LENGTH && startswith(state + SQLSTATE_LENGTH, ": "))
                        return state;
        }
        return NULL;
}

/* The last part of the message's first line is the reason. */
static const char *reason_of(PGconn *connection, char *buffer, size_t size)
{
        const char *text = connection ? PQerrorMessage(connection) : "it cannot be reached",
                   *fatal = strstr(text, "FATAL:");
        const char *state = find_sqlstate(text);

        if (state)
                text = state + SQLSTATE_LENGTH + strlen(": ");
        else if (fatal)
                text = fatal + strlen("FATAL:") + strspn(fatal + strlen("FATAL:"), " ");
        snprintf(buffer, size, "%s", *text ? text : "no answer within " CONNECT_TIMEOUT_S " s");
        buffer[strcspn(buffer, "\n")] = '\0';
        return buffer;
}

static int refuse(Error **err, const PostgresTarget *target, ConnectMode mode, PGconn *connection)
{
        const char *text = connection ? PQerrorMessage(connection) : "", *state = find_sqlstate(text);
        bool denied = state ? !startswith(state, STATE_CANNOT_CONNECT_NOW)
                            : strstr(text, "FATAL:") && !strstr(text, "the database system is");
        char buffer[256];
        int r;

        reason_of(connection, buffer, sizeof(buffer));
        if (!denied)
                return error_set(err, ERROR_UNAVAILABLE, "the server does not answer: %s", buffer);
        r = error_set(err, ERROR_DENIED, "the server refuses: %s", buffer);
        if (strstr(text, "pg_hba"))
                return error_hint(err, r, "A line in its pg_hba.conf would let us in: local %s %s peer",
                                  mode == CONNECT_REPLICATION ? "replication" : "all", target->user);
        return r;
}

static int connect_inside(const PostgresTarget *target, ConnectMode mode, const Words *words, PGconn **ret, Error **err)
{
        _cleanup_connection_ PGconn *by_socket = NULL, *by_loopback = NULL;
        _cleanup_door_ Door door = { 0 };
        int r = find_door(target, &door, err);

        if (r < 0)
                return r;
        by_socket = *door.socket_folder ? connect_by_socket(target, &door, *words) : NULL;
        if (is_up(by_socket)) {
                *ret = TAKE_PTR(by_socket);
                return 0;
        }
        by_loopback = connect_by_loopback(target, &door, *words);
        if (is_up(by_loopback)) {
                *ret = TAKE_PTR(by_loopback);
                return 0;
        }
        /* The socket's answer tells more, where there is one. */
        return refuse(err, target, mode, by_socket ? by_socket : by_loopback);
}

static int connect_as(const PostgresTarget *target, ConnectMode mode, const char *replication,
                      const char *application_name, PGconn **ret, Error **err)
{
        Words words = common_words(target, replication, application_name);
        _cleanup_connection_ PGconn *connection = NULL;

        if (target->pid > 0)
                return connect_inside(target, mode, &words, ret, err);
        connection = connect_words(&words);
        if (!is_up(connection))
                return refuse(err, target, mode, connection);
        *ret = TAKE_PTR(connection);
        return 0;
}

int postgres_connect(const PostgresTarget *target, ConnectMode mode, const char *application_name, PGconn **ret,
                     Error **err)
{
        _cleanup_error_ Error *refused = NULL;
        int r = connect_as(target, mode, mode == CONNECT_REPLICATION ? "true" : NULL, application_name, ret, &refused);

        /* Its reason comes in the server's language: any refusal is worth the other way. */
        if (r == -ERROR_DENIED && mode == CONNECT_CONTROL &&
            connect_as(target, mode, "database", application_name, ret, NULL) == 0)
                return 0;
        return r < 0 ? error_move(err, &refused, r) : 0;
}

/* ---- statements ---- */

static ErrorKind kind_of_sqlstate(const char *state)
{
        if (startswith(state, "42501") || startswith(state, "28"))
                return ERROR_DENIED;
        if (startswith(state, "XX001") || startswith(state, "XX002"))
                return ERROR_CORRUPT;
        if (startswith(state, "53100"))
                return ERROR_NO_SPACE;
        if (startswith(state, "57P0") || startswith(state, "08"))
                return ERROR_UNAVAILABLE;
        return ERROR_FAILED;
}

int postgres_error(Error **err, PGconn *connection, const PGresult *result, const char *what)
{
        const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
        const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
        const char *hint = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_HINT) : NULL;
        char buffer[256];
        int r;

        if (!text)
                return error_set(err, ERROR_UNAVAILABLE, "%s: %s", what, reason_of(connection, buffer, sizeof(buffer)));
        r = error_set(err, kind_of_sqlstate(state ? state : ""), "%s: %s", what, text);
        if (err && *err && state)
                snprintf((*err)->sqlstate, sizeof((*err)->sqlstate), "%.5s", state);
        return hint ? error_hint(err, r, "%s", hint) : r;
}

int postgres_execute(PGconn *connection, const char *statement, ExecStatusType wanted, PGresult **ret, Error **err)
{
        _cleanup_result_ PGresult *result = PQexec(connection, statement);
        int length = (int)strcspn(statement, " ('\"");
        _cleanup_free_ char *what = xstrndup(statement, (size_t)length);

        if (PQresultStatus(result) != wanted)
                return postgres_error(err, connection, result, what);
        if (ret)
                *ret = TAKE_PTR(result);
        return 0;
}

int postgres_query_text(PGconn *connection, const char *query, char **ret, Error **err)
{
        _cleanup_result_ PGresult *result = NULL;
        int r = postgres_execute(connection, query, PGRES_TUPLES_OK, &result, err);

        if (r < 0)
                return r;
        *ret = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0) ? xstrdup(PQgetvalue(result, 0, 0)) : NULL;
        return 0;
}

char *postgres_quote(PGconn *connection, const char *text)
{
        char *quoted = PQescapeLiteral(connection, text, strlen(text)), *own = xstrdup(quoted ? quoted : "NULL");

        PQfreemem(quoted);
        return own;
}
