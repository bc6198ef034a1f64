#include "worker/job.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "state/document.h"

void job_emit(json_t *event)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        char *text = json_dumps(event, JSON_COMPACT);
        _cleanup_strbuf_ Strbuf line = STRBUF_INIT;

        strbuf_addf(&line, "%s\n", text ? text : "{}");
        pthread_mutex_lock(&lock);
        fs_write_all(STDOUT_FILENO, strbuf_text(&line), line.length, NULL);
        pthread_mutex_unlock(&lock);
        free(text);
        json_decref(event);
}

static void emit_status(void *context, const char *text)
{
        job_emit(json_pack("{s:s}", "status", text));
}

static void emit_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
        job_emit(json_pack("{s:s, s:I, s:I}", "what", what, "done", (json_int_t)done, "total", (json_int_t)total));
}

static void emit_warning(void *context, const char *text)
{
        job_emit(json_pack("{s:s}", "warning", text));
}

ImageProgress job_progress(const Job *job)
{
        return (ImageProgress){
                .status = emit_status,
                .bytes = emit_bytes,
                .warning = emit_warning,
                .cancel_fd = job->cancel_fd,
        };
}

int job_require(const Job *job, const char *key, const char **ret, Error **err)
{
        *ret = json_get_string(job->params, key, NULL);
        return *ret ? 0 : error_set(err, ERROR_USAGE, "parameter \"%s\" is missing", key);
}

PostgresTarget job_target(const Job *job)
{
        const json_t *target = json_object_get(job->params, "target");

        return (PostgresTarget){
                .pid = (pid_t)json_get_int(target, "pid", 0),
                .data_dir = json_get_string(target, "data_dir", "/var/lib/postgresql/data"),
                .user = json_get_string(target, "user", "postgres"),
                .password = json_get_string(target, "password", NULL),
                .database = json_get_string(target, "database", NULL),
                .url = json_get_string(target, "url", NULL),
        };
}

int job_lock_place(const Job *job, int *ret_fd, Error **err)
{
        const char *path = json_get_string(job->params, "lock", NULL);

        *ret_fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
        if (path && (*ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) < 0))
                return error_set_errno(err, errno, "lock \"%s\"", path);
        return 0;
}
