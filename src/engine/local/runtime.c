#include "engine/local/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "state/document.h"

#define RUNTIME_FORMAT 1
#define TRY_TIMEOUT_MS 60000

char *runtime_state_path(const Layout *layout)
{
        return layout_run(layout, "runtime");
}

/* ---- what was asked for ---- */

/* The value of `runtime` in berth.conf ("key = value" lines), or NULL; the caller's. */
static char *configured_runtime(const Layout *layout)
{
        _cleanup_free_ char *path = layout_config(layout, "berth.conf");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0)
                return NULL;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                const char *key = *line + strspn(*line, " \t"), *value = startswith(key, "runtime");
                if (!value)
                        continue;
                value += strspn(value, " \t");
                if (*value != '=')
                        continue;
                value += 1 + strspn(value + 1, " \t\"");
                return xstrndup(value, strcspn(value, " \t\"#"));
        }
        return NULL;
}

/* ---- the try ---- */

static int write_try_bundle(const char *folder, const char *program, const char *cgroup, Error **err)
{
        _cleanup_free_ char *root = path_join(folder, "root"), *config = path_join(folder, "config.json"), *text = NULL;
        _cleanup_free_ char *target = path_join(root, "init"), *proc = path_join(root, "proc"),
                            *dev = path_join(root, "dev");
        _cleanup_strbuf_ Strbuf binary = STRBUF_INIT;
        _cleanup_json_ json_t *json = NULL;
        int r;

        r = fs_make_directories(proc, 0755, err);
        if (r >= 0)
                r = fs_make_directories(dev, 0755, err); /* crun 1.21 opens it even where nothing is mounted there */
        if (r >= 0)
                r = fs_read_file(AT_FDCWD, program, (size_t)64 << 20, &binary, err);
        if (r >= 0)
                r = fs_rewrite_in_place(AT_FDCWD, target, binary.data, binary.length, 0755, err);
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:{s:{s:i,s:i}, s:[s,s], s:s, s:b}, s:{s:s}, s:[{s:s,s:s,s:s}], "
                         "s:{s:s, s:[{s:s},{s:s}], s:{s:{s:i}}}}",
                         "ociVersion", "1.0.2", "process", "user", "uid", 0, "gid", 0, "args", "/init", "--version",
                         "cwd", "/", "terminal", 0, "root", "path", root, "mounts", "destination", "/proc", "type",
                         "proc", "source", "proc", "linux", "cgroupsPath", cgroup, "namespaces", "type", "mount",
                         "type", "pid", "resources", "pids", "limit", 100);
        text = json_dumps(json, JSON_COMPACT);
        return fs_rewrite_in_place(AT_FDCWD, config, text, strlen(text), 0600, err);
}

/* A container that does nothing and ends. */
static int try_runtime(const Layout *layout, const char *runtime, Error **err)
{
        _cleanup_free_ char *folder = layout_run(layout, "runtime-try.%d", (int)gettid()),
                            *state = path_join(folder, "state");
        _cleanup_free_ char *program = layout_libexec(layout, "berth-init"),
                            *id = xasprintf("berth-try-%d", (int)gettid());
        _cleanup_free_ char *cgroup = xasprintf("/berth-%s/%s", layout->id, id);
        _cleanup_process_result_ ProcessResult result = { 0 };
        char *argv[] = {
                (char *)runtime, (char *)"--root", state, (char *)"run", (char *)"--bundle", folder, id, NULL
        };
        ProcessRun run = PROCESS_RUN_INIT;
        int r;

        r = write_try_bundle(folder, program, cgroup, err);
        if (r >= 0) {
                run.spec.argv = argv;
                run.timeout_ms = TRY_TIMEOUT_MS;
                r = process_run_checked(&run, &result, err);
        }
        fs_remove_tree(AT_FDCWD, folder, NULL);
        container_remove_parent_cgroups(layout);
        return r;
}

/* ---- the answer ---- */

static char *remembered(const char *path, const char *wanted)
{
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_json_ json_t *json = NULL;
        const char *runtime;

        if (document_load(path, RUNTIME_FORMAT, &json, NULL) < 0)
                return NULL;
        runtime = json_get_string(json, "runtime", "");
        if (!streq(json_get_string(json, "boot_id", ""), boot_id) ||
            !streq(json_get_string(json, "wanted", ""), wanted) || access(runtime, X_OK) < 0)
                return NULL;
        return xstrdup(runtime);
}

static void remember(const char *path, const char *wanted, const char *runtime)
{
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_json_ json_t *json =
                json_pack("{s:s,s:s,s:s}", "boot_id", boot_id, "wanted", wanted, "runtime", runtime);

        document_save_volatile(path, RUNTIME_FORMAT, json, NULL);
}

static int no_runtime(const char *reasons, Error **err)
{
        int r;

        if (!*reasons) {
                r = error_set(err, ERROR_UNAVAILABLE, "there is no OCI runtime on this machine");
                return error_hint(err, r, "Install crun or runc.");
        }
        r = error_set(err, ERROR_UNAVAILABLE, "no OCI runtime works on this machine: %s", reasons);
        return error_hint(err, r,
                          "Check that cgroups are mounted at /sys/fs/cgroup, and which runtime supports this layout.");
}

static int try_all(const Layout *layout, const char *wanted, char **ret, Error **err)
{
        const char *const candidates[] = { *wanted ? wanted : "crun", *wanted ? NULL : "runc" };
        _cleanup_strbuf_ Strbuf reasons = STRBUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(candidates) && candidates[i]; i++) {
                _cleanup_free_ char *path = process_find(candidates[i]);
                _cleanup_error_ Error *error = NULL;
                if (!path && *wanted)
                        return error_hint(err, error_set(err, ERROR_UNAVAILABLE, "OCI runtime %s: not found", wanted),
                                          "Install it, or take BERTH_RUNTIME (or `runtime` in berth.conf) away.");
                if (!path)
                        continue;
                if (try_runtime(layout, path, &error) >= 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
                strbuf_addf(&reasons, "%s%s", reasons.length ? "; " : "", error->message);
        }
        return no_runtime(strbuf_text(&reasons), err);
}

int runtime_find(const Layout *layout, char **ret, Error **err)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        _cleanup_free_ char *path = layout_run(layout, "runtime.json"), *configured = configured_runtime(layout),
                            *found = NULL;
        const char *given = getenv("BERTH_RUNTIME"), *wanted = !isempty(given) ? given : configured ? configured : "";
        int r = 0;

        pthread_mutex_lock(&lock);
        found = remembered(path, wanted);
        if (!found) {
                r = try_all(layout, wanted, &found, err);
                if (r >= 0)
                        remember(path, wanted, found);
        }
        pthread_mutex_unlock(&lock);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(found);
        return 0;
}
