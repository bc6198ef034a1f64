#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/load.h"
#include "image/manifest.h"
#include "image/platform.h"
#include "image/reference.h"
#include "image/store.h"
#include "state/document.h"

/* ---- changes of the configuration ---- */

/* A JSON list, or what a shell is to run. */
static json_t *command_value(const char *text)
{
        json_t *list = *text == '[' ? json_loads(text, 0, NULL) : NULL;

        return json_is_array(list) ? list : json_pack("[s, s, s]", "/bin/sh", "-c", text);
}

static void append_string(json_t *config, const char *key, const char *text)
{
        json_t *list = json_object_get(config, key);

        if (!list) {
                list = json_array();
                json_object_set_new(config, key, list);
        }
        json_array_append_new(list, json_string(text));
}

static void set_member(json_t *config, const char *key, const char *name, json_t *value)
{
        json_t *object = json_object_get(config, key);

        if (!object) {
                object = json_object();
                json_object_set_new(config, key, object);
        }
        json_object_set_new(object, name, value);
}

static void change_command(json_t *config, const char *text)
{
        json_object_set_new(config, "Cmd", command_value(text));
}

static void change_entrypoint(json_t *config, const char *text)
{
        json_object_set_new(config, "Entrypoint", command_value(text));
}

static void change_environment(json_t *config, const char *text)
{
        append_string(config, "Env", text);
}

static void change_port(json_t *config, const char *text)
{
        _cleanup_free_ char *port = strchr(text, '/') ? xstrdup(text) : xasprintf("%s/tcp", text);

        set_member(config, "ExposedPorts", port, json_object());
}

static void change_volume(json_t *config, const char *text)
{
        set_member(config, "Volumes", text, json_object());
}

static void change_label(json_t *config, const char *text)
{
        size_t length = strcspn(text, "=");
        _cleanup_free_ char *name = xstrndup(text, length);

        set_member(config, "Labels", name, json_string(text[length] ? text + length + 1 : ""));
}

static void change_user(json_t *config, const char *text)
{
        json_set_string(config, "User", text);
}

static void change_folder(json_t *config, const char *text)
{
        json_set_string(config, "WorkingDir", text);
}

static void change_signal(json_t *config, const char *text)
{
        json_set_string(config, "StopSignal", text);
}

static const struct {
        const char *instruction;
        void (*apply)(json_t *config, const char *text);
} changes_table[] = {
        { "CMD", change_command }, { "ENTRYPOINT", change_entrypoint }, { "ENV", change_environment },
        { "EXPOSE", change_port }, { "VOLUME", change_volume },         { "LABEL", change_label },
        { "USER", change_user },   { "WORKDIR", change_folder },        { "STOPSIGNAL", change_signal },
};

static int apply_change(json_t *config, const char *change, Error **err)
{
        size_t length = strcspn(change, " \t");
        const char *text = change + length + strspn(change + length, " \t");

        for (size_t i = 0; i < ARRAY_SIZE(changes_table); i++)
                if (strlen(changes_table[i].instruction) == length &&
                    strncasecmp(change, changes_table[i].instruction, length) == 0 && *text) {
                        changes_table[i].apply(config, text);
                        return 0;
                }
        return error_set(err, ERROR_USAGE,
                         "change \"%.200s\" is none of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, "
                         "USER, VOLUME, WORKDIR with a value",
                         change);
}

static int make_config(const char *platform, char *const *changes, const char *diff_id, Strbuf *ret, Error **err)
{
        _cleanup_free_ char *own = platform_of_machine(), *created = clock_format_rfc3339(clock_realtime_ns()),
                            *text = NULL;
        _cleanup_strv_ char **parts = strv_split(platform ? platform : own, '/');
        _cleanup_json_ json_t *config = json_object(), *blob = NULL;

        if (strv_length(parts) < 2)
                return error_set(err, ERROR_USAGE, "platform \"%s\" is not like linux/amd64", platform);
        STRV_FOREACH(change, changes) {
                int r = apply_change(config, *change, err);

                if (r < 0)
                        return r;
        }
        blob = json_pack("{s:s, s:s, s:s, s:O, s:{s:s, s:[s]}, s:[{s:s, s:s}]}", "created", created, "os", parts[0],
                         "architecture", parts[1], "config", config, "rootfs", "type", "layers", "diff_ids", diff_id,
                         "history", "created", created, "comment", "imported by berth");
        if (parts[2])
                json_set_string(blob, "variant", parts[2]);
        text = json_dumps(blob, JSON_COMPACT);
        strbuf_adds(ret, text);
        return 0;
}

/* ---- the root file system ---- */

static bool cancelled(void *context)
{
        return progress_cancelled(context);
}

/* Unpacks into the staging area under the name that store_add_image looks for. */
static int unpack_root(const Staging *staging, int fd, const ImageProgress *progress, UnpackResult *ret, Error **err)
{
        UnpackOptions options = { .cancelled = cancelled, .context = (void *)progress };
        _cleanup_close_ int folder = -1;
        _cleanup_free_ char *name = NULL;
        int r;

        progress_status(progress, "unpacking");
        if (mkdirat(staging->fd, "import", 0755) < 0 || fchmodat(staging->fd, "import", 0755, 0) < 0)
                return error_set_errno(err, errno, "make folder in \"%s\"", staging->path);
        folder = openat(staging->fd, "import", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_set_errno(err, errno, "open \"%s/import\"", staging->path);
        r = layer_unpack(fd, folder, &options, ret, err);
        if (r < 0)
                return r;
        name = xasprintf("layer-%s", digest_hex(ret->diff_id));
        if (renameat(staging->fd, "import", staging->fd, name) < 0)
                return error_set_errno(err, errno, "rename to \"%s/%s\"", staging->path, name);
        return 0;
}

static int make_image(const Staging *staging, int fd, const char *name, const char *platform, char *const *changes,
                      const ImageProgress *progress, NewImage **ret, Error **err)
{
        _cleanup_(new_image_freep) NewImage *image = xnew(NewImage);
        UnpackResult result;
        char *normalized = NULL;
        int r;

        image->source_fd = staging->fd;
        if (name) {
                r = image_reference_normalize(name, &normalized, err);
                if (r < 0)
                        return r;
                strv_take(&image->names, normalized);
        }
        r = unpack_root(staging, fd, progress, &result, err);
        if (r == 0)
                r = make_config(platform, changes, result.diff_id, &image->config, err);
        if (r < 0)
                return r;
        vector_add(&image->layers, (NewLayer){ .path = xstrdup(""), .unpacked = xmemdup(&result, sizeof(result)) });
        *ret = TAKE_PTR(image);
        return 0;
}

int image_import(const Layout *layout, const char *source, const char *name, const char *platform, char *const *changes,
                 const ImageProgress *progress, char **ret_id, Error **err)
{
        _cleanup_staging_ Staging staging = STAGING_INIT;
        _cleanup_(new_image_freep) NewImage *image = NULL;
        _cleanup_close_ int fd = streq(source, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                                    : open(source, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", source);
        r = staging_create(layout, &staging, err);
        if (r == 0)
                r = make_image(&staging, fd, name, platform, changes, progress, &image, err);
        if (r == 0)
                r = store_add_image(layout, &staging, image, progress, ret_id, err);
        return error_prefix(err, r, "import \"%s\"", source);
}
