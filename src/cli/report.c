#include "cli/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "cli/output/color.h"
#include "state/document.h"

static bool json_output;

void report_set_json(bool json)
{
        json_output = json;
}

static void report_object(json_t *object)
{
        _cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);

        fprintf(stderr, "%s\n", text);
}

static void report_one(const Error *error, const char *last_hint)
{
        _cleanup_free_ char *text = error_text(error);

        fprintf(stderr, "%serror:%s %s\n", color(stderr, COLOR_RED), color(stderr, COLOR_RESET), text);
        if (error->hint && !streq_ptr(error->hint, last_hint))
                fprintf(stderr, "%shint:%s %s\n", color(stderr, COLOR_CYAN), color(stderr, COLOR_RESET), error->hint);
}

void report_error(const Error *error)
{
        const char *last_hint = NULL;

        fflush(stdout);
        for (; error; error = error->next) {
                if (json_output) {
                        _cleanup_json_ json_t *object = json_from_error(error);

                        json_object_set_new(object, "event", json_string("error"));
                        report_object(object);
                        continue;
                }
                report_one(error, last_hint);
                last_hint = error->hint;
        }
}

void report_warning(const char *text)
{
        static Strmap seen = STRMAP_INIT;

        if (strmap_has(&seen, text))
                return;
        strmap_set(&seen, text, &seen);
        fflush(stdout);
        if (json_output) {
                _cleanup_json_ json_t *object = json_pack("{s:s, s:s}", "event", "warning", "message", text);

                report_object(object);
                return;
        }
        fprintf(stderr, "%swarning:%s %s\n", color(stderr, COLOR_YELLOW), color(stderr, COLOR_RESET), text);
}

void report_warnings(char *const *texts)
{
        for (; texts && *texts; texts++)
                report_warning(*texts);
}

int report_flush(Error **err)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return 0;
        if (errno == EPIPE)
                return -ERROR_CANCELLED;
        /* Not ERROR_NO_SPACE: that speaks of our own folders. */
        return error_set(err, ERROR_IO, "write standard output: %s", strerror(errno ?: EIO));
}
