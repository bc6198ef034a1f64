#include "postgres/migrate/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

/* ---- JSON: small enough to need no library in the image that holds this program ---- */

static void print_string(const char *text)
{
        putchar('"');
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        printf("\\%c", *text);
                else if ((unsigned char)*text < 0x20)
                        printf("\\u%04x", (unsigned)*text);
                else
                        putchar(*text);
        }
        putchar('"');
}

static void print_member(const char *name, const char *text)
{
        if (!text)
                return;
        printf(", \"%s\": ", name);
        print_string(text);
}

static void print_message(const char *event, const char *text)
{
        printf("{\"event\": \"%s\"", event);
        print_member("message", text);
        puts("}");
        fflush(stdout);
}

/* ---- lines and steps ---- */

void output_line(const Output *output, const char *text)
{
        char stamp[32];
        time_t now = time(NULL);
        struct tm parts;

        if (output->json) {
                print_message("note", text);
                return;
        }
        if (output->verbose && localtime_r(&now, &parts) && strftime(stamp, sizeof(stamp), "%Y/%m/%d %H:%M:%S", &parts))
                fprintf(stderr, "%s ", stamp);
        fprintf(stderr, "%s\n", text);
}

static void on_line(void *context, const char *text)
{
        output_line(context, text);
}

static void on_warning(void *context, const char *text)
{
        const Output *output = context;
        _cleanup_free_ char *line = xasprintf("warning: %s", text);

        if (output->json)
                print_message("warning", text);
        else
                output_line(output, line);
}

static void on_step(void *context, MigrateMoment moment, const MigrateStep *step, int64_t duration_ns)
{
        static const char *const moments[] = { "plan", "begin", "done" };

        printf("{\"event\": \"%s\", \"version\": %" PRIu64 ", \"direction\": \"%s\"", moments[moment], step->version,
               step->up ? "up" : "down");
        print_member("name", step->name);
        print_member("file", step->file);
        if (moment == MIGRATE_DONE)
                printf(", \"ms\": %.1f", (double)duration_ns / (double)NSEC_PER_MSEC);
        puts("}");
        fflush(stdout);
}

MigrateLog output_log(const Output *output)
{
        return (MigrateLog){ .context = (void *)output,
                             .line = on_line,
                             .step = output->json ? on_step : NULL,
                             .warning = on_warning,
                             .verbose = output->verbose };
}

/* ---- the end ---- */

static void print_error(const Error *error)
{
        printf("{\"error\": {\"kind\": \"%s\"", error_kind_name(error->kind));
        print_member("message", error->message);
        print_member("hint", error->hint);
        print_member("file", error->file);
        if (error->line)
                printf(", \"line\": %d, \"column\": %d", error->line, error->column);
        print_member("sqlstate", *error->sqlstate ? error->sqlstate : NULL);
        puts("}}");
        fflush(stdout);
}

void output_error(const Output *output, const Error *error)
{
        _cleanup_free_ char *text = xasprintf("error: %s", error->message);

        if (output->json) {
                print_error(error);
                return;
        }
        output_line(output, text);
        if (error->file && error->line)
                fprintf(stderr, "%s:%d:%d\n", error->file, error->line, error->column);
        else if (error->file)
                fprintf(stderr, "%s\n", error->file);
        if (error->hint)
                fprintf(stderr, "hint: %s\n", error->hint);
}

void output_status(const Output *output, const MigrationStatuses *statuses)
{
        for (size_t i = 0; i < statuses->length; i++) {
                const MigrationStatus *status = &statuses->items[i];
                const char *condition = migration_condition_name(status->condition);

                if (!output->json) {
                        printf("%" PRIu64 " %s: %s\n", status->version, status->name, condition);
                        continue;
                }
                printf("{\"event\": \"status\", \"version\": %" PRIu64, status->version);
                print_member("name", status->name);
                print_member("state", condition);
                print_member("file", status->file);
                print_member("applied_at", status->applied_at);
                puts("}");
        }
}

void output_version(const Output *output, int64_t version, bool dirty)
{
        _cleanup_free_ char *number = version == MIGRATE_NIL_VERSION ? xstrdup("null") : xasprintf("%" PRId64, version);
        _cleanup_free_ char *line = xasprintf("%s%s", number, dirty ? " (dirty)" : "");

        if (output->json)
                printf("{\"event\": \"version\", \"version\": %s, \"dirty\": %s}\n", number, dirty ? "true" : "false");
        else
                output_line(output, line);
}
