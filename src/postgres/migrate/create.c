#include "postgres/migrate/create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"

/* Go's reference time, longest names first. */
static const struct {
        const char *go, *strftime;
} layouts[] = {
        { "2006", "%Y" }, { "January", "%B" }, { "Jan", "%b" }, { "Monday", "%A" }, { "Mon", "%a" },
        { "MST", "%Z" },  { "-0700", "%z" },   { "01", "%m" },  { "02", "%d" },     { "15", "%H" },
        { "03", "%I" },   { "04", "%M" },      { "05", "%S" },  { "06", "%y" },     { "PM", "%p" },
};

static char *format_time(const char *format, const struct tm *time)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        while (*format) {
                size_t i = 0;
                char part[64];

                while (i < ARRAY_SIZE(layouts) && !startswith(format, layouts[i].go))
                        i++;
                if (i == ARRAY_SIZE(layouts)) {
                        strbuf_addc(&text, *format++);
                        continue;
                }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                strbuf_add(&text, part, strftime(part, sizeof(part), layouts[i].strftime, time));
#pragma GCC diagnostic pop
                format += strlen(layouts[i].go);
        }
        return strbuf_take(&text);
}

static int zone_exists(const char *zone, Error **err)
{
        _cleanup_free_ char *path = xasprintf("/usr/share/zoneinfo/%s", zone);

        if (streq(zone, "UTC") || streq(zone, "") || streq(zone, "Local") ||
            (!strstr(zone, "..") && access(path, R_OK) == 0))
                return 0;
        return error_set(err, ERROR_NOT_FOUND, "unknown time zone %s", zone);
}

static int time_version(const MigrateCreate *create, char **ret, Error **err)
{
        time_t seconds = create->now_ns / NSEC_PER_SEC;
        struct tm parts;

        if (!*create->format)
                return error_set(err, ERROR_INVALID, "time format may not be empty");
        if (streq(create->format, "unix"))
                *ret = xasprintf("%" PRId64, (int64_t)seconds);
        else if (streq(create->format, "unixNano"))
                *ret = xasprintf("%" PRId64, create->now_ns);
        else {
                if (!streq(create->zone, "Local"))
                        setenv("TZ", *create->zone ? create->zone : "UTC", 1);
                tzset();
                localtime_r(&seconds, &parts);
                *ret = format_time(create->format, &parts);
        }
        return 0;
}

/* The last file in the order of names counts, as in the original. */
static int next_version(const MigrateCreate *create, char *const *files, const char *extension, char **ret, Error **err)
{
        const char *last = NULL;
        int64_t number = 0;

        if (create->digits <= 0)
                return error_set(err, ERROR_INVALID, "digits must be positive");
        STRV_FOREACH(file, files)
                if (endswith(*file, extension) && **file != '.')
                        last = *file;
        if (last) {
                _cleanup_free_ char *digits = xstrndup(last, strcspn(last, "_"));
                if (!strchr(last, '_') || !*digits)
                        return error_set(err, ERROR_INVALID, "malformed migration filename: %s", last);
                if (!parse_int64(digits, 0, INT64_MAX - 1, &number))
                        return error_set(err, ERROR_INVALID, "strconv.ParseUint: parsing \"%s\": invalid syntax",
                                         digits);
        }
        *ret = xasprintf("%0*" PRId64, create->digits, number + 1);
        if (strlen(*ret) <= (size_t)create->digits)
                return 0;
        error_set(err, ERROR_INVALID, "next sequence number %s too large, at most %d digits are allowed", *ret,
                  create->digits);
        free_and_replace(ret, NULL);
        return -ERROR_INVALID;
}

static bool version_is_taken(char *const *files, const char *version, const char *extension)
{
        _cleanup_free_ char *prefix = xasprintf("%s_", version);

        STRV_FOREACH(file, files)
                if (startswith(*file, prefix) && endswith(*file, extension))
                        return true;
        return false;
}

static int make_files(const MigrateCreate *create, const char *folder, const char *version, const char *extension,
                      char ***ret_paths, Error **err)
{
        static const char *const directions[] = { "up", "down" };
        int r = fs_make_directories(folder, 0777, err);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(directions); i++) {
                _cleanup_free_ char *path =
                        xasprintf("%s/%s_%s.%s%s", folder, version, create->name, directions[i], extension);
                _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

                if (fd < 0)
                        r = error_set_errno(err, errno, "open %s", path);
                else
                        strv_add(ret_paths, path);
        }
        return r;
}

int migrate_create(const MigrateCreate *create, char ***ret_paths, Error **err)
{
        const char *extension_name = create->extension[0] == '.' ? create->extension + 1 : create->extension;
        _cleanup_free_ char *extension = xasprintf(".%s", extension_name), *version = NULL, *working = getcwd(NULL, 0);
        _cleanup_free_ char *folder =
                path_clean(working ? working : "/", isempty(create->folder) ? "." : create->folder);
        _cleanup_strv_ char **files = NULL;
        int r;

        if (create->sequential && !streq(create->format, MIGRATE_DEFAULT_FORMAT))
                return error_set(err, ERROR_INVALID, "the seq and format options are mutually exclusive");
        r = zone_exists(create->zone, err);
        if (r < 0)
                return r;
        fs_list_directory(AT_FDCWD, folder, &files, NULL);
        r = create->sequential ? next_version(create, files, extension, &version, err)
                               : time_version(create, &version, err);
        if (r < 0)
                return r;
        if (version_is_taken(files, version, extension))
                return error_set(err, ERROR_EXISTS, "duplicate migration version: %s", version);
        return make_files(create, folder, version, extension, ret_paths, err);
}
