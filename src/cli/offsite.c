/* Copies elsewhere as verbs see them: what is asked for, and how it stands. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/backup.h"
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

void offsite_print(const Invocation *invocation, const char *project, const char *service)
{
        _cleanup_free_ char *path = layout_data(invocation->layout, "projects/%s/offsite.json", project);
        _cleanup_json_ json_t *document = NULL;
        const char *name;
        json_t *state;

        if (document_load(path, STATE_FORMAT, &document, NULL) < 0)
                return;
        json_object_foreach(json_object_get(document, "services"), name, state)
                if (!service || streq(service, name))
                        print_one(name, state);
}
