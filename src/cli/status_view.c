#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/output/color.h"
#include "cli/status.h"
#include "operate/backup_work.h"
#include "state/document.h"

#define WIDTH 15

static void line(const char *name, const char *text)
{
        printf("  %-*s  %s\n", WIDTH, name, text);
}

static void line_taken(const char *name, char *text)
{
        line(name, text);
        free(text);
}

static char *local_time(int64_t ns)
{
        return ns > 0 ? clock_format_local(ns) : xstrdup("never");
}

static char *ago(int64_t ns)
{
        _cleanup_free_ char *text = clock_format_ago(MAX(clock_realtime_ns() - ns, INT64_C(0)));

        return xasprintf("%s ago", text);
}

static void print_protection(const json_t *status)
{
        const char *phase = json_get_string(json_object_get(status, "receiver"), "phase", "none");
        const json_t *lost = json_object_get(status, "would_be_lost"),
                     *restorable = json_object_get(status, "restorable");
        _cleanup_free_ char *size = format_size((uint64_t)json_get_int(lost, "bytes", 0));

        line_taken("backups", xasprintf("%s; log: %s", json_get_string(status, "backups", ""),
                                        streq(phase, "none") ? "not received" : phase));
        if (lost && json_get_int(lost, "bytes", 0) == 0)
                line("would be lost", "nothing: all that was committed is in the repository (0 B, 0 s)");
        else if (lost)
                line_taken("would be lost",
                           xasprintf("%s, %.1f s", size, json_number_value(json_object_get(lost, "seconds"))));
        else
                line("would be lost", restorable ? "not known: the server does not answer"
                                      : json_get_int(status, "n_backups", -1) < 0
                                              ? "not known: the backups cannot be read"
                                              : "everything: there is no backup");
        if (restorable) {
                _cleanup_free_ char *from = local_time(json_get_int(restorable, "from_ns", 0));
                _cleanup_free_ char *until = local_time(json_get_int(restorable, "until_ns", 0));

                line_taken("restorable", xasprintf("from %s to %s (%s, timeline %d)", from, until,
                                                   json_get_string(restorable, "until_lsn", ""),
                                                   (int)json_get_int(restorable, "timeline", 0)));
        }
}

static void print_backups(const json_t *status)
{
        const json_t *work = json_object_get(status, "backup_at_work");
        const json_t *last = json_object_get(status, "last_backup"), *drill = json_object_get(status, "drill");
        _cleanup_free_ char *next = local_time(json_get_int(status, "next_backup_ns", 0));

        if (last) {
                _cleanup_free_ char *size = format_size((uint64_t)json_get_int(last, "size_bytes", 0));
                _cleanup_free_ char *when = ago(json_get_int(last, "finished_ns", 0));

                line_taken("last backup", xasprintf("%s, %s, %s, %s", json_get_string(last, "id", ""),
                                                    json_get_string(last, "kind", ""), size, when));
        }
        if (work) {
                _cleanup_free_ char *how_far = backup_work_text(work), *when = ago(json_get_int(work, "started_ns", 0));

                line_taken("at work", xasprintf("%s, %s, began %s: %s", json_get_string(work, "id", ""),
                                                json_get_string(work, "kind", ""), when, how_far));
        }
        if (json_get_int(status, "next_backup_ns", 0) > 0)
                line("next backup", next);
        if (drill) {
                _cleanup_free_ char *when = ago(json_get_int(drill, "finished_ns", 0));

                line_taken("last drill", xasprintf("%s, %s: ready after %.1f s (RTO), %.1f s of data missing (RPO)",
                                                   json_get_string(drill, "outcome", ""), when,
                                                   (double)json_get_int(drill, "rto_ms", 0) / 1000,
                                                   (double)json_get_int(drill, "rpo_ms", 0) / 1000));
        } else if (last) {
                line("last drill", "never: how long a restore takes was not measured");
        }
}

/* What is not there would be lost with this machine. */
static void print_offsite(const json_t *status)
{
        const json_t *offsite = json_object_get(status, "offsite");
        int64_t copied_ns = json_get_int(offsite, "copied_ns", 0);
        int64_t behind_ns = MAX(clock_realtime_ns() - copied_ns, INT64_C(0)) / NSEC_PER_SEC * NSEC_PER_SEC;
        _cleanup_free_ char *behind = format_duration(behind_ns);
        _cleanup_free_ char *lost = copied_ns ? xasprintf("the last %s would be lost with this machine", behind)
                                              : xstrdup("nothing is there yet");

        if (offsite)
                line_taken("copy elsewhere", xasprintf("%s, %s: %s", json_get_string(offsite, "url", ""),
                                                       json_get_string(offsite, "phase", "waiting"), lost));
}

static void print_slot(const json_t *status)
{
        const json_t *slot = json_object_get(status, "slot");
        _cleanup_free_ char *kept = format_size((uint64_t)MAX(json_get_int(slot, "kept_bytes", 0), INT64_C(0)));
        _cleanup_free_ char *left = format_size((uint64_t)MAX(json_get_int(slot, "left_bytes", 0), INT64_C(0)));

        if (!slot)
                return;
        if (json_object_get(slot, "left_bytes"))
                line_taken("slot", xasprintf("%s: %s kept, %s until max_slot_wal_keep_size (%s)",
                                             json_get_string(slot, "name", ""), kept, left,
                                             json_get_string(slot, "limit", "")));
        else
                line_taken("slot", xasprintf("%s: %s kept, without a limit", json_get_string(slot, "name", ""), kept));
}

static void print_cluster(const json_t *status)
{
        const json_t *synchronous = json_object_get(status, "synchronous"), *row;
        bool asked = json_get_bool(synchronous, "asked", false), on = json_get_bool(synchronous, "on", false);
        size_t i;

        print_slot(status);
        if (asked && !on)
                printf("  %-*s  %sOFF%s, though it is asked for (%s)\n", WIDTH, "synchronous", color(stdout, COLOR_RED),
                       color(stdout, COLOR_RESET), json_get_string(synchronous, "state", ""));
        else
                line("synchronous", on ? "on: commits wait for the receiver" : "not asked for");
        json_array_foreach(json_object_get(status, "settings"), i, row) {
                const char *before = json_string_value(json_object_get(row, "before"));

                line_taken(i ? "" : "changed", xasprintf("%s = \"%s\" (before: %s)", json_get_string(row, "name", ""),
                                                         json_get_string(row, "set", ""), before ? before : "not set"));
        }
}

void status_print(const json_t *status)
{
        const char *health = json_get_string(status, "health", NULL),
                   *version = json_get_string(status, "version", NULL);
        const json_t *problem;
        size_t i;

        printf("%s%s%s\n", color(stdout, COLOR_BOLD), json_get_string(status, "service", ""),
               color(stdout, COLOR_RESET));
        line_taken("state", xasprintf("%s%s%s%s%s", json_get_string(status, "state", ""), health ? ", " : "",
                                      health ? health : "", version ? ", PostgreSQL " : "", version ? version : ""));
        print_protection(status);
        print_backups(status);
        print_offsite(status);
        print_cluster(status);
        json_array_foreach(json_object_get(status, "problems"), i, problem)
                printf("  %s%-*s%s  %s\n", color(stdout, COLOR_RED), WIDTH, "problem", color(stdout, COLOR_RESET),
                       json_string_value(problem));
}
