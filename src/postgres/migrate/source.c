#include "postgres/migrate/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/strv.h"
#include "postgres/migrate/url.h"

#define FILE_LIMIT ((size_t)1 << 30)

void migration_source_done(MigrationSource *source)
{
        VECTOR_FOREACH(migration, &source->migrations) {
                free(migration->up.file);
                free(migration->up.name);
                free(migration->down.file);
                free(migration->down.name);
        }
        vector_done(&source->migrations);
        free(source->folder);
        source->folder = NULL;
}

static bool parse_version(const char *text, size_t length, uint64_t *ret)
{
        uint64_t value = 0;

        for (size_t i = 0; i < length; i++) {
                unsigned digit = (unsigned)(text[i] - '0');
                if (__builtin_mul_overflow(value, (uint64_t)10, &value) || __builtin_add_overflow(value, digit, &value))
                        return false;
        }
        *ret = value;
        return length > 0;
}

/* ^([0-9]+)_(.*)\.(down|up)\.(.*)$ with a greedy name: the last ".up." or ".down." counts. */
bool migration_parse_name(const char *file, uint64_t *ret_version, bool *ret_up, char **ret_name)
{
        size_t digits = strspn(file, "0123456789");
        const char *rest = file + digits + 1;
        const char *found = NULL;
        bool up = false;

        if (digits == 0 || file[digits] != '_' || !parse_version(file, digits, ret_version) || strchr(file, '\n'))
                return false;
        for (const char *dot = strchr(rest, '.'); dot; dot = strchr(dot + 1, '.')) {
                if (startswith(dot, ".up.") || startswith(dot, ".down.")) {
                        found = dot;
                        up = dot[1] == 'u';
                }
        }
        if (!found)
                return false;
        *ret_up = up;
        *ret_name = xstrndup(rest, (size_t)(found - rest));
        return true;
}

static int compare(const void *a, const void *b)
{
        const Migration *left = a, *right = b;

        return (left->version > right->version) - (left->version < right->version);
}

static int add_file(MigrationSource *source, const char *file, uint64_t version, bool up, char *name, Error **err)
{
        Migration *migration = NULL;
        MigrationFile *half;

        /* Names come sorted, so the same version is near the end; a handful of leading zeros may part them. */
        for (size_t i = source->migrations.length; i-- > 0 && !migration;)
                if (source->migrations.items[i].version == version)
                        migration = &source->migrations.items[i];
        if (!migration) {
                migration = vector_add_zero(&source->migrations);
                migration->version = version;
        }
        half = up ? &migration->up : &migration->down;
        if (half->file) {
                free(name);
                return error_set(err, ERROR_EXISTS, "duplicate migration file: %s", file);
        }
        half->file = xstrdup(file);
        half->name = name;
        return 0;
}

int migration_source_open(const char *folder, MigrationSource *ret, Error **err)
{
        _cleanup_migration_source_ MigrationSource source = { 0 };
        _cleanup_strv_ char **files = NULL;
        _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (fd < 0)
                return error_set(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, "open .: %s",
                                 errno == ENOENT ? "no such file or directory" : strerror(errno));
        r = fs_list_directory(fd, ".", &files, err);
        if (r < 0)
                return r;
        source.folder = xstrdup(folder);
        STRV_FOREACH(file, files) {
                struct stat status;
                uint64_t version;
                char *name;
                bool up;

                if (!migration_parse_name(*file, &version, &up, &name))
                        continue;
                if (fstatat(fd, *file, &status, 0) == 0 && S_ISDIR(status.st_mode)) {
                        free(name);
                        continue;
                }
                r = add_file(&source, *file, version, up, name, err);
                if (r < 0)
                        return r;
        }
        if (source.migrations.length > 1)
                qsort(source.migrations.items, source.migrations.length, sizeof(Migration), compare);
        *ret = source;
        source = (MigrationSource){ 0 };
        return 0;
}

int migration_source_folder_of_url(const char *url, char **ret_folder, Error **err)
{
        _cleanup_free_ char *scheme = NULL, *working = NULL;
        const char *path;
        int r;

        r = url_scheme(url, &scheme, err);
        if (r < 0)
                return error_prefix(err, r, "failed to parse scheme from source URL");
        if (!streq(scheme, "file"))
                return error_set(
                        err, ERROR_UNSUPPORTED,
                        "failed to open source, \"%s\": source driver: unknown driver '%s' (forgotten import?)", url,
                        scheme);
        path = url + strlen("file:");
        path = startswith(path, "//") ? path + 2 : path;
        working = getcwd(NULL, 0);
        *ret_folder = path_clean(working ? working : "/", *path ? path : ".");
        return 0;
}

ssize_t migration_source_find(const MigrationSource *source, uint64_t version)
{
        Migration wanted = { .version = version };
        const Migration *found = source->migrations.length
                                         ? bsearch(&wanted, source->migrations.items, source->migrations.length,
                                                   sizeof(Migration), compare)
                                         : NULL;

        return found ? found - source->migrations.items : -1;
}

int migration_source_read(const MigrationSource *source, const char *file, Strbuf *ret, Error **err)
{
        _cleanup_free_ char *path = path_join(source->folder, file);
        int r;

        r = fs_read_file(AT_FDCWD, path, FILE_LIMIT, ret, err);
        if (r < 0)
                return r;
        if (ret->length >= 3 && memcmp(ret->data, "\xef\xbb\xbf", 3) == 0)
                strbuf_consume(ret, 3);
        if (ret->length && memchr(ret->data, '\0', ret->length))
                return error_set_at(err, ERROR_INVALID, path, 0, 0, "%s holds NUL bytes: it is not a text in UTF-8",
                                    file);
        return 0;
}
