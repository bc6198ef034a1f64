#include "postgres/entrypoint/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/process.h"
#include "base/strv.h"

#define SECRET_LIMIT ((size_t)1024 * 1024)
#define HOME_OF_DATA "/var/lib/postgresql"

void settings_done(Settings *settings)
{
        free(settings->data_dir);
        free(settings->user);
        free(settings->database);
        free_secret(settings->password);
        free(settings->initdb_args);
        free(settings->waldir);
        free(settings->auth_method);
        free(settings->port);
        strv_free(settings->old_databases);
        *settings = (Settings){ 0 };
}

/* What $(< file) gives: no NUL bytes, no trailing newlines. */
static int read_value(const char *path, char **ret, Error **err)
{
        _cleanup_(strbuf_erase) Strbuf text = STRBUF_INIT;
        char *value;
        size_t length = 0;
        int r;

        r = fs_read_file(AT_FDCWD, path, SECRET_LIMIT, &text, err);
        if (r < 0)
                return r;
        value = xmalloc(text.length + 1);
        for (size_t i = 0; i < text.length; i++)
                if (text.data[i] != '\0')
                        value[length++] = text.data[i];
        while (length > 0 && value[length - 1] == '\n')
                length--;
        value[length] = '\0';
        *ret = value;
        return 0;
}

int settings_file_variable(const char *name, const char *fallback, char **ret, Error **err)
{
        _cleanup_free_ char *file_name = xasprintf("%s_FILE", name);
        const char *value = getenv(name), *path = getenv(file_name);
        int r;

        if (!isempty(value) && !isempty(path))
                return error_set(err, ERROR_INVALID, "both %s and %s are set (but are exclusive)", name, file_name);
        if (!isempty(value))
                *ret = xstrdup(value);
        else if (!isempty(path)) {
                r = read_value(path, ret, err);
                if (r < 0)
                        return error_prefix(err, r, "%s", file_name);
        } else
                *ret = xstrdup(fallback);
        setenv(name, *ret, 1);
        unsetenv(file_name);
        return 0;
}

static bool has_data(const char *folder)
{
        _cleanup_free_ char *path = path_join(folder, "PG_VERSION");
        struct stat status;

        return stat(path, &status) == 0 && status.st_size > 0;
}

/* Fields of mountinfo hold spaces, tabs, newlines and backslashes as octal escapes. */
static char *unescape_octal(const char *text)
{
        char *copy = xstrdup(text), *to = copy;

        for (const char *from = copy; *from; from++) {
                if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
                        *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
                        from += 3;
                } else
                        *to++ = *from;
        }
        *to = '\0';
        return copy;
}

bool path_is_mount_point(const char *path)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;

        if (fs_read_file(AT_FDCWD, "/proc/self/mountinfo", (size_t)16 * 1024 * 1024, &text, NULL) < 0)
                return false;
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                _cleanup_strv_ char **fields = strv_split(*line, ' ');
                _cleanup_free_ char *target = strv_length(fields) > 4 ? unescape_octal(fields[4]) : NULL;

                if (target && streq(target, path))
                        return true;
        }
        return false;
}

static void find_old_databases(Settings *settings)
{
        _cleanup_strv_ char **names = NULL;

        if (has_data(HOME_OF_DATA))
                strv_add(&settings->old_databases, HOME_OF_DATA);
        if (has_data(HOME_OF_DATA "/data"))
                strv_add(&settings->old_databases, HOME_OF_DATA "/data");
        if (fs_list_directory(AT_FDCWD, HOME_OF_DATA, &names, NULL) < 0)
                names = NULL;
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *folder = xasprintf(HOME_OF_DATA "/%s/docker", *name);
                if (**name != '.' && has_data(folder))
                        strv_add(&settings->old_databases, folder);
        }
        if (!settings->old_databases && settings->major >= 18 && path_is_mount_point(HOME_OF_DATA "/data"))
                strv_add(&settings->old_databases, HOME_OF_DATA "/data (unused mount/volume)");
}

/* PG_MAJOR, which images set; else the number in "/usr/lib/postgresql/15/bin/postgres". */
static int find_major(void)
{
        _cleanup_free_ char *program = NULL;
        const char *text = getenv("PG_MAJOR"), *position;
        int64_t major = 0;

        if (text && parse_int64(text, 1, 1000, &major))
                return (int)major;
        program = process_find("postgres");
        position = program ? strstr(program, "/postgresql/") : NULL;
        return position ? atoi(position + strlen("/postgresql/")) : 0;
}

static char *copy_unless_empty(const char *text)
{
        return isempty(text) ? NULL : xstrdup(text);
}

int settings_load(Settings *ret, Error **err)
{
        _cleanup_settings_ Settings settings = { 0 };
        _cleanup_free_ char *default_dir = NULL;
        const char *port = getenv("PGPORT");
        int r;

        r = settings_file_variable("POSTGRES_PASSWORD", "", &settings.password, err);
        if (r >= 0)
                r = settings_file_variable("POSTGRES_USER", "postgres", &settings.user, err);
        if (r >= 0)
                r = settings_file_variable("POSTGRES_DB", settings.user, &settings.database, err);
        if (r >= 0)
                r = settings_file_variable("POSTGRES_INITDB_ARGS", "", &settings.initdb_args, err);
        if (r < 0)
                return r;

        settings.data_dir = copy_unless_empty(getenv("PGDATA"));
        if (!settings.data_dir)
                return error_set(err, ERROR_INVALID, "PGDATA is not set: it must name the folder of the data");
        settings.waldir = copy_unless_empty(getenv("POSTGRES_INITDB_WALDIR"));
        settings.auth_method = copy_unless_empty(getenv("POSTGRES_HOST_AUTH_METHOD"));
        settings.port = xstrdup(isempty(port) ? "5432" : port);
        settings.major = find_major();
        settings.initialised = has_data(settings.data_dir) || !isempty(getenv("DATABASE_ALREADY_EXISTS"));
        default_dir = xasprintf(HOME_OF_DATA "/%d/docker", settings.major);
        if (!settings.initialised && streq(settings.data_dir, default_dir))
                find_old_databases(&settings);

        *ret = settings;
        settings = (Settings){ 0 };
        return 0;
}

void settings_forget_secrets(void)
{
        /* The strings stay in this process's own memory until exec replaces it. */
        unsetenv("POSTGRES_PASSWORD");
        unsetenv("POSTGRES_PASSWORD_FILE");
}
