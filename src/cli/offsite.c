/* Copies elsewhere as verbs see them: what is asked for, and how it stands. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/backup.h"
#include "cli/report.h"
#include "state/document.h"

#define STATE_FORMAT 1

char *path_from_option(const Invocation *invocation, const char *option)
{
        const char *text = invocation_text(invocation, option, NULL);
        _cleanup_free_ char *here = text ? realpath(".", NULL) : NULL;

        return text ? path_clean(here ? here : "/", text) : NULL;
}

static void set_path(const Invocation *invocation, json_t *object, const char *member, const char *option)
{
        _cleanup_free_ char *path = path_from_option(invocation, option);

        json_set_string(object, member, path);
}

json_t *location_from_options(const Invocation *invocation, const char *url)
{
        json_t *copy = json_pack("{s:s}", "url", url);

        json_set_string(copy, "endpoint", invocation_text(invocation, "endpoint", NULL));
        json_set_string(copy, "region", invocation_text(invocation, "region", NULL));
        set_path(invocation, copy, "credentials", "credentials");
        set_path(invocation, copy, "identity", "identity");
        set_path(invocation, copy, "known_hosts", "known-hosts");
        return copy;
}

/* ---- what is asked for ---- */

/* "model" and "working_dir" of the compose file here, else of the project's last up. */
static int load_model(const Invocation *invocation, const Scope *scope, json_t **ret, Error **err)
{
        _cleanup_free_ char *path = layout_data(invocation->layout, "projects/%s/project.json", scope->name);

        if (scope->project)
                return scope_model_params(scope, ret, err);
        return document_load(path, 1, ret, err);
}

int offsite_settings_of(const Invocation *invocation, const Scope *scope, const char *service, OffsiteSettings *ret,
                        bool *ret_said, Error **err)
{
        _cleanup_json_ json_t *params = NULL;
        _cleanup_error_ Error *missing = NULL;
        int r = load_model(invocation, scope, &params, &missing);

        *ret_said = false;
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &missing, r);
        return offsite_settings_read(json_object_get(params, "model"), json_get_string(params, "working_dir", "/"),
                                     service, ret, ret_said, err);
}

/* ---- how it stands ---- */

static void print_one(const char *service, const json_t *state)
{
        int64_t copied_ns = json_get_int(state, "copied_ns", 0), behind_ns = clock_realtime_ns() - copied_ns;
        const char *key = json_get_string(state, "key", NULL), *phase = json_get_string(state, "phase", "waiting");
        _cleanup_free_ char *behind = clock_format_ago(MAX(behind_ns, INT64_C(0)));

        printf("off-site: %s, service %s, %s%s", json_get_string(state, "url", ""), service,
               key ? "key " : "not encrypted", key ? key : "");
        if (copied_ns)
                printf(", the log up to %s, %s behind", json_get_string(state, "copied_lsn", ""), behind);
        else
                printf(", nothing is there yet");
        if (streq(phase, "failed"))
                printf("; FAILS (%lld times): %s", (long long)json_get_int(state, "failures", 0),
                       json_get_string(state, "message", ""));
        printf("\n");
}

/* The services of a state file of the project: a new reference; NULL: there is none. */
static json_t *load_services(const Invocation *invocation, const char *project, const char *file)
{
        _cleanup_free_ char *path = layout_data(invocation->layout, "projects/%s/%s", project, file);
        _cleanup_json_ json_t *document = NULL;

        return document_load(path, STATE_FORMAT, &document, NULL) < 0
                       ? NULL
                       : json_incref(json_object_get(document, "services"));
}

/* The caller's; NULL: it is within its budget. */
static char *over_budget(const char *service, const json_t *state)
{
        _cleanup_free_ char *used = format_size((uint64_t)json_get_int(state, "used_bytes", 0));
        _cleanup_free_ char *budget = format_size((uint64_t)json_get_int(state, "budget_bytes", 0));

        if (!json_get_bool(state, "over", false))
                return NULL;
        return xasprintf("the backups of service %s take %s, past their budget of %s (%s): keep less, or raise "
                         "x-berth.backup.budget",
                         service, used, budget, json_get_string(state, "rule", ""));
}

void offsite_print(const Invocation *invocation, const char *project, const char *service)
{
        _cleanup_json_ json_t *copies = load_services(invocation, project, "offsite.json");
        _cleanup_json_ json_t *rooms = load_services(invocation, project, "budget.json");
        const char *name;
        json_t *state;

        json_object_foreach(copies, name, state)
                if (!service || streq(service, name))
                        print_one(name, state);
        json_object_foreach(rooms, name, state) {
                _cleanup_free_ char *text = over_budget(name, state);
                if (text && (!service || streq(service, name)))
                        printf("budget: %s\n", text);
        }
}

void backup_warn(const Invocation *invocation, const char *project)
{
        _cleanup_json_ json_t *copies = load_services(invocation, project, "offsite.json");
        _cleanup_json_ json_t *rooms = load_services(invocation, project, "budget.json");
        const char *name;
        json_t *state;

        json_object_foreach(rooms, name, state) {
                _cleanup_free_ char *text = over_budget(name, state);
                if (text)
                        report_warning(text);
        }
        json_object_foreach(copies, name, state) {
                _cleanup_free_ char *text = NULL;
                if (!streq(json_get_string(state, "phase", ""), "failed"))
                        continue;
                text = xasprintf("the copy of the backups of service %s at %s fails: %s", name,
                                 json_get_string(state, "url", ""), json_get_string(state, "message", ""));
                report_warning(text);
        }
}
