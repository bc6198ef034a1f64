#include "cli/output/progress.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/output/color.h"
#include "cli/report.h"
#include "state/document.h"

#define LINE_WIDTH  80
#define STATE_WIDTH 12
#define TELL_NS     (10 * NSEC_PER_SEC) /* a pipe hears of bytes as often */

typedef struct Transfer { /* a layer of an image */
        char *what;
        int64_t done, total;
} Transfer;

typedef struct Resource {
        char *label;                /* "Container demo-db-1" */
        char *state;                /* as in the protocol */
        char *text;                 /* NULL */
        int64_t began_ns, ended_ns; /* ended: 0 while in work */
        int64_t bytes_ns, told_ns;  /* when the first bytes came; when a pipe was told of some */
        VECTOR(Transfer) transfers;
} Resource;

struct Progress {
        ProgressMode mode;
        const char *title;
        VECTOR(Resource) resources;
        size_t lines; /* drawn now, above the cursor */
        size_t frame;
        bool finished;
};

ProgressMode invocation_progress_mode(const Invocation *invocation)
{
        const char *name = invocation_text(invocation, "progress", getenv("COMPOSE_PROGRESS") ?: "auto");

        if (streq(name, "quiet"))
                return PROGRESS_QUIET;
        if (streq(name, "json"))
                return PROGRESS_JSON;
        if (streq(name, "plain"))
                return PROGRESS_PLAIN;
        if (streq(name, "tty"))
                return PROGRESS_TERMINAL;
        return stream_is_terminal(stderr) && !streq(getenv("TERM") ?: "dumb", "dumb") ? PROGRESS_TERMINAL
                                                                                      : PROGRESS_PLAIN;
}

Progress *progress_create(ProgressMode mode, const char *title)
{
        Progress *progress = xnew(Progress);

        progress->mode = mode;
        progress->title = title;
        return progress;
}

static void resource_done(Resource *resource)
{
        VECTOR_FOREACH(transfer, &resource->transfers)
                free(transfer->what);
        vector_done(&resource->transfers);
        free(resource->label);
        free(resource->state);
        free(resource->text);
}

void progress_free(Progress *progress)
{
        if (!progress)
                return;
        VECTOR_FOREACH(resource, &progress->resources)
                resource_done(resource);
        vector_done(&progress->resources);
        free(progress);
}

bool progress_is_live(const Progress *progress)
{
        return progress->mode == PROGRESS_TERMINAL;
}

/* ---- what the words of the protocol look like ---- */

static bool state_is_busy(const char *state)
{
        return endswith(state, "ing") && !streq(state, "running");
}

static bool state_is_bad(const char *state)
{
        return streq(state, "failed") || streq(state, "unhealthy");
}

static char *capitalized(const char *word)
{
        char *text = xstrdup(word);

        if (*text >= 'a' && *text <= 'z')
                *text = (char)(*text - 'a' + 'A');
        return text;
}

static bool terminal_speaks_utf8(void)
{
        const char *locale = getenv("LC_ALL");

        if (isempty(locale))
                locale = getenv("LC_CTYPE");
        if (isempty(locale))
                locale = getenv("LANG");
        return isempty(locale) || strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
}

static const char *resource_symbol(const Progress *progress, const Resource *resource)
{
        static const char *const frames[] = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" };
        bool utf8 = terminal_speaks_utf8();

        if (state_is_bad(resource->state))
                return utf8 ? "✘" : "x";
        if (!state_is_busy(resource->state))
                return utf8 ? "✔" : "+";
        if (progress->finished)
                return utf8 ? "⠿" : "-";
        return utf8 ? frames[progress->frame % ARRAY_SIZE(frames)] : "*";
}

static Color resource_color(const Resource *resource)
{
        if (state_is_bad(resource->state))
                return COLOR_RED;
        return state_is_busy(resource->state) ? COLOR_BLUE : COLOR_GREEN;
}

static char *time_left(double seconds)
{
        if (seconds < 120)
                return xasprintf(", %ds left", (int)seconds + 1);
        if (seconds < 7200)
                return xasprintf(", %dm left", (int)(seconds / 60));
        return seconds < 1e7 ? xasprintf(", %dh left", (int)(seconds / 3600)) : xstrdup("");
}

/* "12.3MB/39.2MB 5.1MB/s, 6s left", or NULL where nothing is transferred. */
static char *transfer_text(const Resource *resource)
{
        int64_t done = 0, total = 0, elapsed_ns;
        _cleanup_free_ char *done_text = NULL, *total_text = NULL, *rate_text = NULL, *left_text = NULL;
        double rate;

        if (resource->transfers.length == 0 || !state_is_busy(resource->state))
                return NULL;
        for (size_t i = 0; i < resource->transfers.length; i++) {
                done += resource->transfers.items[i].done;
                total += resource->transfers.items[i].total;
        }
        elapsed_ns = MAX(clock_monotonic_ns() - resource->bytes_ns, NSEC_PER_MSEC);
        rate = (double)done * 1e9 / (double)elapsed_ns;
        done_text = format_size((uint64_t)done);
        total_text = total > 0 ? format_size((uint64_t)total) : xstrdup("?");
        rate_text = format_size((uint64_t)rate);
        left_text = total > done && elapsed_ns > NSEC_PER_SEC ? time_left((double)(total - done) / rate) : xstrdup("");
        return xasprintf("%s/%s %s/s%s", done_text, total_text, rate_text, left_text);
}

/* ---- drawing ---- */

static void erase_drawing(Progress *progress, FILE *out)
{
        if (progress->lines > 0)
                fprintf(out, "\033[%zuA\033[J", progress->lines);
        progress->lines = 0;
}

static void draw_resource(const Progress *progress, const Resource *resource, size_t label_width, size_t width,
                          FILE *out)
{
        int64_t end_ns = resource->ended_ns ?: clock_monotonic_ns();
        _cleanup_free_ char *label = text_shorten(resource->label, label_width);
        _cleanup_free_ char *state = capitalized(resource->state), *bytes = transfer_text(resource);
        _cleanup_free_ char *time = xasprintf("%.1fs", (double)(end_ns - resource->began_ns) / 1e9);
        size_t used = 3 + label_width + 2 + STATE_WIDTH, room;
        _cleanup_free_ char *text = NULL;

        room = width > used + 10 ? width - used - 10 : 0;
        text = text_shorten(bytes ?: (state_is_bad(resource->state) ? "" : resource->text ?: ""), room);
        fprintf(out, " %s%s%s %s%*s  %s%-*s%s %s%*s%s%8s%s\n", color(stderr, resource_color(resource)),
                resource_symbol(progress, resource), color(stderr, COLOR_RESET), label,
                (int)(label_width - text_width(label)), "", color(stderr, resource_color(resource)), STATE_WIDTH, state,
                color(stderr, COLOR_RESET), text, (int)(room - text_width(text)), "", color(stderr, COLOR_BLUE), time,
                color(stderr, COLOR_RESET));
}

static size_t label_width(const Progress *progress, size_t width)
{
        size_t widest = 0, limit = width > 40 ? width - 30 : 10;

        for (size_t i = 0; i < progress->resources.length; i++)
                widest = MAX(widest, text_width(progress->resources.items[i].label));
        return MIN(widest, limit);
}

static void draw_to(Progress *progress, FILE *out)
{
        size_t terminal = terminal_width(stderr), width = MIN(terminal, (size_t)LINE_WIDTH);
        size_t labels = label_width(progress, width), rows = terminal_height(stderr), done = 0, first = 0;
        size_t length = progress->resources.length;

        erase_drawing(progress, out);
        if (length == 0)
                return;
        for (size_t i = 0; i < length; i++)
                done += !state_is_busy(progress->resources.items[i].state);
        /* What does not fit while it runs is shown at the end. */
        if (!progress->finished && length + 2 > rows)
                first = length + 2 - rows;
        fprintf(out, "[+] %s %zu/%zu\n", progress->title, done, length);
        for (size_t i = first; i < length; i++)
                draw_resource(progress, &progress->resources.items[i], labels, width, out);
        progress->lines = 1 + length - first;
}

/* In one write: nothing flickers. above: a line that stays, or NULL. */
static void draw(Progress *progress, const char *above)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return;
        if (above) {
                erase_drawing(progress, out);
                fprintf(out, " %s\n", above);
        }
        draw_to(progress, out);
        fclose(out);
        fs_write_all(STDERR_FILENO, text, size, NULL);
}

/* ---- events ---- */

static Resource *find_resource(Progress *progress, const json_t *event)
{
        _cleanup_free_ char *kind = capitalized(json_get_string(event, "kind", ""));
        _cleanup_free_ char *label = xasprintf("%s %s", kind, json_get_string(event, "name", ""));
        Resource *resource;

        VECTOR_FOREACH(known, &progress->resources)
                if (streq(known->label, label))
                        return known;
        resource = vector_add_zero(&progress->resources);
        resource->label = TAKE_PTR(label);
        resource->state = xstrdup("working");
        resource->began_ns = clock_monotonic_ns();
        return resource;
}

static void print_plain(const Resource *resource)
{
        _cleanup_free_ char *state = capitalized(resource->state);

        /* Why it failed is told by the error that follows. */
        const char *text = state_is_bad(resource->state) ? NULL : resource->text;

        fprintf(stderr, " %s  %s%s%s", resource->label, state, text ? " " : "", text ?: "");
        if (!state_is_busy(resource->state) && resource->ended_ns - resource->began_ns >= NSEC_PER_MSEC)
                fprintf(stderr, "  %.1fs", (double)(resource->ended_ns - resource->began_ns) / 1e9);
        fputc('\n', stderr);
}

static void on_resource(Progress *progress, const json_t *event)
{
        Resource *resource = find_resource(progress, event);
        const char *text = json_get_string(event, "text", NULL), *state = json_get_string(event, "state", "working");
        bool changed = !streq(resource->state, state);

        free_and_replace(&resource->state, xstrdup(state));
        free_and_replace(&resource->text, xstrdup(text));
        resource->ended_ns = state_is_busy(resource->state) ? 0 : clock_monotonic_ns();
        if (progress->mode == PROGRESS_PLAIN && changed)
                print_plain(resource);
}

static void on_bytes(Progress *progress, const json_t *event)
{
        Resource *resource = find_resource(progress, event);
        const char *what = json_get_string(event, "what", "");
        Transfer *found = NULL;

        VECTOR_FOREACH(transfer, &resource->transfers)
                if (streq(transfer->what, what))
                        found = transfer;
        if (!found) {
                found = vector_add_zero(&resource->transfers);
                found->what = xstrdup(what);
        }
        found->done = json_get_int(event, "done", 0);
        found->total = json_get_int(event, "total", 0);
        if (!resource->bytes_ns)
                resource->bytes_ns = resource->told_ns = clock_monotonic_ns();
        if (progress->mode == PROGRESS_PLAIN && clock_monotonic_ns() - resource->told_ns > TELL_NS) {
                _cleanup_free_ char *text = transfer_text(resource);

                resource->told_ns = clock_monotonic_ns();
                if (text)
                        fprintf(stderr, " %s  %s\n", resource->label, text);
        }
}

void progress_message(Progress *progress, const char *text)
{
        if (progress->mode == PROGRESS_QUIET || progress->mode == PROGRESS_JSON)
                return;
        if (progress->mode == PROGRESS_TERMINAL)
                draw(progress, text);
        else
                fprintf(stderr, " %s\n", text);
}

static void on_warning(Progress *progress, const json_t *event)
{
        if (progress->mode == PROGRESS_TERMINAL)
                erase_drawing(progress, stderr);
        report_warning(json_get_string(event, "message", ""));
}

void progress_event(Progress *progress, const json_t *event)
{
        const char *kind = json_get_string(event, "event", "");

        if (progress->mode == PROGRESS_JSON) {
                _cleanup_free_ char *line = json_dumps(event, JSON_COMPACT);

                fprintf(stderr, "%s\n", line);
                return;
        }
        if (streq(kind, "resource"))
                on_resource(progress, event);
        else if (streq(kind, "bytes"))
                on_bytes(progress, event);
        else if (streq(kind, "note"))
                progress_message(progress, json_get_string(event, "message", ""));
        else if (streq(kind, "warning"))
                on_warning(progress, event);
        if (progress->mode == PROGRESS_TERMINAL)
                draw(progress, NULL);
}

void progress_tick(Progress *progress)
{
        progress->frame++;
        draw(progress, NULL);
}

void progress_finish(Progress *progress, bool success)
{
        progress->finished = true;
        VECTOR_FOREACH(resource, &progress->resources)
                if (resource->ended_ns == 0)
                        resource->ended_ns = clock_monotonic_ns();
        if (progress->mode == PROGRESS_TERMINAL)
                draw(progress, NULL);
        progress->lines = 0;
}
