/* backup copy, key: copies elsewhere, by hand. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/confirm.h"
#include "cli/report.h"
#include "cli/work.h"
#include "state/document.h"

#define WAIT_MS 60000 /* for the run that is at work by itself */

static void print_json(const json_t *value)
{
        _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

        printf("%s\n", text);
}

static void print_sent(const Invocation *invocation, const json_t *report)
{
        _cleanup_free_ char *sent = format_size((uint64_t)json_get_int(report, "bytes", 0));

        if (invocation_json(invocation))
                print_json(report);
        else
                printf("%lld backups, %lld segments of the log, %s sent\n",
                       (long long)json_get_int(report, "backups", 0), (long long)json_get_int(report, "segments", 0),
                       sent);
}

/* ---- copy, to a place that is named ---- */

static int read_rate(const Invocation *invocation, json_t *params, Error **err)
{
        const char *text = invocation_text(invocation, "max-rate", NULL);
        int64_t rate = 0;

        if (text && (!parse_size(text, &rate) || rate <= 0))
                return error_set(err, ERROR_USAGE, "--max-rate: \"%s\" is not a size like 10m", text);
        json_object_set_new(params, "max_rate", json_integer(rate));
        return 0;
}

static int make_copy_params(const Invocation *invocation, const char *repository, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *params = json_pack(
                "{s:s, s:o, s:b, s:b, s:b}", "repository", repository, "copy",
                location_from_options(invocation, invocation_text(invocation, "to", "")), "prune",
                (int)invocation_flag(invocation, "prune"), "make_key", (int)invocation_flag(invocation, "make-key"),
                "take_over", (int)invocation_flag(invocation, "take-over"));
        _cleanup_free_ char *key = path_from_option(invocation, "key");
        int r = backup_read_keep(invocation, params, err);

        json_set_string(params, "key", key);
        json_object_set_new(params, "wait_ms", json_integer(WAIT_MS));
        if (r == 0)
                r = read_rate(invocation, params, err);
        if (r == 0)
                *ret = TAKE_PTR(params);
        return r;
}

static int copy_there(Invocation *invocation, Error **err)
{
        _cleanup_free_ char *service = NULL;
        _cleanup_strv_ char **paths = NULL;
        int r = backup_repositories(invocation, &paths, &service, err);

        STRV_FOREACH(path, paths) {
                Work work = { "repository-copy", "Copying", "backups", service, "copying", "copied" };
                _cleanup_json_ json_t *report = NULL, *params = NULL;

                if (r == 0)
                        r = make_copy_params(invocation, *path, &params, err);
                if (r == 0)
                        r = work_run(invocation, &work, TAKE_PTR(params), &report, err);
                if (r < 0)
                        return r;
                print_sent(invocation, report);
        }
        return r;
}

/* ---- copy, as the compose file says ---- */

static int make_offsite_params(const Invocation *invocation, const Scope *scope, const char *service, json_t **ret,
                               Error **err)
{
        _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
        bool said;
        int r = offsite_settings_of(invocation, scope, service, &settings, &said, err);

        if (r < 0)
                return r;
        if (!said)
                return error_hint(err,
                                  error_set(err, ERROR_USAGE,
                                            "--to is missing, and the compose file names no place for service \"%s\"",
                                            service),
                                  "Say --to URL, or x-berth.backup.offsite.url in the compose file: then it is done by "
                                  "itself, too.");
        *ret = json_pack("{s:s, s:s, s:O, s:O, s:b, s:b}", "project", scope->name, "service", service, "copy",
                         settings.copy, "keep", settings.keep, "full", 1, "take_over",
                         (int)invocation_flag(invocation, "take-over"));
        json_set_string(*ret, "key", settings.key);
        json_object_set_new(*ret, "wait_ms", json_integer(WAIT_MS));
        json_object_set_new(*ret, "max_rate", json_integer(settings.max_rate));
        if (invocation_flag(invocation, "prune"))
                json_object_set_new(*ret, "prune_after_s", json_integer(0));
        return 0;
}

static int add_bundle(const Scope *scope, json_t *params, Error **err)
{
        _cleanup_json_ json_t *model = NULL;
        int r = scope->project ? scope_model_params(scope, &model, err) : 0;

        if (r == 0 && model)
                json_object_set_new(params, "bundle",
                                    json_pack("{s:O, s:O, s:O}", "working_dir", json_object_get(model, "working_dir"),
                                              "files", json_object_get(model, "files"), "model",
                                              json_object_get(model, "model")));
        return r;
}

static int copy_as_said(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *report = NULL;
        _cleanup_free_ char *service = NULL;
        json_t *params = NULL;
        Work work = { "offsite", "Copying", "backups", NULL, "copying", "copied" };
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &scope, &service,
                             err);

        if (r == 0)
                r = make_offsite_params(invocation, &scope, service, &params, err);
        if (r == 0)
                r = add_bundle(&scope, params, err);
        if (r < 0) {
                json_decref(params);
                return r;
        }
        work.name = service;
        r = work_run(invocation, &work, params, &report, err);
        if (r < 0)
                return r;
        if (!json_get_int(report, "copied_ns", 0))
                return error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "there are no backups of service \"%s\" to copy", service),
                        "\"berth backup\" takes one of a running database.");
        print_sent(invocation, report);
        return 0;
}

static int run_copy(Invocation *invocation, Error **err)
{
        static const char *const own[] = { "endpoint", "region",   "credentials", "identity", "known-hosts",
                                           "key",      "make-key", "keep",        "max-rate" };

        if (invocation_text(invocation, "to", NULL))
                return copy_there(invocation, err);
        for (size_t i = 0; i < ARRAY_SIZE(own); i++)
                if (invocation_given(invocation, own[i]))
                        return error_set(err, ERROR_USAGE, "--%s goes with --to; without it the compose file says all",
                                         own[i]);
        return copy_as_said(invocation, err);
}

/* ---- key ---- */

/* The one that the compose file names; NULL: none. */
static int key_of_project(const Invocation *invocation, const Scope *scope, char **ret, Error **err)
{
        size_t n = scope->project ? scope->project->n_services : 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < n && !*ret; i++) {
                _cleanup_offsite_settings_ OffsiteSettings settings = { 0 };
                bool said;

                r = offsite_settings_of(invocation, scope, scope->project->services[i].name, &settings, &said, err);
                *ret = xstrdup(settings.key);
        }
        return r;
}

/* The argument, else what the compose file names, else a file named after the project. */
static int find_key(Invocation *invocation, char **ret, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_free_ char *here = NULL;
        int r;

        if (invocation->arguments) {
                here = realpath(".", NULL);
                *ret = path_clean(here ? here : "/", invocation->arguments[0]);
                return 0;
        }
        r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = key_of_project(invocation, &scope, ret, err);
        if (r == 0 && !*ret)
                *ret = layout_config(invocation->layout, "backup-keys/%s.json", scope.name);
        return r;
}

static int run_key(Invocation *invocation, Error **err)
{
        _cleanup_free_ char *path = NULL, *made = NULL;
        _cleanup_json_ json_t *key = NULL;
        int r = find_key(invocation, &path, err);

        if (r == 0)
                r = work_ask(invocation, "backup-key", json_pack("{s:s, s:b}", "path", path, "make", 1), &key, err);
        if (r < 0)
                return r;
        if (invocation_json(invocation)) {
                print_json(key);
        } else {
                made = clock_format_rfc3339(json_get_int(key, "created_ns", 0));
                printf("%s  %s, made %.10s%s\n", json_get_string(key, "id", ""), path, made,
                       json_get_bool(key, "made", false) ? " (just now)" : "");
        }
        report_warning(
                "whoever loses this file loses every copy that it encrypts: keep a second one away from this machine");
        return 0;
}

/* ---- the commands ---- */

#define FORMAT_OPTION                                                                                                  \
        {                                                                                                              \
                "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json"                                    \
        }

static const Option copy_options[] = {
        { "to", 0, OPTION_TEXT, "URL", "s3://BUCKET/PREFIX, sftp://USER@HOST/FOLDER or the path of a mounted folder" },
        LOCATION_OPTIONS,
        { "key", 0, OPTION_TEXT, "FILE", "Encrypt with the key in this file" },
        { "make-key", 0, OPTION_FLAG, NULL,
          "Make that file where it is absent. Keep a copy of it away from this machine" },
        BACKUP_KEEP_OPTION,
        { "max-rate", 0, OPTION_TEXT, "SIZE", "Bytes a second at most, like 10m" },
        { "prune", 0, OPTION_FLAG, NULL, "Remove from the copy what is not kept any longer" },
        { "take-over", 0, OPTION_FLAG, NULL,
          "Go on with a copy that another installation wrote, which must not write it any more" },
        FORMAT_OPTION,
        { NULL },
};
static const Option key_options[] = { FORMAT_OPTION, { NULL } };

const Command command_backup_copy = {
        .name = "backup copy",
        .summary = "Bring backups and log to a copy elsewhere",
        .arguments = "[SERVICE]",
        .details = "What is there is not sent again. Without --to it is the copy that x-berth.backup.offsite names, "
                   "which is brought up to date by itself as well. Encrypted, a copy can be read with the key alone: "
                   "who loses it loses the copy.",
        .examples = "berth backup copy\n"
                    "berth backup copy --to s3://backups/shop --region eu-central-1 --credentials s3.txt --key "
                    "shop.key --make-key\n"
                    "berth backup copy --to sftp://backup@nas/srv/berth --keep 30d --prune",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = copy_options,
        .max_arguments = 1,
        .function = run_copy,
        .complete = COMPLETE_SERVICES,
};
const Command command_backup_key = {
        .name = "backup key",
        .summary = "Make the key that encrypts copies elsewhere, or show which one it is",
        .arguments = "[FILE]",
        .details = "FILE is the one that x-berth.backup.offsite.key names where it is not given, or one named after "
                   "the project among the configuration. A key that is there is never replaced; its id, which is "
                   "printed, tells keys apart and is no secret. Whoever loses the file loses the copies: nobody can "
                   "read them without it.",
        .examples = "berth backup key\nberth backup key /etc/shop.key",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = key_options,
        .max_arguments = 1,
        .function = run_key,
};
