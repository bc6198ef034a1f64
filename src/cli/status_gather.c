/* What is known of how a database is protected: documents of its project, and one job of the worker. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/describe.h"
#include "cli/status.h"
#include "cli/work.h"
#include "operate/backup_settings.h"
#include "operate/backup_work.h"
#include "operate/receiver_control.h"
#include "operate/target.h"
#include "state/document.h"

/* A slot that has less than this part of its limit left is near it. */
#define NEAR_PART    4
#define KNOWN_FORMAT 1

typedef struct Gathering {
        const Invocation *invocation;
        const Scope *scope;
        const char *service;
        const ContainerInfo *info; /* NULL: there is none */
        json_t *status, *problems;
        json_t *model, *receiver, *answer, *cluster; /* cluster is the answer's */
        bool wanted, receives;
        int64_t now_ns;
} Gathering;

static void gathering_done(Gathering *all)
{
        json_decref(all->status);
        json_decref(all->problems);
        json_decref(all->model);
        json_decref(all->receiver);
        json_decref(all->answer);
}
#define _cleanup_gathering_ _cleanup_(gathering_done)

static void add_problem(Gathering *all, const char *format, ...) _printf_(2, 3);

static void add_problem(Gathering *all, const char *format, ...)
{
        va_list arguments;
        _cleanup_free_ char *text = NULL;

        va_start(arguments, format);
        text = xvasprintf(format, arguments);
        va_end(arguments);
        json_array_append_new(all->problems, json_string(text));
}

/* <data>/projects/<project>/<name>; NULL. */
static json_t *load(const Gathering *all, const char *name)
{
        _cleanup_free_ char *path = layout_data(all->invocation->layout, "projects/%s/%s", all->scope->name, name);
        json_t *document = NULL;

        return document_load(path, KNOWN_FORMAT, &document, NULL) < 0 ? NULL : document;
}

static bool is_released(const Gathering *all)
{
        _cleanup_json_ json_t *document = load(all, "released.json");
        _cleanup_strv_ char **services = document ? json_get_strv(document, "services") : NULL;

        return strv_contains(services, all->service);
}

/* ---- the database and its receiver ---- */

static void add_state(Gathering *all)
{
        const char *state = all->info ? container_state_name(all->info->state) : "gone";
        bool released = is_released(all), keeper = keeper_lives(all->invocation->layout, all->scope->name);
        bool is_down = !all->info && !json_object_get(json_object_get(all->model, "services"), all->service);

        all->wanted = backup_is_wanted(all->model, all->service) && !released;
        json_set_string(all->status, "service", all->service);
        json_set_string(all->status, "state", state);
        if (all->info) {
                json_set_string(all->status, "container", all->info->name);
                json_set_string(all->status, "health", all->info->health);
        }
        json_object_set_new(all->status, "keeper", json_boolean(keeper));
        if (!keeper && all->info && all->info->state == CONTAINER_RUNNING)
                add_problem(all, "nobody looks after this project: its keeper does not run (\"berth up\" starts it)");
        if (all->wanted && all->info && all->info->state == CONTAINER_EXITED && all->info->exit_code != 0)
                add_problem(
                        all,
                        "the server has ended with exit status %d (\"berth logs %s\" says why, \"berth up\" starts it)",
                        all->info->exit_code, all->service);
        json_set_string(all->status, "backups", released ? "released" : all->wanted ? "on" : is_down ? "down" : "off");
}

static void add_receiver(Gathering *all)
{
        const char *phase = json_get_string(all->receiver, "phase", "none"),
                   *message = json_get_string(all->receiver, "message", NULL);
        bool alive = receiver_state_pid(all->receiver) > 0, runs = all->info && all->info->state == CONTAINER_RUNNING;
        json_t *receiver;

        all->receives = alive && streq(phase, "streaming");
        receiver = json_pack("{s:s, s:I, s:I}", "phase", alive ? phase : "none", "received_ns",
                             (json_int_t)json_get_int(all->receiver, "received_ns", 0), "caught_up_ns",
                             (json_int_t)json_get_int(all->receiver, "caught_up_ns", 0));
        json_set_string(receiver, "flushed_lsn", json_get_string(all->receiver, "flushed", NULL));
        if (!all->receives)
                json_set_string(receiver, "message", message);
        json_object_set_new(all->status, "receiver", receiver);
        if (all->wanted && runs && !all->receives)
                add_problem(all, "the log is not received: %s",
                            !alive    ? "no receiver runs (\"berth up\" starts it)"
                            : message ? message
                                      : phase);
}

/* ---- what there is ---- */

static void add_backups(Gathering *all)
{
        const json_t *rows = json_object_get(all->answer, "backups"), *first = NULL, *last = NULL, *row;
        const char *unreadable = json_get_string(all->answer, "unreadable", NULL);
        int64_t gap_ns = json_get_int(all->receiver, "gap_ns", 0);
        size_t i, n = 0;

        json_array_foreach(rows, i, row) {
                if (json_get_bool(row, "damaged", false))
                        continue;
                first = first ? first : row;
                last = row;
                n++;
        }
        if (!unreadable)
                json_object_set_new(all->status, "n_backups", json_integer((json_int_t)n));
        if (unreadable)
                add_problem(all, "the backups cannot be read: %s", unreadable);
        if (!last) {
                if (all->wanted && !unreadable)
                        add_problem(all, "there is no base backup yet: nothing can be restored");
                return;
        }
        json_object_set_new(all->status, "last_backup",
                            json_pack("{s:O, s:O, s:O, s:O}", "id", json_object_get(last, "id"), "kind",
                                      json_object_get(last, "kind"), "finished_ns",
                                      json_object_get(last, "finished_ns"), "size_bytes",
                                      json_object_get(last, "size_bytes")));
        json_object_set_new(all->status, "restorable",
                            json_pack("{s:I, s:I, s:s, s:I}", "from_ns",
                                      (json_int_t)json_get_int(first, "finished_ns", 0), "until_ns",
                                      (json_int_t)json_get_int(last, "until_ns", 0), "until_lsn",
                                      json_get_string(last, "until_lsn", ""), "timeline",
                                      (json_int_t)json_get_int(last, "until_timeline", 0)));
        json_set_string(all->status, "repository", json_get_string(last, "repository", NULL));
        if (gap_ns)
                json_object_set_new(all->status, "gap_ns", json_integer(gap_ns));
        if (gap_ns > json_get_int(last, "finished_ns", 0))
                add_problem(all,
                            "a part of the log is lost: nothing behind it can be restored until the next base backup");
}

/* "16/B374D848" as a number; -1 where it is none. postgres/wal_name.h does the same for programs that link it. */
static int64_t place_of(const char *text)
{
        unsigned high, low;

        return text && sscanf(text, "%X/%X", &high, &low) == 2 ? (int64_t)((uint64_t)high << 32 | low) : -1;
}

/* What would be gone if server and data were lost now. */
static void add_lost(Gathering *all)
{
        const json_t *sender = json_object_get(all->cluster, "sender"),
                     *restorable = json_object_get(all->status, "restorable");
        int64_t known_ns =
                MAX(json_get_int(all->receiver, "caught_up_ns", 0), json_get_int(all->receiver, "received_ns", 0));
        int64_t server = place_of(json_get_string(all->cluster, "flush_lsn", NULL)), here;

        if (!restorable)
                return;
        here = place_of(json_is_object(sender) ? json_get_string(sender, "flush_lsn", NULL)
                                               : json_get_string(restorable, "until_lsn", NULL));
        if (server < 0 || here < 0)
                return;
        if (!json_is_object(sender))
                known_ns = json_get_int(restorable, "until_ns", 0);
        json_object_set_new(all->status, "would_be_lost",
                            json_pack("{s:I, s:f}", "bytes", (json_int_t)MAX(server - here, INT64_C(0)), "seconds",
                                      server <= here ? 0.0 : (double)MAX(all->now_ns - known_ns, INT64_C(0)) / 1e9));
}

static void add_work(Gathering *all)
{
        _cleanup_free_ char *path = backup_work_path(all->invocation->layout, all->scope->name, all->service);
        json_t *work = backup_work_look(path);

        if (work)
                json_object_set_new(all->status, "backup_at_work", work);
}

/* ---- by the clock, and elsewhere ---- */

static void add_schedule(Gathering *all)
{
        _cleanup_json_ json_t *schedule = load(all, "schedule.json");
        const json_t *job;
        size_t i;

        json_array_foreach(json_object_get(schedule, "jobs"), i, job) {
                bool failed = streq(json_get_string(job, "outcome", ""), "failed");

                if (!streq(json_get_string(job, "service", ""), all->service))
                        continue;
                if (failed)
                        add_problem(all, "the last scheduled %s failed: %s", json_get_string(job, "kind", ""),
                                    json_get_string(job, "message", ""));
                if (streq(json_get_string(job, "kind", ""), "backup"))
                        json_object_set_new(all->status, "next_backup_ns",
                                            json_integer(json_get_int(job, "next_ns", 0)));
        }
}

static void add_drill(Gathering *all)
{
        _cleanup_free_ char *name = xasprintf("drills/%s.json", all->service);
        _cleanup_json_ json_t *drill = load(all, name);

        if (!drill)
                return;
        json_object_set(all->status, "drill", drill);
        if (streq(json_get_string(drill, "outcome", ""), "failed"))
                add_problem(all, "the last drill failed: %s", json_get_string(drill, "message", ""));
}

static void add_offsite(Gathering *all)
{
        _cleanup_json_ json_t *document = load(all, "offsite.json"), *budgets = load(all, "budget.json");
        json_t *offsite = json_object_get(json_object_get(document, "services"), all->service);
        json_t *budget = json_object_get(json_object_get(budgets, "services"), all->service);

        if (offsite)
                json_object_set(all->status, "offsite", offsite);
        if (offsite && streq(json_get_string(offsite, "phase", ""), "failed"))
                add_problem(all, "the copy elsewhere is behind: %s", json_get_string(offsite, "message", ""));
        if (budget)
                json_object_set(all->status, "budget", budget);
        if (json_get_bool(budget, "over", false))
                add_problem(all, "the backups take more room than x-berth.backup.budget gives them");
}

/* ---- in the cluster ---- */

static void add_slot(Gathering *all)
{
        const json_t *slot = json_object_get(all->cluster, "slot");
        int64_t kept = json_get_int(slot, "kept_bytes", 0), left = json_get_int(slot, "left_bytes", -1);
        int64_t room = json_get_int(slot, "room_bytes", -1);
        const char *status = json_get_string(slot, "wal_status", "");
        json_t *row;

        if (!json_is_object(slot))
                return;
        row = json_copy((json_t *)slot);
        json_set_string(row, "name", json_get_string(all->receiver, "slot", NULL));
        json_set_string(row, "limit", json_get_string(all->cluster, "limit", NULL));
        json_object_set_new(all->status, "slot", row);
        if (streq(status, "lost"))
                add_problem(all,
                            "the replication slot is lost: the server kept more log than max_slot_wal_keep_size (%s) "
                            "allows; a new base backup is taken once the log is received again",
                            json_get_string(all->cluster, "limit", ""));
        else if (streq(status, "unreserved") || (left >= 0 && left < kept / (NEAR_PART - 1)))
                add_problem(
                        all,
                        "the replication slot is near max_slot_wal_keep_size (%s): the log is lost when it gets there",
                        json_get_string(all->cluster, "limit", ""));
        if (room >= 0 && room < kept / (NEAR_PART - 1)) {
                _cleanup_free_ char *left_text = format_size((uint64_t)room), *kept_text = format_size((uint64_t)kept);

                add_problem(
                        all,
                        "the disk of the server's log has %s left, and %s of log are kept for the receiver: a server "
                        "that cannot write its log stops. Make room there, and never remove anything from pg_wal",
                        left_text, kept_text);
        }
}

static void add_settings(Gathering *all)
{
        const json_t *values = json_object_get(all->cluster, "settings");
        json_t *list = json_array(), *entry,
               *changed = json_object_get(json_object_get(all->answer, "remembered"), "settings");
        const char *name;

        json_object_foreach(changed, name, entry) {
                const json_t *ours = json_object_get(entry, "ours");
                json_t *row;

                if (!json_get_bool(entry, "on", false))
                        continue;
                row = json_pack("{s:s, s:O, s:O?}", "name", name, "before", json_object_get(entry, "before"), "set",
                                json_array_get(ours, json_array_size(ours) - 1));
                json_set_string(row, "value", json_get_string(values, name, NULL));
                json_array_append_new(list, row);
        }
        json_object_set_new(all->status, "settings", list);
}

static void add_synchronous(Gathering *all)
{
        bool asked = json_is_true(backup_setting_of(all->model, all->service, "synchronous")) && all->wanted;
        const char *state = json_get_string(json_object_get(all->cluster, "sender"), "sync_state", "");
        const char *told = json_get_string(all->receiver, "synchronous", "off");
        const char *message = json_get_string(all->receiver, "synchronous_message", NULL);
        bool on = (streq(state, "sync") || streq(state, "quorum")) && streq(told, "on");
        json_t *row = json_pack("{s:b, s:b}", "asked", asked, "on", on);

        json_set_string(row, "state", on ? "on" : asked && !streq(told, "on") ? told : "off");
        json_set_string(row, "message", message);
        json_object_set_new(all->status, "synchronous", row);
        if (asked && !on && all->info && all->info->state == CONTAINER_RUNNING)
                add_problem(all, "commits are not synchronous, though x-berth asks for it: %s",
                            message         ? message
                            : all->receives ? "the receiver has not taken that place yet"
                                            : "no receiver has all of the log");
}

/* ---- all of it ---- */

static int ask(Gathering *all, Error **err)
{
        json_t *params = json_pack("{s:s, s:s}", "project", all->scope->name, "service", all->service);
        int r;

        if (all->info && all->info->pid > 0)
                json_object_set_new(params, "target", database_target_to_json(all->info));
        r = work_ask(all->invocation, "status", params, &all->answer, err);
        all->cluster = json_object_get(all->answer, "cluster");
        return r;
}

int status_gather(const Invocation *invocation, const Scope *scope, const char *service, const ContainerInfo *info,
                  json_t **ret, Error **err)
{
        _cleanup_gathering_ Gathering all = { .invocation = invocation,
                                              .scope = scope,
                                              .service = service,
                                              .info = info,
                                              .status = json_object(),
                                              .problems = json_array(),
                                              .now_ns = clock_realtime_ns() };
        _cleanup_json_ json_t *project = load(&all, "project.json");
        int r;

        all.model = json_incref(json_object_get(project, "model"));
        all.receiver = receiver_state_load(invocation->layout, scope->name, service);
        r = ask(&all, err);
        if (r < 0)
                return error_prefix(err, r, "service \"%s\"", service);
        add_state(&all);
        add_receiver(&all);
        add_backups(&all);
        add_lost(&all);
        add_work(&all);
        add_schedule(&all);
        add_drill(&all);
        add_offsite(&all);
        add_slot(&all);
        add_settings(&all);
        add_synchronous(&all);
        if (info && info->pid > 0 && !all.cluster)
                add_problem(&all, "the server could not be asked: %s", json_get_string(all.answer, "unreachable", ""));
        json_set_string(all.status, "version", json_get_string(all.cluster, "version", NULL));
        json_object_set(all.status, "problems", all.problems);
        *ret = TAKE_PTR(all.status);
        return 0;
}
