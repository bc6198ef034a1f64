#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "net/channel.h"
#include "net/channel_client.h"
#include "state/document.h"

#define LINE_LIMIT   4096
#define OUTPUT_LIMIT (256 * 1024)

typedef struct Fixture {
        char folder[32];
        char *path;
        Loop *loop;
        ChannelServer *server;
        pthread_t thread;
        int n_opened, n_closed;
} Fixture;

static void on_opened(void *context, Channel *channel)
{
        Fixture *fixture = context;
        _cleanup_json_ json_t *greeting = json_pack("{s:i}", "berth", 1);

        fixture->n_opened++;
        channel_send(channel, greeting);
}

static void send_events(Channel *channel, int count)
{
        for (int i = 0; i < count; i++) {
                _cleanup_json_ json_t *event = json_pack("{s:s, s:i}", "event", "tick", "n", i);
                channel_send(channel, event);
        }
}

static void on_message(void *context, Channel *channel, json_t *message)
{
        const char *method = json_get_string(message, "method", "");
        _cleanup_json_ json_t *result = json_pack("{s:{s:s}}", "result", "method", method);
        _cleanup_json_ json_t *error = json_pack("{s:{s:s, s:s}}", "error", "kind", "conflict", "message", "no");

        if (streq(method, "events"))
                send_events(channel, 3);
        if (streq(method, "flood"))
                send_events(channel, 100000); /* nobody reads: past the limit the peer is dropped */
        channel_send(channel, streq(method, "fail") ? error : result);
        if (streq(method, "bye"))
                channel_close_after_output(channel);
        if (streq(method, "end"))
                loop_quit(((Fixture *)context)->loop);
}

static void on_closed(void *context, Channel *channel)
{
        ((Fixture *)context)->n_closed++;
}

static void *serve(void *argument)
{
        loop_run(((Fixture *)argument)->loop, NULL);
        return NULL;
}

static int set_up(void **state)
{
        Fixture *fixture = xnew(Fixture);
        const ChannelHandler handler = { fixture, on_opened, on_message, on_closed };

        strcpy(fixture->folder, "/tmp/test-channel-XXXXXX");
        assert_non_null(mkdtemp(fixture->folder));
        fixture->path = path_join(fixture->folder, "sock");
        assert_int_equal(loop_create(NULL, &fixture->loop, NULL), 0);
        assert_int_equal(channel_server_create(fixture->loop, fixture->path, &handler, LINE_LIMIT, OUTPUT_LIMIT,
                                               &fixture->server, NULL),
                         0);
        pthread_create(&fixture->thread, NULL, serve, fixture);
        *state = fixture;
        return 0;
}

static ChannelClient *connect_to(Fixture *fixture)
{
        _cleanup_json_ json_t *greeting = NULL;
        ChannelClient *client = NULL;

        assert_int_equal(channel_client_connect(fixture->path, &client, NULL), 0);
        assert_int_equal(channel_client_receive(client, 5000, -1, &greeting, NULL), 0);
        assert_int_equal(json_get_int(greeting, "berth", 0), 1);
        return client;
}

static int tear_down(void **state)
{
        Fixture *fixture = *state;
        ChannelClient *client = connect_to(fixture);

        assert_int_equal(channel_client_call(client, "end", NULL, NULL, NULL, NULL, NULL), 0);
        pthread_join(fixture->thread, NULL);
        channel_client_free(client);
        channel_server_free(fixture->server);
        loop_free(fixture->loop);
        assert_false(fs_exists(fixture->path));
        fs_remove_tree(AT_FDCWD, fixture->folder, NULL);
        free(fixture->path);
        free(fixture);
        return 0;
}

static int count_event(void *context, const json_t *event)
{
        assert_int_equal(json_get_int(event, "n", -1), *(int *)context);
        ++*(int *)context;
        return 0;
}

static void test_call(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        _cleanup_json_ json_t *result = NULL;
        _cleanup_error_ Error *error = NULL;
        int n = 0;

        assert_int_equal(channel_client_call(client, "events", NULL, count_event, &n, &result, NULL), 0);
        assert_int_equal(n, 3);
        assert_string_equal(json_get_string(result, "method", ""), "events");
        assert_int_equal(channel_client_call(client, "fail", NULL, NULL, NULL, NULL, &error), -ERROR_CONFLICT);
        assert_string_equal(error->message, "no");
}

static void test_the_socket_is_roots(void **state)
{
        Fixture *fixture = *state;
        struct stat status;

        assert_int_equal(stat(fixture->path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_a_peer_that_does_not_read_is_dropped(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        _cleanup_json_ json_t *request = json_pack("{s:s}", "method", "flood");
        struct pollfd poller = { .fd = channel_client_fd(client) };
        int r = 0;

        assert_int_equal(channel_client_send(client, request, NULL), 0);
        assert_int_equal(poll(&poller, 1, -1), 1); /* hung up, with nothing read */
        while (r >= 0) {
                _cleanup_json_ json_t *line = NULL;
                r = channel_client_receive(client, 5000, -1, &line, NULL);
        }
        assert_int_equal(r, -ERROR_UNAVAILABLE);
}

static void test_a_line_without_end_is_refused(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        _cleanup_free_ char *text = xmalloc(3 * LINE_LIMIT);
        char byte;

        memset(text, 'x', 3 * LINE_LIMIT);
        send(channel_client_fd(client), text, 3 * LINE_LIMIT, MSG_NOSIGNAL);
        assert_true(recv(channel_client_fd(client), &byte, 1, 0) <= 0);
}

static void test_rubbish_is_refused(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        char byte;

        send(channel_client_fd(client), "[1]\n", 4, MSG_NOSIGNAL);
        assert_true(recv(channel_client_fd(client), &byte, 1, 0) <= 0);
}

static void test_the_end_after_all_output(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        _cleanup_json_ json_t *line = NULL;

        assert_int_equal(channel_client_call(client, "bye", NULL, NULL, NULL, NULL, NULL), 0);
        assert_int_equal(channel_client_receive(client, 5000, -1, &line, NULL), -ERROR_UNAVAILABLE);
}

static void test_interrupt_and_timeout(void **state)
{
        _cleanup_(channel_client_freep) ChannelClient *client = connect_to(*state);
        json_t *line = NULL;
        int fds[2];

        assert_int_equal(channel_client_receive(client, 1, -1, &line, NULL), -ERROR_TIMEOUT);
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_int_equal(channel_client_receive(client, -1, fds[0], &line, NULL), -ERROR_CANCELLED);
        close(fds[0]), close(fds[1]);
}

static void test_nobody_listens(void **state)
{
        ChannelClient *client = NULL;

        assert_int_equal(channel_client_connect("/tmp/no-such-folder/no-such-socket", &client, NULL), -ERROR_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_call, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_socket_is_roots, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_peer_that_does_not_read_is_dropped, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_line_without_end_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_rubbish_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_end_after_all_output, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_interrupt_and_timeout, set_up, tear_down),
                cmocka_unit_test(test_nobody_listens),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
