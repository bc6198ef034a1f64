/* How refusals are told apart. A server that refuses for these reasons, at a wanted moment and in these languages, cannot be had for
 * real: a few lines that speak the protocol stand in for it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "postgres/connect.h"

typedef struct Refusal {
        const char *severity, *state, *message; /* severity NULL: it hangs up without a word */
} Refusal;

typedef struct Refuser {
        char folder[32];
        int listening;
        const Refusal *refusal;
        pthread_t thread;
} Refuser;

static void add_field(Strbuf *body, char name, const char *value)
{
        strbuf_addc(body, name);
        strbuf_add(body, value, strlen(value) + 1);
}

static void send_refusal(int fd, const Refusal *refusal)
{
        _cleanup_strbuf_ Strbuf body = STRBUF_INIT, packet = STRBUF_INIT;
        uint32_t length;

        add_field(&body, 'S', refusal->severity);
        add_field(&body, 'V', "FATAL");
        add_field(&body, 'C', refusal->state);
        add_field(&body, 'M', refusal->message);
        add_field(&body, 'R', "ProcessStartupPacket");
        strbuf_addc(&body, '\0');
        length = __builtin_bswap32((uint32_t)body.length + 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        length = __builtin_bswap32(length);
#endif
        strbuf_addc(&packet, 'E');
        strbuf_add(&packet, &length, 4);
        strbuf_add(&packet, body.data, body.length);
        (void)!write(fd, packet.data, packet.length);
}

static void *serve(void *argument)
{
        Refuser *refuser = argument;
        int fd = accept(refuser->listening, NULL, NULL);
        char startup[4096];

        if (fd < 0)
                return NULL;
        if (read(fd, startup, sizeof(startup)) > 0 && refuser->refusal->severity)
                send_refusal(fd, refuser->refusal);
        close(fd);
        return NULL;
}

static void open_refuser(Refuser *refuser, const Refusal *refusal)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_free_ char *pid_file = NULL, *text = NULL;

        snprintf(refuser->folder, sizeof(refuser->folder), "/tmp/refuser-XXXXXX");
        assert_non_null(mkdtemp(refuser->folder));
        pid_file = xasprintf("%s/postmaster.pid", refuser->folder);
        /* Port 1: nobody answers on loopback. */
        text = xasprintf("%d\n%s\n0\n1\n%s\nlocalhost\n", (int)getpid(), refuser->folder, refuser->folder);
        assert_int_equal(fs_write_file(AT_FDCWD, pid_file, text, strlen(text), 0600, NULL), 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.1", refuser->folder);
        refuser->refusal = refusal;
        refuser->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(refuser->listening, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(refuser->listening, 1), 0);
        assert_int_equal(pthread_create(&refuser->thread, NULL, serve, refuser), 0);
}

static void close_refuser(Refuser *refuser)
{
        shutdown(refuser->listening, SHUT_RDWR);
        pthread_join(refuser->thread, NULL);
        close(refuser->listening);
        fs_remove_tree(AT_FDCWD, refuser->folder, NULL);
}

static void test_refusals(void **state)
{
        static const struct {
                Refusal refusal;
                ErrorKind kind;
                const char *message;
        } cases[] = {
                { { "FATAL", "57P03", "the database system is starting up" },
                  ERROR_UNAVAILABLE,
                  "the server does not answer: the database system is starting up" },
                { { "FATAL", "57P03", "das Datenbanksystem startet" },
                  ERROR_UNAVAILABLE,
                  "the server does not answer: das Datenbanksystem startet" },
                { { "FATAL", "57P03", "andmebaas taastub:  oodake" },
                  ERROR_UNAVAILABLE,
                  "the server does not answer: andmebaas taastub:  oodake" },
                { { "ВАЖНО", "57P03", "система баз данных запускается" },
                  ERROR_UNAVAILABLE,
                  "the server does not answer: система баз данных запускается" },
                { { "FATAL ", "28P01", "authentification par mot de passe échouée" },
                  ERROR_DENIED,
                  "the server refuses: authentification par mot de passe échouée" },
                { { "致命错误", "28000", "没有用于主机的 pg_hba.conf 记录" },
                  ERROR_DENIED,
                  "the server refuses: 没有用于主机的 pg_hba.conf 记录" },
                { { "FATAL", "53300", "sorry, too many clients already" },
                  ERROR_DENIED,
                  "the server refuses: sorry, too many clients already" },
                /* Words of another's making change nothing. */
                { { "FATAL", "28000", "role \"the database system is up:  57P03: \" does not exist" },
                  ERROR_DENIED,
                  "the server refuses: role \"the database system is up:  57P03: \" does not exist" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Refuser refuser;
                PostgresTarget target = { .pid = getpid(), .data_dir = refuser.folder, .user = "postgres" };
                _cleanup_error_ Error *error = NULL;
                PGconn *connection = NULL;
                int r;

                open_refuser(&refuser, &cases[i].refusal);
                r = postgres_connect(&target, CONNECT_SQL, "test", &connection, &error);
                close_refuser(&refuser);
                assert_true(r == -(int)cases[i].kind);
                assert_string_equal(error->message, cases[i].message);
                assert_int_equal(error->hint && strstr(error->hint, "pg_hba.conf"),
                                 strstr(cases[i].message, "pg_hba") != NULL);
        }
}

static void test_hangs_up(void **state)
{
        Refuser refuser;
        PostgresTarget target = { .pid = getpid(), .data_dir = refuser.folder, .user = "postgres" };
        _cleanup_error_ Error *error = NULL;
        PGconn *connection = NULL;

        open_refuser(&refuser, &(Refusal){ 0 });
        assert_true(postgres_connect(&target, CONNECT_SQL, "test", &connection, &error) == -ERROR_UNAVAILABLE);
        close_refuser(&refuser);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_hangs_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
