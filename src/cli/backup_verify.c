/* backup verify: damage and gaps, here or in the copy elsewhere, and mending either from the other. */
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/report.h"
#include "cli/work.h"
#include "state/document.h"

#define WAIT_MS 60000 /* for the copy that is at work by itself */

typedef struct Verify {
        Invocation *invocation;
        Scope scope;
        char *service;
        char **paths;             /* of its repositories */
        OffsiteSettings settings; /* where --copy or --repair want them */
        bool copy, repair;
        size_t faults;
} Verify;

static void verify_done(Verify *verify)
{
        scope_done(&verify->scope);
        free(verify->service);
        strv_free(verify->paths);
        offsite_settings_done(&verify->settings);
}

static int find_copy(Verify *verify, Error **err)
{
        bool said;
        int r = offsite_settings_of(verify->invocation, &verify->scope, verify->service, &verify->settings, &said, err);

        if (r < 0 || said)
                return r;
        return error_hint(
                err, error_set(err, ERROR_USAGE, "there is no copy of the backups of service \"%s\"", verify->service),
                "x-berth.backup.offsite in the compose file names a place for one.");
}

static json_t *copy_params(const Verify *verify, const char *path)
{
        json_t *params = json_pack("{s:O}", "copy", verify->settings.copy);

        json_set_string(params, "key", verify->settings.key);
        if (!verify->repair) {
                _cleanup_free_ char *folder =
                        xasprintf("%s/%s/%s", verify->scope.name, verify->service, path_basename(path));
                json_set_string(params, "folder", folder);
                return params;
        }
        json_set_string(params, "repository", path);
        json_object_set_new(params, "elsewhere", json_boolean(verify->copy));
        json_object_set_new(params, "wait_ms", json_integer(WAIT_MS));
        return params;
}

static void print_texts(const json_t *texts, const char *before, const char *after)
{
        json_t *text;
        size_t i;

        json_array_foreach(texts, i, text)
                printf("%s%s%s\n", before, json_string_value(text), after);
}

static void print_report(const Verify *verify, const json_t *report)
{
        const json_t *faults = json_object_get(report, "faults"), *fault;
        const char *kept = json_get_string(report, "kept", NULL);
        _cleanup_free_ char *from = NULL;
        size_t i;

        if (invocation_json(verify->invocation)) {
                _cleanup_free_ char *text = json_dumps(report, JSON_COMPACT);
                printf("%s\n", text);
                return;
        }
        from = verify->copy ? xstrdup(": mended from here")
                            : xasprintf(": mended from %s", json_get_string(verify->settings.copy, "url", ""));
        print_texts(json_object_get(report, "mended"), "", from);
        print_texts(json_object_get(report, "failed"), "not mended: ", "");
        json_array_foreach(faults, i, fault)
                printf("%s: %s\n", json_get_string(fault, "object", ""), json_get_string(fault, "message", ""));
        if (kept)
                printf("The damaged ones are kept in %s for thirty days.\n", kept);
}

static int look_at(Verify *verify, const char *path, Error **err)
{
        Work work = { verify->repair ? "repository-repair" : "repository-verify",
                      "Verifying",
                      "backups",
                      verify->service,
                      "verifying",
                      "verified" };
        json_t *params =
                verify->copy || verify->repair ? copy_params(verify, path) : json_pack("{s:s}", "repository", path);
        _cleanup_json_ json_t *report = NULL;
        int r = work_run(verify->invocation, &work, params, &report, err);

        if (r < 0)
                return r;
        print_report(verify, report);
        verify->faults += json_array_size(json_object_get(report, "faults"));
        return 0;
}

/* What needs no copy. *ret_any: something was written. */
static int describe(const Verify *verify, bool *ret_any, Error **err)
{
        STRV_FOREACH(path, verify->paths) {
                _cleanup_json_ json_t *result = NULL;
                const char *kept;
                int r = work_ask(verify->invocation, "repository-describe", json_pack("{s:s}", "repository", *path),
                                 &result, err);

                if (r < 0)
                        return r;
                if (!json_get_bool(result, "written", false))
                        continue;
                *ret_any = true;
                kept = json_get_string(result, "kept", NULL);
                if (!invocation_json(verify->invocation))
                        printf("repository.json: written anew, as its folder has it%s%s%s\n",
                               kept ? " (the damaged one is kept in " : "", kept ?: "", kept ? ")" : "");
        }
        return 0;
}

/* What is to be mended from where. A description alone needs no copy to be there. */
static int prepare(Verify *verify, Error **err)
{
        _cleanup_error_ Error *no_copy = NULL;
        bool written = false;
        int r = verify->repair && !verify->copy ? describe(verify, &written, err) : 0;

        if (r < 0 || (!verify->copy && !verify->repair))
                return r;
        r = find_copy(verify, &no_copy);
        if (r != -ERROR_USAGE || !written)
                return error_move(err, &no_copy, r);
        verify->repair = false;
        return 0;
}

static int judge(const Verify *verify, Error **err)
{
        const char *copy = verify->copy ? "the copy of " : "";
        int r;

        if (!verify->faults)
                return 0;
        r = error_set(err, ERROR_CORRUPT, "%sthe backups of service \"%s\" have %zu faults", copy, verify->service,
                      verify->faults);
        if (!verify->repair)
                return error_hint(
                        err, r,
                        verify->copy
                                ? "\"berth backup verify --copy --repair\" sends again what is damaged."
                                : "Where there is a copy elsewhere, --repair brings back what it has. Else take a new "
                                  "backup with \"berth backup\"; what is not damaged can be restored.");
        return error_hint(err, r, "Take a new backup with \"berth backup\"; what is not damaged can be restored.");
}

static int run_verify(Invocation *invocation, Error **err)
{
        _cleanup_(verify_done) Verify verify = { .invocation = invocation,
                                                 .copy = invocation_flag(invocation, "copy"),
                                                 .repair = invocation_flag(invocation, "repair") };
        int r = backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &verify.scope,
                             &verify.service, err);

        if (r == 0)
                r = backup_repositories_of(invocation, &verify.scope, verify.service, &verify.paths, err);
        if (r == 0)
                r = prepare(&verify, err);
        STRV_FOREACH(path, verify.paths)
                if (r == 0)
                        r = look_at(&verify, *path, err);
        return r < 0 ? r : judge(&verify, err);
}

static const Option options[] = {
        { "repair", 0, OPTION_FLAG, NULL,
          "Bring back what is damaged or missing from the copy that x-berth.backup.offsite names" },
        { "copy", 0, OPTION_FLAG, NULL,
          "Look at that copy instead; with --repair, what is damaged there is sent again" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_backup_verify = {
        .name = "backup verify",
        .summary = "Look for damage and gaps in backups, and mend them from their copy",
        .arguments = "[SERVICE]",
        .details =
                "Reads everything and compares it with its checksums; names what is damaged, missing or torn, which "
                "backups that hurts, and segments that the log lacks.\n\nWith --repair the good objects are fetched "
                "from the copy elsewhere, checked, and put into their places; the damaged ones are kept aside for "
                "thirty days. A repository.json that is damaged or missing is written anew without a copy, by what its "
                "folder says. Everything is then looked at once more: what could not be mended is told as before.",
        .examples = "berth backup verify\nberth backup verify --repair\nberth backup verify --copy --repair",
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = 1,
        .function = run_verify,
        .complete = COMPLETE_SERVICES,
};
