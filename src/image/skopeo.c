#include "image/skopeo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "image/reference.h"

#define OUTPUT_LIMIT   ((size_t)8 * 1024 * 1024)
#define TICK_MS        200               /* how often the growing files are looked at */
#define RETRIES        "--retry-times=2" /* of a transfer that broke off; the registry has answered by then */
#define DEFAULT_POLICY "/etc/containers/policy.json"

extern char **environ;

/* ---- telling errors apart ---- */

#define FROM_ELSEWHERE \
        "Where another machine has it: `berth image save` or `docker save` there, `berth image load` here."

static const struct {
        const char *text; /* part of what skopeo prints */
        ErrorKind kind;
        const char *message, *hint;
} failures[] = {
        { "no space left on device", ERROR_NO_SPACE, "the disk is full",
          "Free some space, `berth image prune` may help." },
        { "disk quota exceeded", ERROR_NO_SPACE, "the disk quota is reached", NULL },
        { "manifest unknown", ERROR_NOT_FOUND, "the registry has no such image", "Check the name and the tag." },
        { "name unknown", ERROR_NOT_FOUND, "the registry has no such repository", "Check the name." },
        { "repository name not known", ERROR_NOT_FOUND, "the registry has no such repository", "Check the name." },
        { "404 (Not Found)", ERROR_NOT_FOUND, "the registry has no such image", "Check the name and the tag." },
        { "No such image", ERROR_NOT_FOUND, "Docker has no such image", "`docker image ls` shows which there are." },
        { "reference does not exist", ERROR_NOT_FOUND, "Docker has no such image",
          "`docker image ls` shows which there are." },
        { "Cannot connect to the Docker daemon", ERROR_UNAVAILABLE, "Docker does not run here",
          "Start it, or set DOCKER_HOST." },
        { "oesn't match expected", ERROR_CORRUPT, "the registry sent something else than its digest says", NULL },
        { "did not match", ERROR_CORRUPT, "the registry sent something else than its digest says", NULL },
        { "does not match", ERROR_CORRUPT, "the registry sent something else than its digest says", NULL },
        { "unexpected EOF", ERROR_UNAVAILABLE, "the registry broke the transfer off", "Try again." },
        { "unauthorized", ERROR_DENIED, "the registry wants credentials, or has no such image",
          "Log in with `skopeo login` or `docker login`." },
        { "authentication required", ERROR_DENIED, "the registry wants credentials, or has no such image",
          "Log in with `skopeo login` or `docker login`." },
        { "requested access to the resource is denied", ERROR_DENIED,
          "the registry denies access, or has no such image",
          "Check the name, or log in with `skopeo login` or `docker login`." },
        { "toomanyrequests", ERROR_UNAVAILABLE, "the registry's pull limit is reached", "Log in, or use a mirror." },
        { "x509:", ERROR_UNAVAILABLE, "the registry's certificate is not trusted",
          "Put its CA into /etc/containers/certs.d, or mark the registry as insecure in registries.conf." },
        { "server gave HTTP response to HTTPS client", ERROR_UNAVAILABLE, "the registry speaks plain HTTP",
          "Mark it with insecure = true in registries.conf if that is meant." },
        { "connection refused", ERROR_UNAVAILABLE, "the registry is unreachable: connection refused", FROM_ELSEWHERE },
        { "no such host", ERROR_UNAVAILABLE, "the registry is unreachable: its name is not known", FROM_ELSEWHERE },
        { "server misbehaving", ERROR_UNAVAILABLE, "the registry is unreachable: its name cannot be looked up",
          FROM_ELSEWHERE },
        { "network is unreachable", ERROR_UNAVAILABLE, "the registry is unreachable: no network", FROM_ELSEWHERE },
        { "no route to host", ERROR_UNAVAILABLE, "the registry is unreachable: no route", FROM_ELSEWHERE },
        { "timeout", ERROR_UNAVAILABLE, "the registry does not answer", FROM_ELSEWHERE },
        { "dial tcp", ERROR_UNAVAILABLE, "the registry is unreachable", FROM_ELSEWHERE },
        { "pinging container registry", ERROR_UNAVAILABLE, "the registry is unreachable", FROM_ELSEWHERE },
};

/* time="…" level=fatal msg="…": the message without its quoting; owned by the caller. */
static char *last_message(const char *errors)
{
        const char *start = strstr(errors, "level=fatal msg=\""), *parsing, *reason;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (!start)
                return xstrndup(errors, strcspn(errors, "\n"));
        for (start += strlen("level=fatal msg=\""); *start && *start != '"'; start++) {
                if (*start == '\\' && start[1])
                        start++;
                strbuf_addc(&text, *start);
        }
        /* What it was doing is said already: "Error parsing image name \"docker://x\": why". */
        parsing = startswith(strbuf_text(&text), "Error parsing image name \"");
        reason = parsing ? strstr(parsing, "\": ") : NULL;
        return xstrdup(reason ? reason + 3 : strbuf_text(&text));
}

static int explain(const Skopeo *skopeo, const char *errors, Error **err)
{
        _cleanup_free_ char *message = last_message(errors);

        for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
                int r;

                if (!strstr(errors, failures[i].text))
                        continue;
                r = error_set(err, failures[i].kind, "%s (%s)", failures[i].message, message);
                return failures[i].hint ? error_hint(err, r, "%s", failures[i].hint) : r;
        }
        return error_set(err, ERROR_FAILED, "%s", isempty(message) ? "skopeo failed" : message);
}

/* ---- running ---- */

static char **make_environment(const Skopeo *skopeo)
{
        char **environment = strv_copy(environ);

        if (skopeo->staging)
                strv_env_set(&environment, "TMPDIR", skopeo->staging->path);
        return environment;
}

/* The variable is for libraries newer than some distributions' skopeo, which knows the option only. */
static void add_global_options(const Skopeo *skopeo, char ***argv)
{
        _cleanup_free_ char *own = layout_config(skopeo->layout, "registries.conf");
        const char *chosen = getenv("CONTAINERS_REGISTRIES_CONF");

        strv_add(argv, "skopeo");
        if (!fs_exists(DEFAULT_POLICY))
                strv_add(argv, "--insecure-policy");
        if (isempty(chosen) && fs_exists(own))
                chosen = own;
        if (!isempty(chosen))
                strv_addf(argv, "--registries-conf=%s", chosen);
}

static void add_credentials(const Skopeo *skopeo, const char *option, char ***argv)
{
        _cleanup_free_ char *auth = layout_config(skopeo->layout, "auth.json");

        if (fs_exists(auth))
                strv_addf(argv, "%s=%s", option, auth);
}

/* Reads what is there without waiting; false at the end. */
static bool read_some(int fd, Strbuf *text)
{
        ssize_t n;

        strbuf_reserve(text, 65536);
        n = read(fd, text->data + text->length, 65536);
        if (n > 0 && text->length < OUTPUT_LIMIT) {
                text->length += (size_t)n;
                text->data[text->length] = '\0';
        }
        return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

typedef struct Watch {
        const char *const *folders; /* whose files grow; ends with NULL; NULL: nothing to tell */
        uint64_t total_bytes;
} Watch;

static void tell(const Skopeo *skopeo, const Watch *watch)
{
        uint64_t done = 0;

        if (!watch || !watch->folders)
                return;
        for (const char *const *folder = watch->folders; *folder; folder++) {
                _cleanup_strv_ char **names = NULL;

                fs_list_directory(AT_FDCWD, *folder, &names, NULL);
                STRV_FOREACH(name, names) {
                        _cleanup_free_ char *path = path_join(*folder, *name);
                        struct stat status;

                        if (lstat(path, &status) == 0 && S_ISREG(status.st_mode))
                                done += (uint64_t)status.st_size;
                }
        }
        progress_bytes(skopeo->progress, skopeo->name, watch->total_bytes ? MIN(done, watch->total_bytes) : done,
                       watch->total_bytes);
}

/* Until both pipes are closed or it is cancelled. */
static int follow(const Skopeo *skopeo, const Watch *watch, int out_fd, Strbuf *output, int err_fd, Strbuf *errors,
                  Error **err)
{
        struct pollfd items[3] = {
                { .fd = out_fd, .events = POLLIN },
                { .fd = err_fd, .events = POLLIN },
                { .fd = skopeo->progress->cancel_fd, .events = POLLIN },
        };

        while (items[0].fd >= 0 || items[1].fd >= 0) {
                if (poll(items, 3, watch ? TICK_MS : -1) < 0 && errno != EINTR)
                        return error_set_errno(err, errno, "poll");
                if (items[2].revents)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (items[0].revents && !read_some(out_fd, output))
                        items[0].fd = -1;
                if (items[1].revents && !read_some(err_fd, errors))
                        items[1].fd = -1;
                tell(skopeo, watch);
        }
        return 0;
}

static int run(const Skopeo *skopeo, char *const *argv, const Watch *watch, Strbuf *output, Error **err)
{
        _cleanup_strv_ char **environment = make_environment(skopeo);
        _cleanup_strbuf_ Strbuf errors = STRBUF_INIT;
        _cleanup_close_ int out_read = -1, err_read = -1, out_write = -1, err_write = -1;
        int out_pipe[2], err_pipe[2], status, r;
        Process process;
        ProcessSpec spec = PROCESS_SPEC_INIT;

        if (pipe2(out_pipe, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "pipe");
        out_read = out_pipe[0], out_write = out_pipe[1];
        if (pipe2(err_pipe, O_CLOEXEC) < 0)
                return error_set_errno(err, errno, "pipe");
        err_read = err_pipe[0], err_write = err_pipe[1];
        spec.argv = argv;
        spec.environment = environment;
        spec.stdout_fd = out_write;
        spec.stderr_fd = err_write;
        spec.die_with_parent = true;
        r = process_spawn(&spec, &process, err);
        if (r < 0)
                return error_hint(err, r, "Install the package skopeo.");
        out_write = fs_close(out_write);
        err_write = fs_close(err_write);
        r = follow(skopeo, watch, out_read, output, err_read, &errors, err);
        if (r < 0) {
                process_kill(&process);
                return r;
        }
        r = process_wait(&process, -1, &status, err);
        if (r < 0)
                return r;
        return status == 0 ? 0 : explain(skopeo, strbuf_text(&errors), err);
}

/* ---- what it is run for ---- */

static int inspect(const Skopeo *skopeo, const char *source, bool config, Strbuf *ret, Error **err)
{
        _cleanup_strv_ char **argv = NULL;

        add_global_options(skopeo, &argv);
        strv_add(&argv, "inspect");
        strv_add(&argv, "--raw");
        if (config)
                strv_add(&argv, "--config");
        add_credentials(skopeo, "--authfile", &argv);
        strv_addf(&argv, "docker://%s", source);
        return run(skopeo, argv, NULL, ret, err);
}

int skopeo_manifest(const Skopeo *skopeo, const char *source, Strbuf *ret, Error **err)
{
        return inspect(skopeo, source, false, ret, err);
}

int skopeo_config(const Skopeo *skopeo, const char *source, Strbuf *ret, Error **err)
{
        return inspect(skopeo, source, true, ret, err);
}

int skopeo_fetch_layers(const Skopeo *skopeo, const char *source, uint64_t total_bytes, Error **err)
{
        _cleanup_free_ char *layout_folder = path_join(skopeo->staging->path, "oci");
        _cleanup_free_ char *blobs = path_join(skopeo->staging->path, SKOPEO_BLOBS);
        _cleanup_free_ char *digests = path_join(blobs, "sha256");
        const char *folders[] = { layout_folder, digests, NULL };
        Watch watch = { .folders = folders, .total_bytes = total_bytes };
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        _cleanup_strv_ char **argv = NULL;

        add_global_options(skopeo, &argv);
        strv_add(&argv, "copy");
        strv_add(&argv, "--quiet");
        strv_add(&argv, RETRIES);
        add_credentials(skopeo, "--src-authfile", &argv);
        strv_addf(&argv, "--dest-shared-blob-dir=%s", blobs);
        strv_addf(&argv, "docker://%s", source);
        strv_addf(&argv, "oci:%s:image", layout_folder);
        return run(skopeo, argv, &watch, &output, err);
}

int skopeo_fetch_whole(const Skopeo *skopeo, const char *transport_and_source, uint64_t total_bytes, int *ret_fd,
                       Error **err)
{
        _cleanup_free_ char *folder = path_join(skopeo->staging->path, "image");
        const char *folders[] = { folder, NULL };
        Watch watch = { .folders = folders, .total_bytes = total_bytes };
        const char *docker_host = getenv("DOCKER_HOST");
        _cleanup_strbuf_ Strbuf output = STRBUF_INIT;
        _cleanup_strv_ char **argv = NULL;
        int r;

        add_global_options(skopeo, &argv);
        strv_add(&argv, "copy");
        strv_add(&argv, "--quiet");
        strv_add(&argv, RETRIES);
        add_credentials(skopeo, "--src-authfile", &argv);
        if (startswith(transport_and_source, "docker-daemon:") && !isempty(docker_host))
                strv_addf(&argv, "--src-daemon-host=%s", docker_host);
        strv_add(&argv, transport_and_source);
        strv_addf(&argv, "dir:%s", folder);
        r = run(skopeo, argv, &watch, &output, err);
        if (r < 0)
                return r;
        *ret_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return *ret_fd >= 0 ? 0 : error_set_errno(err, errno, "open \"%s\"", folder);
}

int skopeo_copy_from_daemon(const Layout *layout, const Staging *staging, const char *name,
                            const ImageProgress *progress, int *ret_fd, Error **err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *normalized = NULL, *familiar = NULL, *source = NULL;
        Skopeo skopeo = { .layout = layout, .staging = staging, .progress = progress, .name = name };
        int r = reference_parse(name, &reference, err);

        if (r < 0)
                return r;
        normalized = reference_text(&reference);
        familiar = reference_familiar(normalized);
        source = xasprintf("docker-daemon:%s", familiar);
        progress_status(progress, "copying from Docker");
        return skopeo_fetch_whole(&skopeo, source, 0, ret_fd, err);
}
