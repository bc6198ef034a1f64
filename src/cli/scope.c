#include "cli/scope.h"

#include <unistd.h>

#include "base/mem.h"
#include "cli/report.h"
#include "cli/suggest.h"
#include "engine/local/local.h"
#include "operate/copies.h"
#include "state/document.h"

void load_arguments_done(LoadArguments *arguments)
{
        strv_free(arguments->files);
        strv_free(arguments->env_files);
        strv_free(arguments->profiles);
}

LoadOptions invocation_load_options(const Invocation *invocation, LoadArguments *ret_keep)
{
        *ret_keep = (LoadArguments){
                .files = invocation_list(invocation, "file"),
                .env_files = invocation_list(invocation, "env-file"),
                .profiles = invocation_list(invocation, "profile"),
        };
        return (LoadOptions){
                .files = ret_keep->files,
                .env_files = ret_keep->env_files,
                .profiles = ret_keep->profiles,
                .project_dir = invocation_text(invocation, "project-directory", NULL),
                .project_name = invocation_text(invocation, "project-name", NULL),
                .environment = environ,
                .all_resources = invocation_flag(invocation, "all-resources"),
        };
}

int invocation_open_engine(const Invocation *invocation, Engine **ret, Error **err)
{
        const char *name = invocation_text(invocation, "engine", getenv("BERTH_ENGINE") ?: "local");

        if (streq(name, "local"))
                return local_reader_create(invocation->layout, ret, err);
        return error_hint(err, error_set(err, ERROR_UNSUPPORTED, "engine \"%s\" is not built yet", name),
                          "Leave out --engine and BERTH_ENGINE to use this machine.");
}

void scope_done(Scope *scope)
{
        free(scope->name);
        project_free(scope->project);
        engine_free(scope->engine);
        strv_free(scope->services);
        strv_free(scope->containers);
        *scope = (Scope){ 0 };
}

static bool name_is_given(const LoadOptions *options, const Project *project)
{
        return options->project_name || !isempty(getenv("COMPOSE_PROJECT_NAME")) || project->name_given;
}

static int load_model(Invocation *invocation, char *const *services, Scope *scope, Error **err)
{
        _cleanup_load_arguments_ LoadArguments keep = { 0 };
        LoadOptions options = invocation_load_options(invocation, &keep);
        int r;

        options.services = services;
        project_free(scope->project);
        scope->project = NULL;
        r = project_load(&options, &scope->project, err);
        if (r < 0)
                return r;
        scope->name_given = name_is_given(&options, scope->project);
        free_and_replace(&scope->name, xstrdup(scope->project->name));
        return 0;
}

static int no_project(Error **err, Error **reason, int result)
{
        free_and_replace(&(*reason)->hint, NULL);
        error_hint(reason, result,
                   "Go to a folder with a compose.yaml, name one with -f, or name a project with -p (\"berth ls -a\" "
                   "lists them).");
        return error_move(err, reason, result);
}

/* Without a compose file: by -p, or later by the name of a container. */
static int find_name(Invocation *invocation, char *const *names, unsigned flags, Scope *scope, Error **err)
{
        const char *given = invocation_text(invocation, "project-name", getenv("COMPOSE_PROJECT_NAME"));
        _cleanup_error_ Error *reason = NULL;
        int r;

        r = load_model(invocation, NULL, scope, &reason);
        if (r >= 0) {
                report_warnings(scope->project->warnings);
                return 0;
        }
        if (flags & SCOPE_NEEDS_MODEL)
                return r == -ERROR_NOT_FOUND ? no_project(err, &reason, r) : error_move(err, &reason, r);
        if (r != -ERROR_NOT_FOUND && !(flags & SCOPE_FORGIVES_MODEL))
                return error_move(err, &reason, r);
        if (!isempty(given)) {
                if (!layout_project_name_is_valid(given))
                        return error_set(
                                err, ERROR_USAGE,
                                "invalid project name \"%s\": must consist only of lowercase alphanumeric characters, "
                                "hyphens, and underscores as well as start with a letter or number",
                                given);
                scope->name = xstrdup(given);
                return 0;
        }
        if (names && *names)
                return 0;
        return r == -ERROR_NOT_FOUND ? no_project(err, &reason, r) : error_move(err, &reason, r);
}

static bool is_disabled_service(const Project *project, const char *name)
{
        for (size_t i = 0; project && i < project->n_disabled_services; i++)
                if (streq(project->disabled_services[i].name, name))
                        return true;
        return false;
}

/* A service by its own name or by the container_name it asks for; NULL. */
static const char *service_of_name(const Project *project, const char *name)
{
        if (!project)
                return NULL;
        if (project_find_service(project, name))
                return name;
        for (size_t i = 0; i < project->n_services; i++)
                if (streq_ptr(project->services[i].container_name, name))
                        return project->services[i].name;
        return NULL;
}

bool scope_is_copy(const Scope *scope, const char *service)
{
        _cleanup_copy_record_ CopyRecord record = { 0 };

        return scope->name && !strchr(service, '/') &&
               copy_record_load(scope->layout, scope->name, service, &record, NULL) == 0 &&
               copy_is_whole(scope->layout, &record);
}

/* Services that have containers but no place in the compose file. */
static bool known_to_engine(const Scope *scope, const char *service)
{
        _cleanup_container_list_ ContainerList list = { 0 };

        if (scope_is_copy(scope, service))
                return true;
        if (!scope->name || scope->engine->operations->container_list(scope->engine, scope->name, &list, NULL) < 0)
                return false;
        for (size_t i = 0; i < list.length; i++)
                if (streq_ptr(list.items[i]->service, service))
                        return true;
        return false;
}

/* "db, web" */
static char *service_names(const Project *project)
{
        _cleanup_strv_ char **names = NULL;

        for (size_t i = 0; i < project->n_services; i++)
                strv_add(&names, project->services[i].name);
        return names ? strv_join(names, ", ") : xstrdup("");
}

static int unknown_service(const Scope *scope, const char *name, Error **err)
{
        Suggestion suggestion = { .word = name };
        _cleanup_free_ char *known = scope->project ? service_names(scope->project) : NULL;
        int r;

        for (size_t i = 0; scope->project && i < scope->project->n_services; i++)
                suggestion_consider(&suggestion, scope->project->services[i].name);
        if (!scope->name)
                return error_hint(
                        err, error_set(err, ERROR_NOT_FOUND, "no such container: %s, and no compose file here", name),
                        "\"berth ls -a\" lists the projects of this machine.");
        r = error_set(err, ERROR_NOT_FOUND, "no such service: %s", name);
        if (suggestion.best)
                return error_hint(err, r, "Did you mean \"%s\"?", suggestion.best);
        if (!isempty(known) && strlen(known) < 200)
                return error_hint(err, r, "The services of project \"%s\" are %s.", scope->name, known);
        return error_hint(err, r, "\"berth -p %s ps -a\" lists what project \"%s\" has.", scope->name, scope->name);
}

static void add_once(char ***list, const char *text)
{
        if (!strv_contains(*list, text))
                strv_add(list, text);
}

/* The name of a container: its project becomes the scope's where there is none yet. */
static int resolve_container(Scope *scope, const char *name, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        int r;

        r = scope->engine->operations->container_inspect(scope->engine, name, &info, NULL);
        if (r < 0 || !info->project)
                return unknown_service(scope, name, err);
        if (scope->name && !streq(scope->name, info->project)) {
                if (scope->services)
                        return error_set(err, ERROR_USAGE, "container \"%s\" belongs to project \"%s\", not to \"%s\"",
                                         name, info->project, scope->name);
                /* A compose file in this folder has nothing to do with it. */
                project_free(scope->project);
                scope->project = NULL;
        }
        free_and_replace(&scope->name, xstrdup(info->project));
        if (info->service)
                add_once(&scope->services, info->service);
        add_once(&scope->containers, info->name);
        return 0;
}

static int resolve_names(Scope *scope, char *const *names, char ***ret_disabled, Error **err)
{
        STRV_FOREACH(name, names) {
                const char *service = service_of_name(scope->project, *name);
                int r;

                if (!service && is_disabled_service(scope->project, *name)) {
                        strv_add(ret_disabled, *name);
                        service = *name;
                }
                if (service || known_to_engine(scope, *name)) {
                        add_once(&scope->services, service ?: *name);
                        continue;
                }
                r = resolve_container(scope, *name, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int scope_open(Invocation *invocation, char *const *names, unsigned flags, Scope *ret, Error **err)
{
        _cleanup_scope_ Scope scope = { .layout = invocation->layout };
        _cleanup_strv_ char **disabled = NULL;
        int r;

        r = invocation_open_engine(invocation, &scope.engine, err);
        if (r < 0)
                return r;
        r = find_name(invocation, names, flags, &scope, err);
        if (r < 0)
                return r;
        r = resolve_names(&scope, names, &disabled, err);
        if (r < 0)
                return r;
        if (disabled) {
                r = load_model(invocation, disabled, &scope, err);
                if (r < 0)
                        return r;
        }
        *ret = scope;
        scope = (Scope){ 0 };
        return 0;
}

static bool scope_has(const Scope *scope, const ContainerInfo *info, bool oneoff)
{
        if (strv_contains(scope->containers, info->name))
                return true;
        if (info->oneoff && !oneoff)
                return false;
        if (!scope->services)
                return true;
        if (!info->service || !strv_contains(scope->services, info->service))
                return false;
        if (!scope->containers)
                return true;
        /* A service that was named only by one of its containers means that container. */
        return false;
}

int scope_containers(const Scope *scope, bool oneoff, ContainerList *ret, Error **err)
{
        size_t kept = 0;
        int r;

        r = scope->engine->operations->container_list(scope->engine, scope->name, ret, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ret->length; i++) {
                if (scope_has(scope, ret->items[i], oneoff))
                        ret->items[kept++] = ret->items[i];
                else
                        container_info_free(ret->items[i]);
        }
        ret->length = kept;
        return 0;
}

static int not_running(const char *name, const ContainerInfo *info, Error **err)
{
        int r = error_set(err, ERROR_CONFLICT, "service \"%s\" is not running", name);

        if (!info)
                return error_hint(err, r, "\"berth up -d %s\" creates and starts it.", name);
        return error_hint(err, r, "It is %s; \"berth logs %s\" says why it ended, \"berth start %s\" starts it.",
                          container_state_name(info->state), name, name);
}

int scope_container(const Scope *scope, const char *name, int index, bool running, ContainerInfo **ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        ContainerInfo *stopped = NULL;
        int r;

        r = scope_containers(scope, false, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                ContainerInfo *info = list.items[i];

                if (index > 0 && info->number != index)
                        continue;
                if (running && info->state != CONTAINER_RUNNING && info->state != CONTAINER_PAUSED) {
                        stopped = stopped ?: info;
                        continue;
                }
                *ret = info;
                memmove(&list.items[i], &list.items[i + 1], (list.length - i - 1) * sizeof(list.items[0]));
                list.length--;
                return 0;
        }
        if (index > 0 && !stopped)
                return error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container %d", name, index);
        return not_running(name, stopped, err);
}

static json_t *environment_values(const FileSource *sources, size_t length)
{
        json_t *values = json_object();

        for (size_t i = 0; i < length; i++)
                if ((sources[i].environment || sources[i].command) && sources[i].content)
                        json_object_set_new(values, sources[i].key, json_string(sources[i].content));
        return values;
}

int scope_open_container(Invocation *invocation, const char *name, Scope *ret, ContainerInfo **ret_info, Error **err)
{
        char *names[] = { (char *)name, NULL };
        int r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, ret, err);

        return r < 0 ? r
                     : scope_container(ret, name, (int)invocation_number(invocation, "index", 0), true, ret_info, err);
}

int scope_model_params(const Scope *scope, json_t **ret, Error **err)
{
        const Project *project = scope->project;
        _cleanup_free_ char *text = project_to_json(project);
        json_t *model = json_loads(text, 0, NULL);

        if (!model)
                return error_set(err, ERROR_INTERNAL, "the model of project \"%s\" is no valid JSON", project->name);
        copies_add_to_model(scope->layout, project->name, model);
        *ret = json_pack("{s:o, s:s, s:o, s:{s:o, s:o}, s:b}", "model", model, "working_dir", project->working_dir,
                         "files", json_from_strv(project->files), "environment_values", "secrets",
                         environment_values(project->secrets, project->n_secrets), "configs",
                         environment_values(project->configs, project->n_configs), "name_given", scope->name_given);
        if (!*ret)
                return error_set(err, ERROR_INTERNAL, "the model of project \"%s\" cannot be sent", project->name);
        return 0;
}
