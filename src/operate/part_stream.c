/* From one server into the other. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/dump.h"
#include "operate/part_private.h"
#include "operate/sql.h"

#define REASON_LIMIT 2000

typedef struct Reader {
        const PartServers *servers;
        char **environment;
        int input_fd, errors_fd; /* input_fd is closed as soon as psql has ended, so that nobody writes for ever */
        int code, result;
        Error *error;
} Reader;

static void *read_thread(void *argument)
{
        Reader *reader = argument;
        char *argv[] = { (char *)"psql", (char *)"-XAtqw", (char *)"-v", (char *)"ON_ERROR_STOP=1",
                         (char *)"-f",   (char *)"-",      NULL };
        _cleanup_close_ int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        const ExecSpec spec = { .argv = argv,
                                .environment = reader->environment,
                                .stdin_fd = reader->input_fd,
                                .stdout_fd = nowhere,
                                .stderr_fd = reader->errors_fd,
                                .timeout_ms = -1,
                                .cancel_fd = -1 };
        Engine *engine = reader->servers->engine;

        reader->result = engine->operations->exec_stdio(engine, reader->servers->running->id, &spec, &reader->code,
                                                        &reader->error);
        reader->input_fd = fs_close(reader->input_fd);
        return NULL;
}

/* The first line with an error, as psql tells it. */
static char *reason_of(int fd)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *line;

        lseek(fd, 0, SEEK_SET);
        fs_read_fd(fd, (size_t)64 * 1024, &text, NULL);
        line = strstr(strbuf_text(&text), "ERROR:");
        if (line)
                line += strlen("ERROR:") + strspn(line + strlen("ERROR:"), " ");
        else
                line = strbuf_text(&text);
        return xstrndup(line, MIN(strcspn(line, "\n"), (size_t)REASON_LIMIT));
}

static int dump(const PartServers *servers, const PartStream *stream, int fd, Error **err)
{
        char *clean[] = { (char *)"--clean", (char *)"--if-exists", NULL };
        const DumpOptions options = { .engine = servers->engine,
                                      .container = servers->copy,
                                      .format = DUMP_PLAIN,
                                      .database = stream->from,
                                      .tables = stream->tables,
                                      .arguments = stream->clean ? clean : NULL };
        _cleanup_dump_result_ DumpResult result = { 0 };

        return dump_to_stream(&options, fd, servers->progress, &result, err);
}

/* COMMIT is only said to a pg_dump that has ended well; otherwise the connection's end takes everything back. */
static int write_all(const PartServers *servers, const PartStream *stream, int fd, Error **err)
{
        /* The transaction that gives a new database its name waits for the disk, and so for all before it. */
        static const char begin[] = "BEGIN;\n", commit[] = "\nCOMMIT;\n", no_wait[] = "SET synchronous_commit = off;\n";
        const char *first = stream->tables ? begin : no_wait;
        int r = fs_write_all(fd, first, strlen(first), err);

        if (r == 0)
                r = dump(servers, stream, fd, err);
        if (r == 0 && stream->check)
                r = fs_write_all(fd, stream->check, strlen(stream->check), err);
        return r < 0 || !stream->tables ? r : fs_write_all(fd, commit, strlen(commit), err);
}

static int end_reader(Reader *reader, int written, Error **err)
{
        _cleanup_free_ char *reason = NULL;

        if (reader->result < 0)
                return error_move(err, &reader->error, reader->result);
        if (reader->code == 0)
                return written;
        reason = reason_of(reader->errors_fd);
        error_free(*err);
        *err = NULL;
        return error_hint(err,
                          error_set(err, ERROR_FAILED, "the running server: %s",
                                    isempty(reason) ? "psql failed without a word" : reason),
                          "All of it was taken back: nothing was changed.");
}

int part_stream(const PartServers *servers, const PartStream *stream, Error **err)
{
        Reader reader = { .servers = servers, .input_fd = -1, .errors_fd = -1 };
        _cleanup_error_ Error *reason = NULL;
        int fds[2], r = sql_find_way(servers->engine, servers->running, stream->to, &reader.environment, err);
        pthread_t thread;

        if (r >= 0)
                r = reader.errors_fd = fs_memory_file("errors", NULL, 0, err);
        if (r >= 0 && pipe2(fds, O_CLOEXEC) < 0)
                r = error_set_errno(err, errno, "make a pipe");
        if (r >= 0) {
                reader.input_fd = fds[0];
                r = pthread_create(&thread, NULL, read_thread, &reader);
                if (r == 0) {
                        r = write_all(servers, stream, fds[1], &reason);
                        fs_close(fds[1]);
                        pthread_join(thread, NULL);
                        r = end_reader(&reader, r, &reason);
                        if (r < 0)
                                error_move(err, &reason, r);
                } else {
                        fs_close(fds[0]);
                        fs_close(fds[1]);
                        r = error_set_errno(err, r, "start a thread");
                }
        }
        strv_free(reader.environment);
        error_free(reader.error);
        fs_close(reader.errors_fd);
        return MIN(r, 0);
}
