#include "operate/upgrade_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/upgrade/steps.h"

#define OUTPUT_LIMIT ((size_t)1024 * 1024)
#define REASON_LIMIT 600
#define WAITING      "waiting for " /* lines of step_hold */
#define TIMED_OUT    "timed out"
#define ASK_MS       200

static char **step_words(const char *step, char *const *arguments)
{
        char **argv = strv_new("sh", "-c", upgrade_steps_text(), "upgrade", step, NULL);

        strv_add_all(&argv, arguments);
        return argv;
}

static void trim(char *text)
{
        size_t length = strlen(text);

        while (length > 0 && strchr(" \t\r\n", text[length - 1]))
                text[--length] = '\0';
}

int upgrade_step(Engine *engine, const char *container, const char *step, char *const *arguments, char **ret,
                 Error **err)
{
        return upgrade_step_as(engine, container, "root", step, arguments, ret, err);
}

int upgrade_step_as(Engine *engine, const char *container, const char *user, const char *step, char *const *arguments,
                    char **ret, Error **err)
{
        _cleanup_strv_ char **argv = step_words(step, arguments);
        ExecSpec spec = { .argv = argv, .user = user, .stdin_fd = -1, .timeout_ms = -1, .output_limit = OUTPUT_LIMIT };
        ExecResult result = { 0 };
        int r = engine->operations->exec(engine, container, &spec, &result, err);

        if (r < 0)
                return r;
        if (result.output)
                trim(result.output);
        if (result.exit_code != 0) {
                r = error_set(err, ERROR_FAILED, "%.*s", REASON_LIMIT,
                              isempty(result.output) ? "it failed without a word" : result.output);
                free(result.output);
                return r;
        }
        if (ret)
                *ret = result.output ? TAKE_PTR(result.output) : xstrdup("");
        free(result.output);
        return 0;
}

static void *hold_thread(void *argument)
{
        UpgradeHold *hold = argument;
        _cleanup_free_ char *limit = xasprintf("%d", hold->limit_s);
        char *arguments[] = { (char *)hold->what, limit, NULL };
        bool is_backup = streq(hold->what, "snapshot");
        _cleanup_strv_ char **argv = step_words(is_backup ? hold->what : "hold", is_backup ? NULL : arguments);
        ExecSpec spec = { .argv = argv,
                          .user = "root",
                          .stdin_fd = hold->container_input_fd,
                          .stdout_fd = hold->container_output_fd,
                          .stderr_fd = hold->container_output_fd,
                          .timeout_ms = -1 };
        int code = 0;

        if (hold->engine->operations->exec_stdio(hold->engine, hold->container, &spec, &code, NULL) >= 0)
                hold->exit_code = code;
        hold->container_output_fd = fs_close(hold->container_output_fd); /* whoever waits for a word sees the end */
        return NULL;
}

static int make_pipe(int *ret_read, int *ret_write, Error **err)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "make a pipe");
        *ret_read = fds[0];
        *ret_write = fds[1];
        return 0;
}

/* Takes the lines that are whole out of said: 1 once it is held, and what is no news stays, to be told if it ends. */
static int take_lines(UpgradeHold *hold, Strbuf *said)
{
        _cleanup_strv_ char **lines = strv_split(strbuf_text(said), '\n');
        size_t n = strv_length(lines);

        strbuf_truncate(said, 0);
        for (size_t i = 0; i < n; i++) {
                const char *session = startswith(lines[i], WAITING);

                if (i + 1 < n && streq(lines[i], "held"))
                        return 1;
                if (i + 1 < n && session && hold->waits && !hold->waits(hold->context, session))
                        return -ERROR_CANCELLED;
                if (i + 1 == n || !session)
                        strbuf_addf(said, i + 1 < n ? "%s\n" : "%s", lines[i]);
        }
        return 0;
}

static int fail(UpgradeHold *hold, Strbuf *said, Error **err)
{
        int r;

        if (said->length > 0)
                trim(said->data);
        if (!endswith(strbuf_text(said), TIMED_OUT)) {
                r = error_set(err, ERROR_FAILED, "keep writers waiting: %.*s", REASON_LIMIT,
                              said->length > 0 ? strbuf_text(said) : "the old server's container does not answer");
                return error_hint(err, r, "Nothing was changed.");
        }
        said->data[strlen(said->data) - strlen(TIMED_OUT)] = '\0';
        trim(said->data);
        for (char *c = said->data; (c = strchr(c, '\n'));)
                *c = ';';
        r = error_set(err, ERROR_TIMEOUT, "keep writers waiting: not within %d seconds; what holds it up: %.*s",
                      hold->limit_s, REASON_LIMIT, *said->data ? said->data : "nothing that can be seen");
        return error_hint(
                err, r,
                "Nothing was changed. End those transactions (SELECT pg_terminate_backend(SESSION)), or give more time "
                "with --lock-timeout.");
}

static int await_word(UpgradeHold *hold, Error **err)
{
        _cleanup_strbuf_ Strbuf said = STRBUF_INIT;
        struct pollfd ready = { .fd = hold->output_fd, .events = POLLIN };
        char chunk[512];
        ssize_t n;
        int r;

        for (;;) {
                if (poll(&ready, 1, ASK_MS) == 0 && hold->waits && !hold->waits(hold->context, NULL))
                        return -ERROR_CANCELLED;
                if (!ready.revents)
                        continue;
                n = read(hold->output_fd, chunk, sizeof(chunk));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return fail(hold, &said, err);
                strbuf_add(&said, chunk, (size_t)n);
                r = take_lines(hold, &said);
                if (r != 0)
                        return MIN(r, 0);
        }
}

int upgrade_hold_begin(Engine *engine, const char *container, const char *what, UpgradeHold *ret, Error **err)
{
        int r;

        ret->engine = engine;
        ret->container = container;
        ret->what = what;
        r = make_pipe(&ret->container_input_fd, &ret->input_fd, err);
        if (r == 0)
                r = make_pipe(&ret->output_fd, &ret->container_output_fd, err);
        if (r < 0)
                return r;
        r = pthread_create(&ret->thread, NULL, hold_thread, ret);
        if (r != 0)
                return error_set_errno(err, r, "start a thread");
        ret->running = true;
        return await_word(ret, err);
}

int upgrade_hold_end(UpgradeHold *hold, char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf said = STRBUF_INIT;
        char chunk[4096];
        ssize_t n;

        hold->input_fd = fs_close(hold->input_fd);
        while ((n = read(hold->output_fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
                if (n > 0)
                        strbuf_add(&said, chunk, (size_t)n);
        if (hold->running)
                pthread_join(hold->thread, NULL);
        hold->running = false;
        if (hold->exit_code != 0)
                return error_set(err, ERROR_FAILED, "%s: %.*s", hold->what, REASON_LIMIT, strbuf_text(&said));
        *ret = strbuf_take(&said);
        return 0;
}

void upgrade_hold_done(UpgradeHold *hold)
{
        hold->input_fd = fs_close(hold->input_fd);
        if (hold->running)
                pthread_join(hold->thread, NULL);
        hold->running = false;
        fs_close(hold->output_fd);
        fs_close(hold->container_input_fd);
        fs_close(hold->container_output_fd);
        *hold = (UpgradeHold)UPGRADE_HOLD_INIT;
}
