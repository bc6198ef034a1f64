
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/receiver_control.h"
#include "state/document.h"

#define STUCK_S 60 /* a wait that does not end, ends the test */

static void tell_state(const Layout *layout, pid_t pid, const char *boot_id)
{
        _cleanup_free_ char *path = layout_run(layout, "projects/shop/receivers/db.json");
        _cleanup_json_ json_t *state = json_pack("{s:s, s:i}", "boot_id", boot_id, "pid", (int)pid);

        assert_int_equal(document_save_volatile(path, 1, state, NULL), 0);
}

/* A process by the receiver's name that ends once told; its end can be read from *ret_over, and nobody has waited for it. */
static pid_t start_receiver(const char *name, int *ret_end, int *ret_over)
{
        int end[2], over[2];
        pid_t pid;
        char byte;

        assert_int_equal(pipe(end), 0);
        assert_int_equal(pipe(over), 0);
        pid = fork();
        if (pid == 0) {
                prctl(PR_SET_NAME, name);
                close(end[1]);
                close(over[0]);
                if (write(over[1], "n", 1) == 1 && read(end[0], &byte, 1) == 0)
                        _exit(0);
                _exit(1);
        }
        close(end[0]);
        close(over[1]);
        assert_int_equal(read(over[0], &byte, 1), 1); /* it has its name */
        *ret_end = end[1];
        *ret_over = over[0];
        return pid;
}

/* Where the machine's first process is slow to wait for the dead, a receiver that has ended still has its number. */
static void test_dead_but_not_waited_for(void **state)
{
        const Layout *layout = *state;
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_json_ json_t *told = NULL;
        int end, over;
        pid_t pid = start_receiver("berth-receiver", &end, &over);
        char byte;

        tell_state(layout, pid, boot_id);
        told = receiver_state_load(layout, "shop", "db");
        assert_non_null(told);
        assert_int_equal(receiver_state_pid(told), pid);

        close(end);
        assert_int_equal(read(over, &byte, 1), 0);
        alarm(STUCK_S);
        receiver_await_end(layout, "shop", "db", -1);
        alarm(0);
        assert_int_equal(receiver_state_pid(told), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(receiver_state_pid(told), 0);
        close(over);
}

static void test_waits_while_it_lives(void **state)
{
        const Layout *layout = *state;
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_json_ json_t *told = NULL;
        int end, over;
        pid_t pid = start_receiver("berth-receiver", &end, &over);

        tell_state(layout, pid, boot_id);
        told = receiver_state_load(layout, "shop", "db");
        receiver_await_end(layout, "shop", "db", 50);
        assert_int_equal(receiver_state_pid(told), pid);
        close(end);
        waitpid(pid, NULL, 0);
        close(over);
}

/* Its number went to another program, or was of an earlier boot. */
static void test_not_the_receiver(void **state)
{
        const Layout *layout = *state;
        _cleanup_free_ char *boot_id = layout_boot_id();
        int end, over;
        pid_t pid = start_receiver("postgres", &end, &over);

        alarm(STUCK_S);
        tell_state(layout, pid, boot_id);
        receiver_await_end(layout, "shop", "db", -1);
        tell_state(layout, getpid(), "another boot");
        assert_null(receiver_state_load(layout, "shop", "db"));
        receiver_await_end(layout, "shop", "db", -1);
        receiver_await_end(layout, "shop", "none", -1);
        alarm(0);
        close(end);
        waitpid(pid, NULL, 0);
        close(over);
}

static int prepare(void **state)
{
        char folder[] = "/tmp/receiver-XXXXXX";
        _cleanup_free_ char *receivers = NULL;
        Layout *layout;

        if (!mkdtemp(folder))
                return -1;
        setenv("BERTH_RUN_DIR", folder, 1);
        layout = layout_create();
        *state = layout;
        receivers = layout_run(layout, "projects/shop/receivers");
        return fs_make_directories(receivers, 0700, NULL);
}

static int clear(void **state)
{
        fs_remove_tree(AT_FDCWD, getenv("BERTH_RUN_DIR"), NULL);
        layout_free(*state);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dead_but_not_waited_for),
                cmocka_unit_test(test_waits_while_it_lives),
                cmocka_unit_test(test_not_the_receiver),
        };

        return cmocka_run_group_tests(tests, prepare, clear);
}
