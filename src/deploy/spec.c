#include "deploy/spec.h"

#include <inttypes.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "deploy/database.h"
#include "deploy/health.h"
#include "deploy/restart.h"
#include "state/document.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Takes a vector over into the spec's arena. */
static char **keep_strv(ContainerSpec *spec, char **strings)
{
        char **kept = arena_strv(spec->arena, strings);

        strv_free(strings);
        return kept;
}

/* The image's command goes where the service gives an entrypoint of its own without a command. */
static int add_argv(ContainerSpec *spec, const SpecInput *input, Error **err)
{
        const Service *service = input->service;
        const SpecOverrides *overrides = input->overrides;
        const ImageConfig *image = &input->image->config;
        char **entrypoint = service->has_entrypoint ? service->entrypoint : image->entrypoint;
        char **command = service->has_command ? service->command : service->has_entrypoint ? NULL : image->command;
        char **argv = NULL;

        if (overrides && overrides->entrypoint) {
                entrypoint = overrides->entrypoint;
                command = NULL;
        }
        if (overrides && overrides->command)
                command = overrides->command;
        strv_add_all(&argv, entrypoint);
        strv_add_all(&argv, command);
        if (strv_length(argv) == 0) {
                strv_free(argv);
                return error_set(err, ERROR_INVALID, "service \"%s\": neither it nor image %s says what to run",
                                 service->name, input->image->reference);
        }
        spec->argv = keep_strv(spec, argv);
        return 0;
}

static void unset_variable(char **environment, const char *key)
{
        size_t length = strlen(key);
        char **to = environment;

        for (char **from = environment; from && *from; from++) {
                if (strncmp(*from, key, length) == 0 && (*from)[length] == '=')
                        free(*from);
                else
                        *to++ = *from;
        }
        if (to)
                *to = NULL;
}

static void add_environment(ContainerSpec *spec, const SpecInput *input)
{
        const KeyValues *values = &input->service->environment;
        char **environment = strv_copy(input->image->config.environment);

        if (!strv_env_get(environment, "PATH"))
                strv_env_set(&environment, "PATH", DEFAULT_PATH);
        for (size_t i = 0; i < values->length; i++) {
                if (values->items[i].value)
                        strv_env_set(&environment, values->items[i].key, values->items[i].value);
                else
                        unset_variable(environment, values->items[i].key);
        }
        STRV_FOREACH(item, input->overrides ? input->overrides->environment : NULL) {
                _cleanup_free_ char *key = xstrdup(*item);
                char *equals = strchr(key, '=');
                if (!equals)
                        continue;
                *equals = '\0';
                strv_env_set(&environment, key, equals + 1);
        }
        spec->environment = keep_strv(spec, environment);
}

static void set_pair(char ***labels, const char *key, const char *value)
{
        strv_env_set(labels, key, value ? value : "");
}

static char *describe_dependencies(const Service *service)
{
        static const char *const conditions[] = {
                [DEPENDENCY_STARTED] = "service_started",
                [DEPENDENCY_HEALTHY] = "service_healthy",
                [DEPENDENCY_COMPLETED] = "service_completed_successfully",
        };
        Strbuf text = STRBUF_INIT;

        for (size_t i = 0; i < service->n_depends_on; i++) {
                const Dependency *dependency = &service->depends_on[i];
                strbuf_addf(&text, "%s%s:%s:%s", i ? "," : "", dependency->service, conditions[dependency->condition],
                            dependency->restart ? "true" : "false");
        }
        return strbuf_take(&text);
}

static void add_labels(ContainerSpec *spec, const SpecInput *input)
{
        const Service *service = input->service;
        _cleanup_free_ char *dependencies = describe_dependencies(service);
        _cleanup_free_ char *files = strv_join(input->project->files, ",");
        _cleanup_free_ char *number = xasprintf("%d", input->number);
        char **labels = strv_copy(input->image->config.labels);

        for (size_t i = 0; i < service->labels.length; i++)
                set_pair(&labels, service->labels.items[i].key, service->labels.items[i].value);
        STRV_FOREACH(item, input->overrides ? input->overrides->labels : NULL) {
                _cleanup_strv_ char **parts = strv_split(*item, '=');
                set_pair(&labels, parts[0], strchr(*item, '=') ? strchr(*item, '=') + 1 : "");
        }
        set_pair(&labels, LABEL_PROJECT, input->project->name);
        set_pair(&labels, LABEL_SERVICE, service->name);
        set_pair(&labels, LABEL_CONFIG_HASH, input->config_hash);
        set_pair(&labels, LABEL_NUMBER, number);
        set_pair(&labels, LABEL_ONEOFF, input->overrides ? "True" : "False");
        set_pair(&labels, LABEL_WORKING_DIR, input->project->working_dir);
        set_pair(&labels, LABEL_CONFIG_FILES, files);
        set_pair(&labels, LABEL_IMAGE, input->image->id);
        set_pair(&labels, "com.docker.compose.depends_on", dependencies);
        set_pair(&labels, "com.docker.compose.version", BERTH_VERSION);
        spec->labels = keep_strv(spec, labels);
}

static void add_hooks(char ***annotations, const char *key, const Hook *hooks, size_t n_hooks)
{
        _cleanup_json_ json_t *list = json_array();
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < n_hooks; i++) {
                _cleanup_strv_ char **environment = NULL;
                json_t *hook = json_pack("{s:o, s:b}", "command", json_from_strv(hooks[i].command), "privileged",
                                         hooks[i].privileged);
                for (size_t k = 0; k < hooks[i].environment.length; k++)
                        if (hooks[i].environment.items[k].value)
                                strv_addf(&environment, "%s=%s", hooks[i].environment.items[k].key,
                                          hooks[i].environment.items[k].value);
                json_set_string(hook, "user", hooks[i].user);
                json_set_string(hook, "working_dir", hooks[i].working_dir);
                json_object_set_new(hook, "environment", json_from_strv(environment));
                json_array_append_new(list, hook);
        }
        text = n_hooks ? json_dumps(list, JSON_COMPACT) : NULL;
        if (text)
                set_pair(annotations, key, text);
}

static void add_annotations(ContainerSpec *spec, const SpecInput *input, bool is_database)
{
        const Service *service = input->service;
        char **annotations = NULL;

        for (size_t i = 0; i < service->annotations.length; i++)
                set_pair(&annotations, service->annotations.items[i].key, service->annotations.items[i].value);
        if (service->restart.delay_ns >= 0)
                strv_addf(&annotations, ANNOTATION_RESTART_DELAY "=%" PRId64, service->restart.delay_ns);
        if (service->restart.window_ns >= 0)
                strv_addf(&annotations, ANNOTATION_RESTART_WINDOW "=%" PRId64, service->restart.window_ns);
        if (!input->overrides) {
                add_hooks(&annotations, ANNOTATION_POST_START, service->post_start, service->n_post_start);
                add_hooks(&annotations, ANNOTATION_PRE_STOP, service->pre_stop, service->n_pre_stop);
        }
        if (is_database)
                strv_add(&annotations, ANNOTATION_DATABASE "=true");
        if (input->overrides && input->overrides->remove)
                strv_add(&annotations, ANNOTATION_REMOVE "=true");
        spec->annotations = keep_strv(spec, annotations);
}

bool spec_is_database(const ContainerSpec *spec)
{
        return spec && streq_ptr(strv_env_get(spec->annotations, ANNOTATION_DATABASE), "true");
}

static const char *find_value(const KeyValues *values, const char *key)
{
        for (size_t i = 0; i < values->length; i++)
                if (streq(values->items[i].key, key))
                        return values->items[i].value;
        return NULL;
}

static int add_logging(ContainerSpec *spec, const Service *service, Error **err)
{
        const char *max_size = find_value(&service->log_options, "max-size");
        const char *max_file = find_value(&service->log_options, "max-file");

        spec->log_driver = arena_strdup(spec->arena, service->log_driver);
        if (max_size && !streq(max_size, "-1") && !parse_size(max_size, &spec->log_max_size))
                return error_set(err, ERROR_INVALID, "service \"%s\": logging.options.max-size: \"%s\" is no size",
                                 service->name, max_size);
        if (max_file && !parse_int64(max_file, 1, 10000, &spec->log_max_files))
                return error_set(err, ERROR_INVALID,
                                 "service \"%s\": logging.options.max-file: \"%s\" is no number from 1", service->name,
                                 max_file);
        return 0;
}

static void add_security(ContainerSpec *spec, const Service *service)
{
        spec->read_only = service->read_only;
        spec->privileged = service->privileged;
        spec->cap_add = arena_strv(spec->arena, service->cap_add);
        spec->cap_drop = arena_strv(spec->arena, service->cap_drop);
        spec->security_opt = arena_strv(spec->arena, service->security_opt);
        spec->group_add = arena_strv(spec->arena, service->group_add);
        STRV_FOREACH(option, service->security_opt)
                if (streq(*option, "no-new-privileges") || streq(*option, "no-new-privileges:true") ||
                    streq(*option, "no-new-privileges=true"))
                        spec->no_new_privileges = true;
}

static void add_limits(ContainerSpec *spec, const Service *service)
{
        const Resources *resources = &service->resources;

        spec->memory = resources->memory;
        spec->memory_reservation = resources->memory_reservation;
        spec->memory_swap = resources->memory_swap;
        spec->memory_swappiness = resources->memory_swappiness;
        spec->cpus = resources->cpus;
        spec->cpu_shares = resources->cpu_shares;
        spec->cpu_quota = resources->cpu_quota;
        spec->cpu_period = resources->cpu_period;
        spec->cpuset = arena_strdup(spec->arena, resources->cpuset);
        spec->pids = resources->pids;
        spec->oom_score_adj = service->oom_score_adj;
        spec->cgroup_parent = arena_strdup(spec->arena, service->cgroup_parent);
        spec->ulimits = arena_new_array(spec->arena, SpecUlimit, service->n_ulimits);
        for (size_t i = 0; i < service->n_ulimits; i++)
                spec->ulimits[spec->n_ulimits++] = (SpecUlimit){ arena_strdup(spec->arena, service->ulimits[i].name),
                                                                 service->ulimits[i].soft, service->ulimits[i].hard };
        spec->devices = arena_new_array(spec->arena, SpecDevice, service->n_devices);
        for (size_t i = 0; i < service->n_devices; i++)
                spec->devices[spec->n_devices++] = (SpecDevice){
                        arena_strdup(spec->arena, service->devices[i].source),
                        arena_strdup(spec->arena, service->devices[i].target),
                        arena_strdup(spec->arena, service->devices[i].permissions),
                };
}

static void add_process(ContainerSpec *spec, const SpecInput *input)
{
        const Service *service = input->service;
        const ImageConfig *image = &input->image->config;
        const SpecOverrides *overrides = input->overrides;
        const char *user = service->user ? service->user : isempty(image->user) ? NULL : image->user;
        const char *working_dir = service->working_dir          ? service->working_dir
                                  : isempty(image->working_dir) ? NULL
                                                                : image->working_dir;

        if (overrides && overrides->user)
                user = overrides->user;
        if (overrides && overrides->working_dir)
                working_dir = overrides->working_dir;
        spec->user = arena_strdup(spec->arena, user);
        spec->working_dir = arena_strdup(spec->arena, working_dir);
        spec->hostname = arena_strdup(spec->arena, service->hostname);
        spec->domainname = arena_strdup(spec->arena, service->domainname);
        spec->tty = overrides ? overrides->tty : service->tty;
        spec->open_stdin = overrides ? overrides->open_stdin : service->stdin_open;
        spec->init = service->init == 1;
        spec->stop_signal = arena_strdup(spec->arena, service->stop_signal ? service->stop_signal : image->stop_signal);
        for (size_t i = 0; i < service->sysctls.length; i++) {
                char **sysctls = strv_copy(spec->sysctls);
                strv_addf(&sysctls, "%s=%s", service->sysctls.items[i].key, service->sysctls.items[i].value);
                spec->sysctls = keep_strv(spec, sysctls);
        }
}

/* What depends on whether it is a database, on its health check and on its restart policy. */
static void add_supervision(ContainerSpec *spec, const SpecInput *input)
{
        const Service *service = input->service;
        bool is_database = input->postgres >= 0 ? input->postgres > 0 : argv_is_postgres(spec->argv, spec->environment);
        _cleanup_free_ char *restart = restart_policy_to_text(&service->restart);
        _cleanup_free_ char *health = health_merge(service->healthcheck, &input->image->config.healthcheck);

        spec->stop_grace_ns = service->stop_grace_period_ns >= 0 ? service->stop_grace_period_ns
                              : is_database                      ? DATABASE_GRACE_NS
                                                                 : DEFAULT_GRACE_NS;
        spec->shm_size = service->shm_size >= 0 ? service->shm_size : is_database ? DATABASE_SHM_BYTES : -1;
        spec->restart = arena_strdup(spec->arena, input->overrides ? "no" : restart);
        spec->healthcheck_json = arena_strdup(spec->arena, health);
        add_annotations(spec, input, is_database);
}

int spec_build(const SpecInput *input, ContainerSpec **ret, Error **err)
{
        _cleanup_(container_spec_freep) ContainerSpec *spec = container_spec_create();
        const Service *service = input->service;
        _cleanup_free_ char *name = service_container_name(input->project, service, input->number);
        int (*const parts[])(ContainerSpec *, const SpecInput *, Error **) = {
                add_argv, spec_add_mounts, spec_add_files, spec_add_networks, spec_add_ports,
        };
        int r;

        spec->name =
                arena_strdup(spec->arena, input->overrides && input->overrides->name ? input->overrides->name : name);
        spec->project = arena_strdup(spec->arena, input->project->name);
        spec->service = arena_strdup(spec->arena, service->name);
        spec->number = input->number;
        spec->oneoff = input->overrides != NULL;
        spec->image = arena_strdup(spec->arena, service->image ? service->image : input->image->reference);
        spec->image_id = arena_strdup(spec->arena, input->image->id);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                r = parts[i](spec, input, err);
                if (r < 0)
                        return r;
        }
        add_environment(spec, input);
        add_process(spec, input);
        add_security(spec, service);
        add_limits(spec, service);
        add_supervision(spec, input);
        add_labels(spec, input);
        r = add_logging(spec, service, err);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(spec);
        return 0;
}

/* ---- networks and volumes ---- */

char **spec_options(Arena *arena, const KeyValues *options)
{
        _cleanup_strv_ char **pairs = NULL;

        for (size_t i = 0; i < options->length; i++)
                strv_env_set(&pairs, options->items[i].key, options->items[i].value);
        return arena_strv(arena, pairs);
}

char **spec_labels(Arena *arena, const KeyValues *labels, const Project *project, const char *key_label,
                   const char *key)
{
        _cleanup_strv_ char **pairs = NULL;

        for (size_t i = 0; i < labels->length; i++)
                strv_env_set(&pairs, labels->items[i].key, labels->items[i].value ? labels->items[i].value : "");
        strv_env_set(&pairs, LABEL_PROJECT, project->name);
        strv_env_set(&pairs, key_label, key);
        return arena_strv(arena, pairs);
}
