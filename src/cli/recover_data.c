/* recover: the data of each service. Restoring is left to the verb restore, run as a program of its own. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "cli/recover_private.h"
#include "cli/work.h"
#include "state/document.h"

#define OUTPUT_LIMIT ((size_t)1 << 20)

static int read_output(int fd, char **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r;

        if (!ret)
                return 0;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(err, errno, "read the output");
        r = fs_read_fd(fd, OUTPUT_LIMIT, &text, err);
        if (r == 0)
                *ret = xstrdup(strbuf_text(&text));
        return r;
}

int recover_command(const Recover *recover, char *const *words, char **ret_output, Error **err)
{
        _cleanup_free_ char *self = path_of_self();
        _cleanup_strv_ char **argv = strv_new(self, NULL);
        _cleanup_close_ int output = ret_output ? fs_memory_file("output", NULL, 0, err) : -1;
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Process process;
        int status, r;

        if (ret_output && output < 0)
                return output;
        STRV_FOREACH(option, recover->global)
                strv_add(&argv, *option);
        STRV_FOREACH(word, (char **)words)
                strv_add(&argv, *word);
        spec.argv = argv;
        spec.directory = recover->directory;
        spec.stdout_fd = ret_output ? output : STDOUT_FILENO;
        spec.stderr_fd = STDERR_FILENO;
        r = process_spawn(&spec, &process, err);
        if (r == 0)
                r = process_wait(&process, -1, &status, err);
        if (r < 0)
                return r;
        if (status)
                return error_set(err, ERROR_FAILED, "\"berth %s\" failed", words[0]);
        return read_output(output, ret_output, err);
}

/* ---- repositories ---- */

/* For the last word the newest backup will do; for a point in time all of it is had. */
static int fetch(const Recover *recover, const json_t *line, char **ret_path, Error **err)
{
        const char *service = json_get_string(line, "service", "");
        Work work = { "repository-fetch", "Fetching", "backups", service, "fetching", "fetched" };
        _cleanup_free_ char *into =
                layout_data(recover->invocation->layout, "backups/%s/%s", recover->project, service);
        _cleanup_json_ json_t *report = NULL;
        json_t *params = recover_params(recover);
        int r;

        json_set_string(params, "folder", json_get_string(line, "folder", ""));
        json_set_string(params, "into", into);
        if (!invocation_given(recover->invocation, "to"))
                json_object_set_new(params, "keep", json_pack("{s:i}", "last", 1));
        r = work_run(recover->invocation, &work, params, &report, err);
        if (r == 0)
                *ret_path = xstrdup(json_get_string(report, "repository", ""));
        return r;
}

/* ---- data ---- */

/* The volume that the service had before is one that was just made for it, and empty. */
static void drop_empty(const Recover *recover, char *const *volumes, const char *output)
{
        _cleanup_json_ json_t *result = json_loads(output, 0, NULL);
        const char *copy = json_get_string(result, "copy", NULL), *end = copy ? strstr(copy, ".before-") : NULL;
        _cleanup_free_ char *volume = end ? xstrndup(copy, (size_t)(end - copy)) : NULL, *rest = NULL;
        char *words[] = { (char *)"volume", (char *)"rm", (char *)"--yes", (char *)"--purge", (char *)copy, NULL };

        if (volume && json_get_bool(result, "is_volume", false) && !strv_contains(volumes, volume))
                recover_command(recover, words, &rest, NULL);
}

static int restore(const Recover *recover, const char *service, Error **err)
{
        const char *to = invocation_text(recover->invocation, "to", "latest");
        char *words[] = { (char *)"restore",    (char *)service,    (char *)"--to", (char *)to, (char *)"--yes",
                          (char *)"--no-start", (char *)"--format", (char *)"json", NULL };
        _cleanup_free_ char *output = NULL, *folder = layout_data(recover->invocation->layout, "volumes");
        _cleanup_strv_ char **volumes = NULL;
        int r;

        fs_list_directory(AT_FDCWD, folder, &volumes, NULL);
        r = recover_command(recover, words, &output, err);
        if (r == 0)
                drop_empty(recover, volumes, output);
        return r;
}

static json_t *restored(const Recover *recover)
{
        return json_object_get(recover->mark, "restored");
}

static int recover_service(Recover *recover, const json_t *line, Error **err)
{
        const char *service = json_get_string(line, "service", "");
        _cleanup_free_ char *path = NULL;
        int r;

        if (json_object_get(restored(recover), service))
                return 0; /* by an earlier run */
        r = fetch(recover, line, &path, err);
        if (r == 0)
                r = restore(recover, service, err);
        if (r < 0)
                return error_prefix(err, r, "service \"%s\"", service);
        json_object_set_new(restored(recover), service, json_string(path));
        return recover_remember(recover, err);
}

int recover_data(Recover *recover, Error **err)
{
        const json_t *line;
        size_t i;
        int r = 0;

        json_array_foreach(recover->lines, i, line)
                if (r == 0)
                        r = recover_service(recover, line, err);
        return r;
}

int recover_claim(const Recover *recover, Error **err)
{
        const json_t *line;
        size_t i;
        int r = 0;

        json_array_foreach(recover->lines, i, line) {
                json_t *params = recover_params(recover);
                _cleanup_json_ json_t *result = NULL;

                json_set_string(params, "folder", json_get_string(line, "folder", ""));
                r = work_ask(recover->invocation, "offsite-claim", params, &result, err);
                if (r < 0)
                        break;
        }
        return r;
}
