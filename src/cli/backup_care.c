/* backup prune: what is not kept any longer. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/confirm.h"
#include "cli/work.h"
#include "state/document.h"

int backup_repositories_of(Invocation *invocation, const Scope *scope, const char *service, char ***ret, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        const json_t *row;
        size_t i;
        int r = work_ask(invocation, "backups", json_pack("{s:s, s:s}", "project", scope->name, "service", service),
                         &result, err);

        if (r < 0)
                return r;
        json_array_foreach(json_object_get(result, "backups"), i, row) {
                const char *path = json_get_string(row, "repository", "");
                if (*path && !strv_contains(*ret, path))
                        strv_add(ret, path);
        }
        return *ret ? 0 : error_set(err, ERROR_NOT_FOUND, "there are no backups of service \"%s\"", service);
}

int backup_repositories(Invocation *invocation, char ***ret, char **ret_service, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &scope, ret_service,
                             err);

        return r < 0 ? r : backup_repositories_of(invocation, &scope, *ret_service, ret, err);
}

static void print_json(const json_t *value)
{
        _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

        printf("%s\n", text);
}

/* ---- prune ---- */

int backup_read_keep(const Invocation *invocation, json_t *params, Error **err)
{
        const char *text = invocation_text(invocation, "keep", NULL);
        _cleanup_strv_ char **parts = NULL;
        json_t *keep;

        if (!text)
                return 0;
        if (!strchr(text, '=')) {
                json_set_string(params, "keep", text);
                return 0;
        }
        keep = json_object();
        json_object_set_new(params, "keep", keep);
        parts = strv_split(text, ',');
        STRV_FOREACH(part, parts) {
                char *equals = strchr(*part, '=');
                int64_t count;

                if (!equals)
                        return error_set(err, ERROR_USAGE, "--keep: \"%s\" is not NAME=VALUE", *part);
                *equals = '\0';
                if (parse_int64(equals + 1, 1, 100000, &count))
                        json_object_set_new(keep, *part, json_integer(count));
                else
                        json_set_string(keep, *part, equals + 1);
        }
        return 0;
}

static void print_pruned(const json_t *report, bool dry_run)
{
        _cleanup_free_ char *freed = format_size((uint64_t)json_get_int(report, "freed_bytes", 0));
        const json_t *backups = json_object_get(report, "backups"), *id;
        size_t i;

        json_array_foreach(backups, i, id)
                printf("%s\n", json_string_value(id));
        printf(dry_run ? "%zu backups and %lld segments of the log would go\n"
                       : "%zu backups and %lld segments of the log removed",
               json_array_size(backups), (long long)json_get_int(report, "segments", 0));
        if (!dry_run)
                printf(", %s freed\n", freed);
}

static int run_prune(Invocation *invocation, Error **err)
{
        bool dry_run = invocation_flag(invocation, "dry-run");
        _cleanup_free_ char *service = NULL, *what = NULL;
        _cleanup_strv_ char **paths = NULL;
        int r = invocation_text(invocation, "keep", NULL)
                        ? 0
                        : error_set(err, ERROR_USAGE, "--keep is missing: what is to stay");

        if (r == 0)
                r = backup_repositories(invocation, &paths, &service, err);
        if (r < 0)
                return r;
        what = xasprintf("remove backups of service %s that are older than is kept", service);
        r = dry_run ? 0 : confirm(what, NULL, invocation_flag(invocation, "yes"), "--yes", err);
        if (r < 0)
                return r;
        STRV_FOREACH(path, paths) {
                _cleanup_json_ json_t *params = json_pack("{s:s, s:b}", "repository", *path, "dry_run", dry_run);
                _cleanup_json_ json_t *report = NULL;

                r = backup_read_keep(invocation, params, err);
                if (r == 0)
                        r = work_ask(invocation, "repository-prune", json_incref(params), &report, err);
                if (r < 0)
                        return r;
                if (invocation_json(invocation))
                        print_json(report);
                else
                        print_pruned(report, dry_run);
        }
        return 0;
}

/* ---- the command ---- */

#define FORMAT_OPTION { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" }

static const Option prune_options[] = {
        BACKUP_KEEP_OPTION,
        { "dry-run", 0, OPTION_FLAG, NULL, "Say what would go" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        FORMAT_OPTION,
        { NULL },
};

const Command command_backup_prune = {
        .name = "backup prune",
        .summary = "Remove backups and log that are not kept any longer, and give their room back",
        .arguments = "[SERVICE]",
        .details =
                "What a kept backup or a promised moment needs stays, and so does the newest good backup, however old "
                "it is. Within a time, and since the oldest of the last backups, any moment can be restored; daily, "
                "weekly and monthly backups can be restored as they are.",
        .examples =
                "berth backup prune --keep 14d --dry-run\nberth backup prune --keep 30d\nberth backup prune --keep time=7d,weekly=4,monthly=6",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = prune_options,
        .max_arguments = 1,
        .function = run_prune,
        .complete = COMPLETE_SERVICES,
};
