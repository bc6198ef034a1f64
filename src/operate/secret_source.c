#include "operate/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"

/* printf and echo both make a secret: one newline at the end is nobody's password. */
static int take_value(Strbuf *text, char **ret, Error **err)
{
        size_t length = text->length;

        if (length > 0 && text->data[length - 1] == '\n')
                length--;
        if (length > 0 && text->data[length - 1] == '\r')
                length--;
        if (length == 0)
                return error_set(err, ERROR_INVALID, "it is empty");
        if (memchr(text->data, '\0', length))
                return error_set(err, ERROR_INVALID, "it holds a NUL byte");
        *ret = xstrndup(text->data, length);
        return 0;
}

int secret_file_read(const char *path, char **ret, Error **err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        struct stat status;
        int r;

        if (fd < 0 || fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "secret file \"%s\"", path);
        if (!S_ISREG(status.st_mode))
                return error_set(err, ERROR_INVALID, "secret file \"%s\" is not a regular file", path);
        r = fs_read_fd(fd, SECRET_LIMIT, &text, err);
        if (r >= 0)
                r = take_value(&text, ret, err);
        strbuf_erase(&text);
        return error_prefix(err, r, "secret file \"%s\"", path);
}

/* The last line that the program wrote to its standard error; what it printed may be the secret. */
static void add_reason(Strbuf *message, Strbuf *errors)
{
        const char *line;

        while (errors->length > 0 && strchr("\r\n ", errors->data[errors->length - 1]))
                strbuf_truncate(errors, errors->length - 1);
        line = strrchr(strbuf_text(errors), '\n');
        line = line ? line + 1 : strbuf_text(errors);
        if (*line)
                strbuf_addf(message, ": %.300s", line);
}

static int run_command(const FileSource *source, char **ret, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_strbuf_ Strbuf message = STRBUF_INIT;
        ProcessRun run = PROCESS_RUN_INIT;
        int r;

        run.spec.argv = source->command;
        run.output_limit = SECRET_LIMIT + 1;
        run.timeout_ms = (int)MIN(source->command_timeout_ns / NSEC_PER_MSEC, (int64_t)INT32_MAX);
        r = process_run(&run, &result, err);
        if (r == 0 && result.timed_out)
                r = error_set(err, ERROR_TIMEOUT, "no end after %d ms", run.timeout_ms);
        else if (r == 0 && result.status != 0) {
                strbuf_addf(&message, "exit status %d", result.status);
                add_reason(&message, &result.errors);
                r = error_set(err, ERROR_FAILED, "%s", strbuf_text(&message));
        } else if (r == 0 && result.output.length > SECRET_LIMIT)
                r = error_set(err, ERROR_INVALID, "it printed more than %zu bytes", SECRET_LIMIT);
        else if (r == 0)
                r = take_value(&result.output, ret, err);
        strbuf_erase(&result.output);
        error_prefix(err, r, "secret \"%s\": command %s", source->key, source->command[0]);
        return error_hint(err, r, "Run the command of x-berth.secrets.%s by hand and see what it prints.", source->key);
}

int secret_source_read(const FileSource *source, char **ret, Error **err)
{
        if (source->content) {
                *ret = xstrdup(source->content);
                return 0;
        }
        if (source->file)
                return secret_file_read(source->file, ret, err);
        if (source->command)
                return run_command(source, ret, err);
        if (source->environment)
                return error_set(err, ERROR_NOT_FOUND, "secret \"%s\": environment variable \"%s\" is not set",
                                 source->key, source->environment);
        return error_hint(err, error_set(err, ERROR_UNSUPPORTED, "secret \"%s\" is external", source->key),
                          "Say where it comes from: x-berth: {secrets: {%s: {command: [...]}}} or {file: PATH}.",
                          source->key);
}

int secret_sources_fetch(Project *project, Error **err)
{
        for (size_t i = 0; i < project->n_secrets; i++) {
                FileSource *source = &project->secrets[i];
                _cleanup_(free_secretp) char *value = NULL;
                int r;

                if (!source->command || source->content)
                        continue;
                r = run_command(source, &value, err);
                if (r < 0)
                        return r;
                source->content = arena_strdup(project->arena, value);
        }
        return 0;
}
