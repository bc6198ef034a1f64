/* What status knows, in the text format of Prometheus ("Exposition formats", version 0.0.4), for a collector that reads files.
 * Times are seconds since 1970; what is not known has no sample. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "cli/status.h"
#include "state/document.h"

typedef enum Unit { UNIT_PLAIN, UNIT_FROM_NS, UNIT_FROM_MS, UNIT_FLAG } Unit;

typedef struct Metric {
        const char *name, *help;
        const char *path[3]; /* of the member of a row; NULL behind its last */
        Unit unit;
        const char *equals; /* 1 where the member is this text, else 0; NULL: the member itself */
} Metric;

static const Metric metrics[] = {
        { "berth_database_running", "Whether the database's container runs.", { "state" }, UNIT_FLAG, "running" },
        { "berth_backup_enabled", "Whether the database is backed up.", { "backups" }, UNIT_FLAG, "on" },
        { "berth_wal_streaming",
          "Whether the log is received as it is written.",
          { "receiver", "phase" },
          UNIT_FLAG,
          "streaming" },
        { "berth_unprotected_bytes",
          "Bytes of the server's log that are not in the repository.",
          { "would_be_lost", "bytes" },
          UNIT_PLAIN,
          NULL },
        { "berth_unprotected_seconds",
          "Age of the newest point that a restore reaches; 0 where nothing is missing.",
          { "would_be_lost", "seconds" },
          UNIT_PLAIN,
          NULL },
        { "berth_backups", "Base backups that can be restored.", { "n_backups" }, UNIT_PLAIN, NULL },
        { "berth_backup_last_timestamp_seconds",
          "When the newest base backup was finished.",
          { "last_backup", "finished_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_backup_last_size_bytes",
          "Size of the cluster in the newest base backup.",
          { "last_backup", "size_bytes" },
          UNIT_PLAIN,
          NULL },
        { "berth_backup_next_timestamp_seconds",
          "When the next base backup is due.",
          { "next_backup_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_restorable_from_timestamp_seconds",
          "The oldest point that a restore reaches.",
          { "restorable", "from_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_restorable_until_timestamp_seconds",
          "The newest point that a restore reaches.",
          { "restorable", "until_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_drill_success", "Whether the last drill passed.", { "drill", "outcome" }, UNIT_FLAG, "succeeded" },
        { "berth_drill_timestamp_seconds",
          "When the last drill was finished.",
          { "drill", "finished_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_drill_recovery_time_seconds",
          "From the start of the last drill to a database that answers (RTO).",
          { "drill", "rto_ms" },
          UNIT_FROM_MS,
          NULL },
        { "berth_drill_recovery_point_seconds",
          "Of how much time the last drill found data missing (RPO).",
          { "drill", "rpo_ms" },
          UNIT_FROM_MS,
          NULL },
        { "berth_offsite_timestamp_seconds",
          "Up to when the copy elsewhere is complete.",
          { "offsite", "copied_ns" },
          UNIT_FROM_NS,
          NULL },
        { "berth_repository_bytes", "Room that the backups take.", { "budget", "used_bytes" }, UNIT_PLAIN, NULL },
        { "berth_repository_budget_bytes",
          "Room that they may take before it is told.",
          { "budget", "budget_bytes" },
          UNIT_PLAIN,
          NULL },
        { "berth_slot_retained_bytes",
          "Log that the server keeps for the receiver.",
          { "slot", "kept_bytes" },
          UNIT_PLAIN,
          NULL },
        { "berth_slot_remaining_bytes",
          "Log until max_slot_wal_keep_size, where there is a limit.",
          { "slot", "left_bytes" },
          UNIT_PLAIN,
          NULL },
        { "berth_synchronous", "Whether commits wait for the receiver.", { "synchronous", "on" }, UNIT_FLAG, NULL },
        { "berth_synchronous_wanted", "Whether they should.", { "synchronous", "asked" }, UNIT_FLAG, NULL },
};

static void add_label(Strbuf *text, const char *name, const char *value)
{
        strbuf_addf(text, "%s=\"", name);
        for (; *value; value++)
                if (*value == '\n')
                        strbuf_adds(text, "\\n");
                else
                        strbuf_addf(text, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
        strbuf_addc(text, '"');
}

static void add_sample(Strbuf *text, const char *name, const char *project, const json_t *row, double value)
{
        strbuf_addf(text, "%s{", name);
        add_label(text, "project", project);
        strbuf_addc(text, ',');
        add_label(text, "service", json_get_string(row, "service", ""));
        strbuf_addf(text, "} %.15g\n", value);
}

static const json_t *member_of(const json_t *row, const Metric *metric)
{
        for (size_t i = 0; i < ARRAY_SIZE(metric->path) && metric->path[i]; i++)
                row = json_object_get(row, metric->path[i]);
        return row;
}

static bool value_of(const Metric *metric, const json_t *member, double *ret)
{
        if (metric->equals)
                *ret = streq_ptr(json_string_value(member), metric->equals);
        else
                *ret = json_is_true(member) ? 1 : json_number_value(member);
        if (metric->unit == UNIT_FROM_NS)
                *ret /= 1e9;
        if (metric->unit == UNIT_FROM_MS)
                *ret /= 1e3;
        /* A moment that never was. */
        return member && !(metric->unit == UNIT_FROM_NS && *ret <= 0);
}

static void begin(Strbuf *text, const char *name, const char *help)
{
        strbuf_addf(text, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

void status_print_metrics(const char *project, const json_t *rows)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const json_t *row;
        size_t i;

        for (const Metric *metric = metrics; metric < metrics + ARRAY_SIZE(metrics); metric++) {
                begin(&text, metric->name, metric->help);
                json_array_foreach(rows, i, row) {
                        double value;

                        if (value_of(metric, member_of(row, metric), &value))
                                add_sample(&text, metric->name, project, row, value);
                }
        }
        begin(&text, "berth_problems", "What berth status shows in red.");
        json_array_foreach(rows, i, row)
                add_sample(&text, "berth_problems", project, row,
                           (double)json_array_size(json_object_get(row, "problems")));
        fputs(strbuf_text(&text), stdout);
}
