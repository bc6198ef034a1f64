/* backup verify, prune, copy: looking after what is there. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/confirm.h"
#include "cli/work.h"
#include "state/document.h"

/* The repositories of the service that have backups, the newest last; a strv. */
static int find_repositories(Invocation *invocation, char ***ret, char **ret_service, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *result = NULL;
        const json_t *row;
        size_t i;
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &scope, ret_service, err);

        if (r == 0)
                r = work_ask(invocation, "backups", json_pack("{s:s, s:s}", "project", scope.name, "service", *ret_service),
                             &result, err);
        if (r < 0)
                return r;
        json_array_foreach(json_object_get(result, "backups"), i, row) {
                const char *path = json_get_string(row, "repository", "");
                if (*path && !strv_contains(*ret, path))
                        strv_add(ret, path);
        }
        return *ret ? 0 : error_set(err, ERROR_NOT_FOUND, "there are no backups of service \"%s\"", *ret_service);
}

static void print_json(const json_t *value)
{
        _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

        printf("%s\n", text);
}

/* ---- verify ---- */

static size_t print_faults(const json_t *report)
{
        const json_t *faults = json_object_get(report, "faults"), *fault;
        size_t i;

        json_array_foreach(faults, i, fault)
                printf("%s: %s\n", json_get_string(fault, "object", ""), json_get_string(fault, "message", ""));
        return json_array_size(faults);
}

static int run_verify(Invocation *invocation, Error **err)
{
        _cleanup_free_ char *service = NULL;
        _cleanup_strv_ char **paths = NULL;
        size_t faults = 0;
        int r = find_repositories(invocation, &paths, &service, err);

        if (r < 0)
                return r;
        STRV_FOREACH(path, paths) {
                Work work = { "repository-verify", "Verifying", "backups", service, "verifying", "verified" };
                _cleanup_json_ json_t *report = NULL;

                r = work_run(invocation, &work, json_pack("{s:s}", "repository", *path), &report, err);
                if (r < 0)
                        return r;
                if (invocation_json(invocation))
                        print_json(report);
                else
                        print_faults(report);
                faults += json_array_size(json_object_get(report, "faults"));
        }
        if (!faults)
                return 0;
        r = error_set(err, ERROR_CORRUPT, "the backups of service \"%s\" have %zu faults", service, faults);
        return error_hint(err, r, "Take a new backup with \"berth backup\"; what is not damaged can be restored.");
}

/* ---- prune ---- */

/* --keep as the worker takes it: "7d", or counts like "daily=7,weekly=4". */
static int read_keep(const Invocation *invocation, json_t *params, Error **err)
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
        printf(dry_run ? "%zu backups and %lld segments of the log would go\n" : "%zu backups and %lld segments of the log removed",
               json_array_size(backups), (long long)json_get_int(report, "segments", 0));
        if (!dry_run)
                printf(", %s freed\n", freed);
}

static int run_prune(Invocation *invocation, Error **err)
{
        bool dry_run = invocation_flag(invocation, "dry-run");
        _cleanup_free_ char *service = NULL, *what = NULL;
        _cleanup_strv_ char **paths = NULL;
        int r = invocation_text(invocation, "keep", NULL) ? 0 : error_set(err, ERROR_USAGE, "--keep is missing: what is to stay");

        if (r == 0)
                r = find_repositories(invocation, &paths, &service, err);
        if (r < 0)
                return r;
        what = xasprintf("remove backups of service %s that are older than is kept", service);
        r = dry_run ? 0 : confirm(what, NULL, invocation_flag(invocation, "yes"), "--yes", err);
        if (r < 0)
                return r;
        STRV_FOREACH(path, paths) {
                _cleanup_json_ json_t *params = json_pack("{s:s, s:b}", "repository", *path, "dry_run", dry_run);
                _cleanup_json_ json_t *report = NULL;

                r = read_keep(invocation, params, err);
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

/* ---- copy ---- */

static void set_path(const Invocation *invocation, json_t *object, const char *member, const char *option)
{
        const char *text = invocation_text(invocation, option, NULL);
        _cleanup_free_ char *here = NULL, *path = NULL;

        if (!text)
                return;
        here = realpath(".", NULL);
        path = path_clean(here ? here : "/", text);
        json_set_string(object, member, path);
}

static int make_copy_params(const Invocation *invocation, const char *repository, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *params = json_pack("{s:s, s:{s:s}, s:b}", "repository", repository, "copy", "url",
                                                  invocation_text(invocation, "to", ""), "prune",
                                                  invocation_flag(invocation, "prune"));
        json_t *copy = json_object_get(params, "copy");
        int r;

        json_set_string(copy, "endpoint", invocation_text(invocation, "endpoint", NULL));
        json_set_string(copy, "region", invocation_text(invocation, "region", NULL));
        set_path(invocation, copy, "credentials", "credentials");
        set_path(invocation, copy, "identity", "identity");
        set_path(invocation, copy, "known_hosts", "known-hosts");
        set_path(invocation, params, "key", "key");
        json_object_set_new(params, "make_key", json_boolean(invocation_flag(invocation, "make-key")));
        r = read_keep(invocation, params, err);
        if (r == 0)
                *ret = TAKE_PTR(params);
        return r;
}

static int run_copy(Invocation *invocation, Error **err)
{
        _cleanup_free_ char *service = NULL;
        _cleanup_strv_ char **paths = NULL;
        int r = invocation_text(invocation, "to", NULL) ? 0 : error_set(err, ERROR_USAGE, "--to is missing");

        if (r == 0)
                r = find_repositories(invocation, &paths, &service, err);
        STRV_FOREACH(path, paths) {
                Work work = { "repository-copy", "Copying", "backups", service, "copying", "copied" };
                _cleanup_json_ json_t *report = NULL, *params = NULL;
                _cleanup_free_ char *sent = NULL;

                if (r == 0)
                        r = make_copy_params(invocation, *path, &params, err);
                if (r == 0)
                        r = work_run(invocation, &work, TAKE_PTR(params), &report, err);
                if (r < 0)
                        return r;
                sent = format_size((uint64_t)json_get_int(report, "bytes", 0));
                if (invocation_json(invocation))
                        print_json(report);
                else
                        printf("%lld backups, %lld segments of the log, %s sent\n", (long long)json_get_int(report, "backups", 0),
                               (long long)json_get_int(report, "segments", 0), sent);
        }
        return r;
}

/* ---- the commands ---- */

#define KEEP_OPTION                                                                                           \
        { "keep", 0, OPTION_TEXT, "HOW-LONG",                                                                 \
          "What is kept: a time like 7d, or time=7d,last=3,daily=7,weekly=4,monthly=6 or a part of it" }
#define FORMAT_OPTION { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" }

static const Option verify_options[] = { FORMAT_OPTION, { NULL } };
static const Option prune_options[] = {
        KEEP_OPTION,
        { "dry-run", 0, OPTION_FLAG, NULL, "Say what would go" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        FORMAT_OPTION,
        { NULL },
};
static const Option copy_options[] = {
        { "to", 0, OPTION_TEXT, "URL", "s3://BUCKET/PREFIX, sftp://USER@HOST/FOLDER or the path of a mounted folder" },
        { "endpoint", 0, OPTION_TEXT, "URL", "Of an S3 server that is not Amazon's" },
        { "region", 0, OPTION_TEXT, "NAME", "Of S3 (default: us-east-1)" },
        { "credentials", 0, OPTION_TEXT, "FILE", "Of S3, as ~/.aws/credentials has them, or KEY:SECRET" },
        { "identity", 0, OPTION_TEXT, "FILE", "Private key for SFTP" },
        { "known-hosts", 0, OPTION_TEXT, "FILE", "Host keys for SFTP" },
        { "key", 0, OPTION_TEXT, "FILE", "Encrypt with the key in this file" },
        { "make-key", 0, OPTION_FLAG, NULL, "Make that file where it is absent. Keep a copy of it away from this machine" },
        KEEP_OPTION,
        { "prune", 0, OPTION_FLAG, NULL, "Remove from the copy what is not kept any longer" },
        FORMAT_OPTION,
        { NULL },
};

const Command command_backup_verify = {
        .name = "backup verify",
        .summary = "Look for damage and gaps in backups",
        .arguments = "[SERVICE]",
        .details = "Reads everything and compares it with its checksums; names what is damaged, missing or torn, which backups "
                   "that hurts, and segments that the log lacks.",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = verify_options,
        .max_arguments = 1,
        .function = run_verify,
        .complete = COMPLETE_SERVICES,
};
const Command command_backup_prune = {
        .name = "backup prune",
        .summary = "Remove backups and log that are not kept any longer, and give their room back",
        .arguments = "[SERVICE]",
        .details = "What a kept backup or a promised moment needs stays, and so does the newest good backup, however old it is. "
                   "Within a time, and since the oldest of the last backups, any moment can be restored; daily, weekly and "
                   "monthly backups can be restored as they are.",
        .examples = "berth backup prune --keep 14d --dry-run\nberth backup prune --keep 30d\nberth backup prune --keep time=7d,weekly=4,monthly=6",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = prune_options,
        .max_arguments = 1,
        .function = run_prune,
        .complete = COMPLETE_SERVICES,
};
const Command command_backup_copy = {
        .name = "backup copy",
        .summary = "Bring backups and log to a copy elsewhere",
        .arguments = "[SERVICE]",
        .details = "What is there is not sent again. Encrypted, the copy can be read with the key alone: who loses it loses the copy.",
        .examples = "berth backup copy --to s3://backups/shop --region eu-central-1 --credentials s3.txt --key shop.key --make-key\n"
                    "berth backup copy --to sftp://backup@nas/srv/berth --keep 30d --prune",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = copy_options,
        .max_arguments = 1,
        .function = run_copy,
        .complete = COMPLETE_SERVICES,
};
