#include "keeper/prepare.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "compose/xsecurity.h"
#include "keeper/migrations.h"
#include "keeper/secure.h"
#include "state/document.h"

void preparation_done(Preparation *preparation)
{
        size_t n = preparation->project ? preparation->project->n_services : 0;

        preparation_secure_done(preparation);
        for (size_t i = 0; i < n && preparation->images; i++)
                image_free(preparation->images[i]);
        for (size_t i = 0; i < n && preparation->hashes; i++)
                free(preparation->hashes[i]);
        free(preparation->images);
        free(preparation->hashes);
        free(preparation->plan_services);
        strv_free(preparation->services);
        strv_free(preparation->selected);
        strv_free(preparation->notes);
        vector_done(&preparation->missing);
        vector_done(&preparation->scale);
        plan_free(preparation->plan);
        found_done(&preparation->found);
        project_free(preparation->project);
}

/* ---- the model ---- */

/* Values of environment variables that secrets and configs name: the client knows them, the model does not hold them. */
static void fill_contents(Project *project, FileSource *sources, size_t n_sources, const json_t *values)
{
        for (size_t i = 0; i < n_sources; i++) {
                const char *value = json_string_value(json_object_get(values, sources[i].key));
                if (value)
                        sources[i].content = arena_strdup(project->arena, value);
        }
}

static int load_model(Preparation *preparation, Error **err)
{
        const json_t *params = preparation->params, *model = json_object_get(params, "model");
        const json_t *values = json_object_get(params, "environment_values");
        const char *working_dir = json_get_string(params, "working_dir", NULL);
        _cleanup_free_ char *text = json_is_object(model) ? json_dumps(model, JSON_COMPACT) : NULL;
        _cleanup_strv_ char **files = json_get_strv(params, "files");
        Project *project;
        int r;

        if (!text || !working_dir)
                return error_set(err, ERROR_INVALID, "the request has no model or no working_dir");
        r = project_from_json(text, strlen(text), working_dir, &preparation->project, err);
        if (r < 0)
                return error_prefix(err, r, "model");
        project = preparation->project;
        if (!streq_ptr(project->name, preparation->project_name))
                return error_set(err, ERROR_INVALID, "the model is of project \"%s\"", project->name);
        if (files)
                project->files = arena_strv(project->arena, files);
        fill_contents(project, project->secrets, project->n_secrets, json_object_get(values, "secrets"));
        fill_contents(project, project->configs, project->n_configs, json_object_get(values, "configs"));
        return 0;
}

XBerth preparation_settings(const Preparation *preparation, const Service *service)
{
        XBerth settings;

        x_berth_read(preparation->project, service, &settings);
        return settings;
}

int prepare_load(Preparation *preparation, Error **err)
{
        const char *run_service = json_get_string(preparation->params, "service", NULL);
        const Project *project;
        int r;

        r = load_model(preparation, err);
        if (r < 0)
                return r;
        project = preparation->project;
        preparation->services = json_get_strv(preparation->params, "services");
        if (strv_length(preparation->services) == 0)
                preparation->services = strv_free(preparation->services);
        if (preparation->for_run)
                preparation->services = strv_new(run_service ? run_service : "", NULL);
        r = plan_select(project, preparation->services, json_get_bool(preparation->params, "no_deps", false),
                        &preparation->selected, err);
        if (r < 0)
                return r;
        preparation->images = xnew_array(Image *, project->n_services + 1);
        preparation->hashes = xnew_array(char *, project->n_services + 1);
        preparation->plan_services = xnew_array(PlanService, project->n_services + 1);
        return preparation_find_images(preparation, true, err);
}

/* ---- the plan ---- */

static void fill_services(Preparation *preparation)
{
        const Project *project = preparation->project;

        for (size_t i = 0; i < project->n_services; i++) {
                XBerth settings = preparation_settings(preparation, &project->services[i]);
                XSecurity wanted;

                x_security_read(project, &project->services[i], &wanted);
                preparation->hashes[i] = service_hash(project, &project->services[i]);
                preparation->plan_services[i] = (PlanService){
                        .service = &project->services[i],
                        .image = preparation->images[i],
                        .config_hash = preparation->hashes[i],
                        .postgres = settings.postgres,
                        .secure = wanted.n_roles || wanted.n_access || wanted.tls.mode == X_TLS_REQUIRED,
                        .migrate = settings.migrations_on_up,
                };
        }
}

static void read_options(Preparation *preparation, PlanOptions *options)
{
        const json_t *params = preparation->params;
        const char *service;
        json_t *count;

        *options = (PlanOptions){
                .services = preparation->services,
                .force_recreate = json_get_bool(params, "force_recreate", false),
                .no_recreate = json_get_bool(params, "no_recreate", false),
                .no_deps = json_get_bool(params, "no_deps", false),
                .remove_orphans = json_get_bool(params, "remove_orphans", false),
                .no_start = json_get_bool(params, "no_start", false),
                .renew_anon_volumes = json_get_bool(params, "renew_anon_volumes", false),
                .wait = json_get_bool(params, "wait", false),
        };
        json_object_foreach(json_object_get(params, "scale"), service, count)
                vector_add(&preparation->scale, (PlanScale){ service, json_integer_value(count) });
        options->scale = preparation->scale.items;
        options->n_scale = preparation->scale.length;
}

static const PlanService *find_plan_service(const Preparation *preparation, const char *name)
{
        for (size_t i = 0; i < preparation->project->n_services; i++)
                if (streq(preparation->project->services[i].name, name))
                        return &preparation->plan_services[i];
        return NULL;
}

/* KEY: value pairs of an object as KEY=VALUE. */
static char **object_to_strv(const json_t *object)
{
        char **strings = NULL;
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)object, key, value)
                strv_addf(&strings, "%s=%s", key, json_is_string(value) ? json_string_value(value) : "");
        return strings;
}

static char *oneoff_name(const Preparation *preparation, const char *service)
{
        const char *given = json_get_string(preparation->params, "name", NULL);
        _cleanup_free_ char *seed = NULL, *hash = NULL;

        if (given)
                return xstrdup(given);
        seed = xasprintf("%s %lld", service, (long long)clock_realtime_ns());
        hash = sha256_hex(seed, strlen(seed));
        return xasprintf("%s-%s-run-%.12s", preparation->project->name, service, hash);
}

static int build_oneoff(Preparation *preparation, const PlanService *service, ContainerSpec **ret, Error **err)
{
        const json_t *params = preparation->params;
        _cleanup_free_ char *name = oneoff_name(preparation, service->service->name);
        _cleanup_strv_ char **command = json_get_strv(params, "command"),
                            **entrypoint = json_get_strv(params, "entrypoint"),
                            **environment = object_to_strv(json_object_get(params, "environment")),
                            **volumes = json_get_strv(params, "volumes"), **publish = json_get_strv(params, "publish"),
                            **labels = json_get_strv(params, "labels");
        SpecOverrides overrides = {
                .name = name,
                .command = strv_length(command) ? command : NULL,
                .entrypoint = strv_length(entrypoint) ? entrypoint : NULL,
                .environment = environment,
                .volumes = volumes,
                .publish = publish,
                .labels = labels,
                .user = json_get_string(params, "user", NULL),
                .working_dir = json_get_string(params, "workdir", NULL),
                .tty = json_get_bool(params, "tty", false),
                .open_stdin = json_get_bool(params, "stdin", false),
                .service_ports = json_get_bool(params, "service_ports", false),
                .remove = json_get_bool(params, "rm", false),
        };
        SpecInput input = { .project = preparation->project,
                            .service = service->service,
                            .image = service->image,
                            .config_hash = service->config_hash,
                            .number = 1,
                            .postgres = service->postgres,
                            .overrides = &overrides };

        return spec_build(&input, ret, err);
}

static void wait_for_dependencies(Preparation *preparation, const Service *service, size_t create)
{
        Plan *plan = preparation->plan;
        size_t n = plan->actions.length;

        for (size_t i = 0; i < n; i++)
                if (i != create)
                        plan_after(plan, create, i);
        for (size_t i = 0; i < service->n_depends_on; i++) {
                const Dependency *dependency = &service->depends_on[i];
                size_t wait;
                if (dependency->condition == DEPENDENCY_STARTED || !find_plan_service(preparation, dependency->service))
                        continue;
                wait = plan_add(plan, PLAN_WAIT, dependency->service, dependency->service, NULL, "%s depends on it",
                                service->name);
                plan_at(plan, wait)->condition = dependency->condition;
                plan_at(plan, wait)->optional = !dependency->required;
                for (size_t k = 0; k < n; k++)
                        if (k != create)
                                plan_after(plan, wait, k);
                plan_after(plan, create, wait);
        }
}

/* A one-off: its dependencies are brought up, itself is only made; its client attaches first and then has it started. Its
 * service is planned for its networks and volumes, with no container. */
static int plan_run(Preparation *preparation, PlanOptions *options, const PlanInput *input, Error **err)
{
        const char *name = preparation->services[0];
        const PlanService *service = find_plan_service(preparation, name);
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        PlanScale none = { name, -1 };
        int r;

        vector_add(&preparation->scale, none);
        options->scale = preparation->scale.items;
        options->n_scale = preparation->scale.length;
        r = plan_up(input, &preparation->plan, err);
        if (r < 0)
                return r;
        r = build_oneoff(preparation, service, &spec, err);
        if (r < 0)
                return r;
        preparation->oneoff_create =
                plan_add(preparation->plan, PLAN_CONTAINER_CREATE, spec->name, name, NULL, "a one-off");
        plan_at(preparation->plan, preparation->oneoff_create)->spec = TAKE_PTR(spec);
        plan_at(preparation->plan, preparation->oneoff_create)->oneoff = true;
        if (!options->no_deps)
                wait_for_dependencies(preparation, service->service, preparation->oneoff_create);
        else
                for (size_t i = 0; i < preparation->oneoff_create; i++)
                        plan_after(preparation->plan, preparation->oneoff_create, i);
        return 0;
}

int prepare_plan(Preparation *preparation, Error **err)
{
        PlanInput input = { .project = preparation->project,
                            .services = preparation->plan_services,
                            .found = &preparation->found };
        PlanOptions options;
        int r;

        preparation->oneoff_create = PLAN_NONE;
        r = preparation_find_images(preparation, false, err);
        if (r < 0)
                return r;
        fill_services(preparation);
        r = preparation_secure(preparation, err);
        if (r < 0)
                return r;
        r = found_load(preparation->parts.engine, preparation->project_name, preparation->project, &preparation->found,
                       err);
        if (r < 0)
                return r;
        read_options(preparation, &options);
        input.options = &options;
        r = preparation->for_run ? plan_run(preparation, &options, &input, err)
                                 : plan_up(&input, &preparation->plan, err);
        if (r < 0)
                return r;
        strv_add_all(&preparation->plan->warnings, preparation->found.warnings);
        preparation_note_sources(preparation);
        r = preparation_secure_plan(preparation, err);
        if (r == 0)
                r = preparation_check(preparation, err);
        if (r == 0)
                r = preparation_guard(preparation, err);
        if (r == 0)
                r = preparation_find_migrations(preparation, err);
        if (r == 0)
                preparation_add_templates(preparation);
        return r;
}
