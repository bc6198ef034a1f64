#include "engine/local/bundle_process.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/bundle.h"
#include "engine/local/capabilities.h"
#include "engine/local/limits.h"
#include "engine/local/private.h"
#include "engine/local/users.h"
#include "state/document.h"

#define DEFAULT_PATH       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_OPEN_FILES 1048576

char *container_hostname(const ContainerRecord *record)
{
        const ContainerSpec *spec = record->spec;

        return spec->hostname ? xstrdup(spec->hostname) : xstrndup(record->id, 12);
}

/* ---- limits ---- */

static rlim_t limit_value(int64_t value)
{
        return value < 0 ? RLIM_INFINITY : (rlim_t)value;
}

static void append_limit(json_t *list, const char *name, rlim_t soft, rlim_t hard)
{
        _cleanup_free_ char *type = xasprintf("RLIMIT_%s", name);
        json_t *entry;

        for (char *c = type; *c; c++)
                *c = (char)toupper((unsigned char)*c);
        entry = json_pack("{s:s}", "type", type);
        /* "unlimited" is the largest unsigned number: jansson has none, the runtime takes -1's bits only as a real one.
         */
        json_object_set_new(entry, "soft", json_integer((json_int_t)MIN(soft, (rlim_t)INT64_MAX)));
        json_object_set_new(entry, "hard", json_integer((json_int_t)MIN(hard, (rlim_t)INT64_MAX)));
        json_array_append_new(list, entry);
}

/* Without CAP_SYS_RESOURCE a hard limit cannot be raised: as high as can be, with a warning. */
static void bound_by_present(const char *name, bool may_raise, rlim_t *soft, rlim_t *hard,
                             const EngineProgress *progress)
{
        struct rlimit present;

        if (may_raise || getrlimit((__rlimit_resource_t)limit_from_name(name), &present) < 0 ||
            *hard <= present.rlim_max)
                return;
        if (progress) {
                _cleanup_free_ char *text =
                        xasprintf("ulimit %s: the hard limit stays at this machine's %llu (raising it needs "
                                  "CAP_SYS_RESOURCE)",
                                  name, (unsigned long long)present.rlim_max);
                tell_warning(progress, text);
        }
        *hard = present.rlim_max;
        *soft = MIN(*soft, *hard);
}

static int make_limits(const ContainerSpec *spec, const EngineProgress *progress, json_t **ret, Error **err)
{
        bool may_raise = prctl(PR_CAPBSET_READ, capability_number("SYS_RESOURCE"), 0, 0, 0) == 1, has_files = false;
        _cleanup_json_ json_t *list = json_array();

        for (const SpecUlimit *item = spec->ulimits; item < spec->ulimits + spec->n_ulimits; item++) {
                int resource = limit_from_name(item->name);
                rlim_t soft = limit_value(item->soft), hard = limit_value(item->hard);
                if (resource < 0)
                        return error_set(err, ERROR_INVALID, "ulimits: there is no limit \"%s\"", item->name);
                if (soft > hard)
                        return error_set(err, ERROR_INVALID, "ulimits.%s: the soft limit is above the hard one",
                                         item->name);
                bound_by_present(item->name, may_raise, &soft, &hard, progress);
                append_limit(list, item->name, soft, hard);
                has_files = has_files || resource == RLIMIT_NOFILE;
        }
        if (!has_files) {
                rlim_t soft = DEFAULT_OPEN_FILES, hard = DEFAULT_OPEN_FILES;
                bound_by_present("nofile", may_raise, &soft, &hard, NULL);
                append_limit(list, "nofile", soft, hard);
        }
        *ret = TAKE_PTR(list);
        return 0;
}

/* ---- the process ---- */

static char **make_environment(const ContainerSpec *spec, const char *home)
{
        char **environment = NULL;

        if (!strv_env_get(spec->environment, "PATH"))
                strv_add(&environment, "PATH=" DEFAULT_PATH);
        if (spec->tty && !strv_env_get(spec->environment, "TERM"))
                strv_add(&environment, "TERM=xterm");
        if (!strv_env_get(spec->environment, "HOME"))
                strv_addf(&environment, "HOME=%s", home);
        strv_add_all(&environment, spec->environment);
        return environment;
}

static json_t *make_user(const ImageUser *user)
{
        json_t *json = json_pack("{s:I,s:I}", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid);
        json_t *groups = json_array();

        for (size_t i = 0; i < user->n_groups; i++)
                json_array_append_new(groups, json_integer(user->groups[i]));
        json_object_set_new(json, "additionalGids", groups);
        return json;
}

static void add_capabilities(json_t *process, char *const *capabilities)
{
        json_object_set_new(process, "capabilities",
                            json_pack("{s:o,s:o,s:o}", "bounding", json_from_strv(capabilities), "effective",
                                      json_from_strv(capabilities), "permitted", json_from_strv(capabilities)));
}

static bool wants_no_new_privileges(const ContainerSpec *spec)
{
        bool wanted = spec->no_new_privileges;

        STRV_FOREACH(option, spec->security_opt) {
                const char *value = startswith(*option, "no-new-privileges");
                if (value)
                        wanted = !(streq(value, "=false") || streq(value, ":false"));
        }
        return wanted;
}

int bundle_process(const ContainerSpec *spec, int root_fd, const char *user, const EngineProgress *progress,
                   json_t **ret, Error **err)
{
        _cleanup_json_ json_t *process = json_object();
        _cleanup_strv_ char **capabilities = NULL, **environment = NULL;
        _cleanup_image_user_ ImageUser found = { 0 };
        json_t *limits_part = NULL;
        int r;

        r = image_user_find(root_fd, user ? user : spec->user, spec->group_add, &found, err);
        if (r >= 0)
                r = capabilities_resolve(spec, progress, &capabilities, err);
        if (r >= 0)
                r = make_limits(spec, progress, &limits_part, err);
        if (r < 0)
                return r;
        environment = make_environment(spec, found.home);
        json_object_set_new(process, "user", make_user(&found));
        json_object_set_new(process, "env", json_from_strv(environment));
        json_object_set_new(process, "cwd", json_string(isempty(spec->working_dir) ? "/" : spec->working_dir));
        json_object_set_new(process, "rlimits", limits_part);
        json_object_set_new(process, "noNewPrivileges", json_boolean(wants_no_new_privileges(spec)));
        add_capabilities(process, capabilities);
        *ret = TAKE_PTR(process);
        return 0;
}

int bundle_process_main(const ContainerRecord *record, json_t *process, Error **err)
{
        const ContainerSpec *spec = record->spec;
        json_t *arguments = json_array(), *environment = json_object_get(process, "env");
        _cleanup_free_ char *hostname = container_hostname(record), *entry = xasprintf("HOSTNAME=%s", hostname);

        if (spec->init) {
                json_array_append_new(arguments, json_string(INIT_TARGET));
                json_array_append_new(arguments, json_string("--"));
        }
        STRV_FOREACH(word, spec->launcher)
                json_array_append_new(arguments, json_string(*word));
        STRV_FOREACH(word, spec->argv)
                json_array_append_new(arguments, json_string(*word));
        json_object_set_new(process, "args", arguments);
        json_object_set_new(process, "terminal", json_boolean(spec->tty));
        if (!strv_env_get(spec->environment, "HOSTNAME"))
                json_array_insert_new(environment, 0, json_string(entry));
        if (spec->oom_score_adj != INT64_MIN)
                json_object_set_new(process, "oomScoreAdj", json_integer(spec->oom_score_adj));
        return 0;
}
