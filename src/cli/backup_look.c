/* backup ls, show, rm. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/confirm.h"
#include "cli/output/listing.h"
#include "cli/work.h"
#include "operate/backup_work.h"
#include "state/document.h"

char *backup_local_time(int64_t ns)
{
        return ns > 0 ? clock_format_local(ns) : xstrdup("");
}

static int load_rows(Invocation *invocation, const char *name, char **ret_project, json_t **ret, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *result = NULL, *params = NULL;
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);

        if (r < 0)
                return r;
        params = json_pack("{s:s}", "project", scope.name);
        json_set_string(params, "service", name);
        r = work_ask(invocation, "backups", TAKE_PTR(params), &result, err);
        if (r < 0)
                return r;
        *ret = json_incref(json_object_get(result, "backups"));
        *ret_project = xstrdup(scope.name);
        return 0;
}

/* What people read, beside what programs do. */
static void add_texts(json_t *row)
{
        _cleanup_free_ char *taken = backup_local_time(json_get_int(row, "started_ns", 0));
        _cleanup_free_ char *from = backup_local_time(json_get_int(row, "finished_ns", 0));
        _cleanup_free_ char *until = backup_local_time(json_get_int(row, "until_ns", 0));
        _cleanup_free_ char *size = format_size((uint64_t)json_get_int(row, "size_bytes", 0));
        _cleanup_free_ char *added = format_size((uint64_t)json_get_int(row, "new_bytes", 0));
        bool damaged = json_get_bool(row, "damaged", false);

        json_set_string(row, "Taken", taken);
        json_set_string(row, "From", from);
        json_set_string(row, "Until", damaged ? "damaged" : until);
        json_set_string(row, "Size", damaged ? "" : size);
        json_set_string(row, "New", damaged ? "" : added);
        json_set_string(row, "Cluster", json_get_bool(row, "present", true) ? "present" : "earlier");
}

/* For programs a row like the others, without what is not known yet, and "at_work"; for people a line below the table. */
static void add_work(json_t *rows, const json_t *works)
{
        json_t *work;
        size_t i;

        json_array_foreach(works, i, work) {
                json_t *row = json_copy(work);

                json_object_set_new(row, "at_work", json_true());
                json_array_append_new(rows, row);
        }
}

static void print_work(const json_t *works)
{
        json_t *work;
        size_t i;

        json_array_foreach(works, i, work) {
                _cleanup_free_ char *text = backup_work_text(work),
                                    *since = backup_local_time(json_get_int(work, "started_ns", 0));

                printf("%s: a backup is at work (%s) since %s: %s\n", json_get_string(work, "service", ""),
                       json_get_string(work, "kind", ""), since, text);
        }
}

/* The room that damaged objects take which a repair has replaced. Rows of one repository stand together. */
static void print_aside(const json_t *rows)
{
        const char *last = "";
        json_t *row;
        size_t i;

        json_array_foreach(rows, i, row) {
                const char *repository = json_get_string(row, "repository", "");
                _cleanup_free_ char *folder = path_join(repository, "damaged"), *size = NULL;
                bool known = streq(repository, last);

                last = repository;
                if (known || !fs_is_directory(folder))
                        continue;
                size = format_size(fs_disk_usage(folder));
                printf("%s: damaged objects that were replaced take %s in %s; prune removes them after thirty days\n",
                       json_get_string(row, "service", ""), size, folder);
        }
}

static int run_ls(Invocation *invocation, Error **err)
{
        static const ListingColumn columns[] = {
                { "BACKUP", "id" },
                { "SERVICE", "service" },
                { "KIND", "kind" },
                { "SIZE", "Size" },
                { "NEW", "New" },
                { "FROM", "From" },
                { "RESTORABLE UNTIL", "Until" },
                { "CLUSTER", "Cluster" },
                { NULL },
        };
        _cleanup_free_ char *project = NULL;
        _cleanup_json_ json_t *rows = NULL, *works = NULL;
        const char *service = invocation->arguments ? invocation->arguments[0] : NULL;
        const char *format = invocation_text(invocation, "format", "table");
        json_t *row;
        size_t i;
        int r = load_rows(invocation, service, &project, &rows, err);

        if (r < 0)
                return r;
        works = backup_work_list(invocation->layout, project, service);
        json_array_foreach(rows, i, row)
                add_texts(row);
        if (streq(format, "json"))
                add_work(rows, works);
        r = listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
        if (r >= 0 && streq(format, "table")) {
                backup_print_timelines(rows);
                print_aside(rows);
                print_work(works);
                offsite_print(invocation, project, service);
        }
        return r;
}

static int find_row(const json_t *rows, const char *id, const json_t **ret, Error **err)
{
        json_t *row;
        size_t i;

        *ret = NULL;
        json_array_foreach(rows, i, row)
                if (streq(json_get_string(row, "id", ""), id))
                        *ret = row;
        if (*ret)
                return 0;
        return error_hint(err, error_set(err, ERROR_NOT_FOUND, "there is no backup %s", id),
                          "\"berth backup ls\" lists them.");
}

static int run_show(Invocation *invocation, Error **err)
{
        _cleanup_free_ char *project = NULL, *text = NULL;
        _cleanup_json_ json_t *rows = NULL;
        const json_t *row;
        int r = load_rows(invocation, NULL, &project, &rows, err);

        if (r == 0)
                r = find_row(rows, invocation->arguments[0], &row, err);
        if (r < 0)
                return r;
        text = json_dumps(row, JSON_INDENT(4));
        printf("%s\n", text);
        return 0;
}

static int remove_one(Invocation *invocation, const char *id, Error **err)
{
        _cleanup_free_ char *project = NULL, *what = NULL;
        _cleanup_json_ json_t *rows = NULL, *result = NULL;
        const json_t *row;
        int r = load_rows(invocation, NULL, &project, &rows, err);

        if (r == 0)
                r = find_row(rows, id, &row, err);
        if (r < 0)
                return r;
        what = xasprintf("remove backup %s of service %s", id, json_get_string(row, "service", ""));
        r = confirm(what, NULL, invocation_flag(invocation, "yes"), "--yes", err);
        if (r < 0)
                return r;
        r = work_ask(invocation, "backup-remove",
                     json_pack("{s:s, s:s, s:b}", "repository", json_get_string(row, "repository", ""), "backup", id,
                               "last_too", invocation_flag(invocation, "last-too")),
                     &result, err);
        if (r == 0)
                printf("%s\n", id);
        return r;
}

static int run_rm(Invocation *invocation, Error **err)
{
        STRV_FOREACH(id, invocation->arguments) {
                int r = remove_one(invocation, *id, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

static const Option ls_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { NULL },
};
static const Option rm_options[] = {
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { "last-too", 0, OPTION_FLAG, NULL,
          "Also the only backup of a cluster, without which its log is worth nothing" },
        { NULL },
};
static const Option show_options[] = { { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "json" }, { NULL } };

const Command command_backup_ls = {
        .name = "backup ls",
        .summary = "List backups, and how far each leads",
        .arguments = "[SERVICE]",
        .details =
                "FROM is the first point that can be restored from a backup, RESTORABLE UNTIL the last one that the "
                "log behind it leads to without a gap. CLUSTER tells the database that is there now from earlier ones "
                "of the same name. A backup that is at work is shown with what has been read, and how long it will "
                "still take; with --format json as an object that has \"at_work\".",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = ls_options,
        .max_arguments = 1,
        .function = run_ls,
        .aliases = (const char *const[]){ "list", NULL },
        .complete = COMPLETE_SERVICES,
};
const Command command_backup_show = {
        .name = "backup show",
        .summary = "Show all about a backup, as JSON",
        .arguments = "BACKUP",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = show_options,
        .min_arguments = 1,
        .max_arguments = 1,
        .function = run_show,
};
const Command command_backup_rm = {
        .name = "backup rm",
        .summary = "Remove backups",
        .arguments = "BACKUP...",
        .details = "What other backups share with it stays. The room is given back by prune.",
        .flags = COMMAND_NEEDS_ROOT,
        .options = rm_options,
        .min_arguments = 1,
        .max_arguments = -1,
        .function = run_rm,
        .aliases = (const char *const[]){ "remove", NULL },
};
