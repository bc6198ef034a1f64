/* Which moments can be restored to, drawn: a line for each cluster of a service, its backups on it, its gaps named. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/vector.h"
#include "cli/backup.h"
#include "cli/output/color.h"
#include "postgres/wal_name.h"
#include "state/document.h"

#define LINE_COLUMNS 78

/* Any moment between the two can be had. Equal: that one alone. */
typedef struct Span {
        int64_t from_ns, until_ns;
        int64_t timeline;
        Lsn start, end; /* of the log: of the backup's end, and of the last that is here */
} Span;

typedef struct Timeline {
        const char *service, *repository; /* borrowed */
        bool present;                     /* the cluster that is there now */
        VECTOR(Span) spans;               /* apart, in order */
        VECTOR(int64_t) backups;
} Timeline;

static void timeline_done(Timeline *timeline)
{
        vector_done(&timeline->spans);
        vector_done(&timeline->backups);
}
#define _cleanup_timeline_ _cleanup_(timeline_done)

static int compare_spans(const void *left, const void *right)
{
        const Span *a = left, *b = right;

        return (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

/* Also where the log goes on and on, and the newest moment of it is only not known yet. */
static bool touches(const Span *last, const Span *next)
{
        return next->from_ns <= last->until_ns || (next->timeline == last->timeline && next->start <= last->end);
}

/* What touches becomes one. */
static void join_spans(Timeline *timeline)
{
        size_t kept = 0;

        qsort(timeline->spans.items, timeline->spans.length, sizeof(Span), compare_spans);
        for (size_t i = 1; i < timeline->spans.length; i++) {
                Span *last = &timeline->spans.items[kept], *next = &timeline->spans.items[i];

                if (touches(last, next)) {
                        last->until_ns = MAX(last->until_ns, next->until_ns);
                        last->end = MAX(last->end, next->end);
                } else {
                        timeline->spans.items[++kept] = *next;
                }
        }
        timeline->spans.length = timeline->spans.length ? kept + 1 : 0;
}

static Span span_of(const json_t *row)
{
        Span span = { .from_ns = json_get_int(row, "finished_ns", 0),
                      .timeline = json_get_int(row, "until_timeline", 0),
                      .start = UINT64_MAX };

        span.until_ns = MAX(span.from_ns, json_get_int(row, "until_ns", 0));
        lsn_parse(json_get_string(row, "stop_lsn", ""), &span.start);
        lsn_parse(json_get_string(row, "until_lsn", ""), &span.end);
        return span;
}

static void collect(const json_t *rows, Timeline *timeline)
{
        const json_t *row;
        size_t i;

        json_array_foreach(rows, i, row) {
                int64_t from_ns = json_get_int(row, "finished_ns", 0);

                if (!streq(json_get_string(row, "repository", ""), timeline->repository) || from_ns <= 0)
                        continue;
                vector_add(&timeline->backups, from_ns);
                vector_add(&timeline->spans, span_of(row));
        }
        join_spans(timeline);
}

static size_t column_of(int64_t ns, int64_t from_ns, int64_t until_ns, size_t columns)
{
        double share = until_ns > from_ns ? (double)(ns - from_ns) / (double)(until_ns - from_ns) : 0;

        return MIN((size_t)(share * (double)(columns - 1) + 0.5), columns - 1);
}

static void draw(const Timeline *timeline, int64_t from_ns, int64_t until_ns)
{
        enum { NOTHING, REACHED, BACKUP } marks[LINE_COLUMNS] = { NOTHING };
        size_t columns = terminal_width(stdout);
        _cleanup_strbuf_ Strbuf line = STRBUF_INIT;
        static const char *const signs[] = { " ", "─", "●" };

        columns = columns > 2 ? MIN(columns - 2, (size_t)LINE_COLUMNS) : LINE_COLUMNS;
        VECTOR_FOREACH(span, &timeline->spans)
                for (size_t i = column_of(span->from_ns, from_ns, until_ns, columns);
                     i <= column_of(span->until_ns, from_ns, until_ns, columns); i++)
                        marks[i] = REACHED;
        VECTOR_FOREACH(backup, &timeline->backups)
                marks[column_of(*backup, from_ns, until_ns, columns)] = BACKUP;
        for (size_t i = 0; i < columns; i++)
                strbuf_adds(&line, signs[marks[i]]);
        printf("  %s\n", strbuf_text(&line));
}

static void print_timeline(const Timeline *timeline)
{
        const Span *spans = timeline->spans.items;
        int64_t from_ns = spans[0].from_ns, until_ns = spans[timeline->spans.length - 1].until_ns;
        _cleanup_free_ char *from = backup_local_time(from_ns), *until = backup_local_time(until_ns);

        printf("\n%s%s can be restored to %s moment from %s to %s%s\n",
               timeline->present ? "" : "an earlier cluster of ", timeline->service,
               timeline->spans.length > 1 ? "a" : "any", from, until, timeline->spans.length > 1 ? ", but for:" : "");
        for (size_t i = 1; i < timeline->spans.length; i++) {
                _cleanup_free_ char *begin = backup_local_time(spans[i - 1].until_ns),
                                    *end = backup_local_time(spans[i].from_ns);
                _cleanup_free_ char *length =
                        format_duration((spans[i].from_ns - spans[i - 1].until_ns) / NSEC_PER_SEC * NSEC_PER_SEC);

                printf("  %s to %s (%s): the log of it is not kept\n", begin, end, length);
        }
        draw(timeline, from_ns, until_ns);
}

void backup_print_timelines(const json_t *rows)
{
        const char *seen = "";
        const json_t *row;
        size_t i;

        /* The rows of a cluster come together. */
        json_array_foreach(rows, i, row) {
                _cleanup_timeline_ Timeline timeline = { .service = json_get_string(row, "service", ""),
                                                         .repository = json_get_string(row, "repository", ""),
                                                         .present = json_get_bool(row, "present", true) };

                if (streq(timeline.repository, seen))
                        continue;
                seen = timeline.repository;
                collect(rows, &timeline);
                if (timeline.spans.length)
                        print_timeline(&timeline);
        }
}
