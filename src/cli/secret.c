/* secret …: what the project's secrets are, and what is wrong with them; see secret_rotate.c for changing one. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/output/listing.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/secret_rotate.h"
#include "cli/verbs.h"
#include "operate/secret_check.h"
#include "state/document.h"

/* ---- ls ---- */

static const ListingColumn list_columns[] = {
        { "NAME", "Name", false },        { "SOURCE", "Source", true }, { "MODE", "Mode", false },
        { "SERVICES", "Services", true }, { NULL, NULL, false },
};

static char *source_text(const FileSource *source)
{
        _cleanup_free_ char *command = source->command ? strv_join(source->command, " ") : NULL;

        return source->file          ? xstrdup(source->file)
               : command             ? xasprintf("command: %s", command)
               : source->environment ? xasprintf("environment: %s", source->environment)
                                     : xstrdup("external");
}

static char **services_of(const Project *project, const FileSource *source)
{
        char **names = NULL;

        for (size_t i = 0; i < project->n_services; i++)
                for (size_t k = 0; k < project->services[i].n_secrets; k++)
                        if (streq_ptr(project->services[i].secrets[k].source, source->key) &&
                            !strv_contains(names, project->services[i].name))
                                strv_add(&names, project->services[i].name);
        return names;
}

static json_t *describe_secret(const Project *project, const FileSource *source)
{
        _cleanup_free_ char *text = source_text(source);
        _cleanup_strv_ char **services = services_of(project, source);
        char mode[12] = "-";
        struct stat status;

        if (source->file && stat(source->file, &status) == 0)
                snprintf(mode, sizeof(mode), "%04o", (unsigned)status.st_mode & 07777);
        else if (source->file)
                snprintf(mode, sizeof(mode), "missing");
        return json_pack("{s:s, s:s, s:s, s:o}", "Name", source->key, "Source", text, "Mode", mode, "Services",
                         json_from_strv(services));
}

static int run_ls(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        int r = scope_open(invocation, NULL, SCOPE_NEEDS_MODEL, &scope, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < scope.project->n_secrets; i++)
                json_array_append_new(rows, describe_secret(scope.project, &scope.project->secrets[i]));
        return listing_print(rows, list_columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

/* ---- check ---- */

static const ListingColumn check_columns[] = {
        { "LEVEL", "Level", false }, { "ID", "Id", false },      { "WHAT", "Subject", false },
        { "WHERE", "Place", true },  { "WHY", "Message", true }, { NULL, NULL, false },
};

static json_t *finding_to_json(const SecretFinding *finding)
{
        return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s}", "Level", finding->is_error ? "error" : "warning", "Id",
                         finding->id, "Subject", finding->subject, "Place", finding->place, "Message", finding->message,
                         "Fix", finding->fix);
}

static void print_findings(const SecretFindings *findings)
{
        for (size_t i = 0; i < findings->length; i++) {
                const SecretFinding *finding = &findings->items[i];

                printf("%s: %s: %s [%s]\n", finding->is_error ? "error" : "warning", finding->subject, finding->message,
                       finding->id);
                if (finding->place)
                        printf("  where: %s\n", finding->place);
                printf("  fix: %s\n", finding->fix);
        }
        if (findings->length == 0)
                printf("no findings\n");
}

static int run_check(Invocation *invocation, Error **err)
{
        _cleanup_secret_findings_ SecretFindings findings = { 0 };
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        const char *format = invocation_text(invocation, "format", NULL);
        int r = scope_open(invocation, NULL, SCOPE_NEEDS_MODEL, &scope, err);

        if (r < 0)
                return r;
        secret_check(scope.project, &findings);
        for (size_t i = 0; i < findings.length; i++)
                json_array_append_new(rows, finding_to_json(&findings.items[i]));
        if (format)
                r = listing_print(rows, check_columns, format, LISTING_ARRAY, err);
        else
                print_findings(&findings);
        return r < 0 ? r : findings.length > 0;
}

static const Option format_options[] = {
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};

static const Command command_secret_ls = {
        .name = "secret ls",
        .summary = "List the project's secrets: where they come from and who gets them",
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = format_options,
        .function = run_ls,
        .aliases = (const char *const[]){ "list", NULL },
};

static const Command command_secret_check = {
        .name = "secret check",
        .summary = "Look for secrets that are open, weak, missing, in git or in the compose file",
        .details =
                "Each finding has an identifier, under which x-berth.silence can leave it out, and its fix. No value "
                "is printed, and nothing is changed. The exit status is 1 where there is a finding.",
        .examples = "berth secret check\nberth secret check --format json",
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = format_options,
        .function = run_check,
};

static const Command *const children[] = { &command_secret_ls, &command_secret_check, &command_secret_rotate, NULL };

const Command command_secret = {
        .name = "secret",
        .summary = "Look after secrets",
        .group = GROUP_DATA,
        .children = children,
};
