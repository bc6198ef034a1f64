#include "state/layout.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "state/document.h"

#ifndef BERTH_LIBEXEC_DIR
#define BERTH_LIBEXEC_DIR "/usr/local/libexec/berth"
#endif

#define DATA_FORMAT 1

static char *root_from_environment(const char *variable, const char *fallback)
{
        const char *value = getenv(variable);
        _cleanup_free_ char *here = NULL;

        if (isempty(value))
                return xstrdup(fallback);
        here = getcwd(NULL, 0);
        return path_clean(here ? here : "/", value);
}

/* Beside the running executable in a build tree, else where it was installed. */
static char *find_libexec(void)
{
        const char *value = getenv("BERTH_LIBEXEC_DIR");
        _cleanup_free_ char *self = NULL, *folder = NULL, *sister = NULL, *relative = NULL;

        if (!isempty(value))
                return xstrdup(value);
        self = path_of_self();
        folder = path_dirname(self);
        sister = path_join(folder, "berth-worker");
        if (fs_exists(sister))
                return TAKE_PTR(folder);
        relative = path_clean(folder, "../libexec/berth");
        if (fs_is_directory(relative))
                return TAKE_PTR(relative);
        return xstrdup(BERTH_LIBEXEC_DIR);
}

Layout *layout_create(void)
{
        Layout *layout = xnew(Layout);
        _cleanup_free_ char *hash = NULL;

        layout->data_dir = root_from_environment("BERTH_DATA_DIR", "/var/lib/berth");
        layout->run_dir = root_from_environment("BERTH_RUN_DIR", "/run/berth");
        layout->config_dir = root_from_environment("BERTH_CONFIG_DIR", "/etc/berth");
        layout->libexec_dir = find_libexec();
        hash = sha256_hex(layout->data_dir, strlen(layout->data_dir));
        layout->id = xstrndup(hash, 6);
        return layout;
}

void layout_free(Layout *layout)
{
        if (!layout)
                return;
        free(layout->data_dir);
        free(layout->run_dir);
        free(layout->config_dir);
        free(layout->libexec_dir);
        free(layout->id);
        free(layout);
}

static int check_format(const Layout *layout, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "format.json");
        _cleanup_error_ Error *missing = NULL;
        _cleanup_json_ json_t *document = NULL;
        int r = document_load(path, DATA_FORMAT, &document, &missing);

        if (r == 0)
                return 0;
        if (r != -ERROR_NOT_FOUND)
                return error_move(err, &missing, r);
        document = json_pack("{s:s}", "installation", layout->id);
        return document_save(path, DATA_FORMAT, document, err);
}

int layout_prepare(const Layout *layout, Error **err)
{
        int r;

        if (geteuid() != 0) {
                r = error_set(err, ERROR_DENIED, "containers on this machine need root");
                return error_hint(err, r, "Run it with sudo.");
        }
        r = fs_make_directories(layout->data_dir, 0711, err);
        if (r < 0)
                return r;
        r = fs_make_directories(layout->run_dir, 0711, err);
        if (r < 0)
                return r;
        return check_format(layout, err);
}

static char *join_formatted(const char *root, const char *format, va_list arguments)
{
        _cleanup_free_ char *name = xvasprintf(format, arguments);

        return xasprintf("%s/%s", root, name);
}

#define DEFINE_LAYOUT_PATH(function, member)                              \
        char *function(const Layout *layout, const char *format, ...)     \
        {                                                                 \
                va_list arguments;                                        \
                char *path;                                               \
                                                                          \
                va_start(arguments, format);                              \
                path = join_formatted(layout->member, format, arguments); \
                va_end(arguments);                                        \
                return path;                                              \
        }

DEFINE_LAYOUT_PATH(layout_data, data_dir)
DEFINE_LAYOUT_PATH(layout_run, run_dir)
DEFINE_LAYOUT_PATH(layout_config, config_dir)

char *layout_libexec(const Layout *layout, const char *program)
{
        return path_join(layout->libexec_dir, program);
}

char *layout_boot_id(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &text, NULL) < 0)
                return xstrdup("");
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        return strbuf_take(&text);
}

bool layout_project_name_is_valid(const char *name)
{
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

        return length > 0 && length <= 63 && !name[length] && isalnum((unsigned char)*name);
}
