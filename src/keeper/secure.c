#include "keeper/secure.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "keeper/migrations.h"
#include "operate/access.h"
#include "operate/roles.h"
#include "operate/tls_serve.h"
#include "state/document.h"

typedef struct ServiceSecurity {
        bool is_database, serves_tls, renewed;
        XSecurity wanted;
        TlsFiles files;
        json_t *access; /* NULL: no rules of ours */
} ServiceSecurity;

void preparation_secure_done(Preparation *preparation)
{
        for (size_t i = 0; preparation->security && i < preparation->project->n_services; i++) {
                tls_files_done(&preparation->security[i].files);
                json_decref(preparation->security[i].access);
        }
        free(preparation->security);
}

/* The container as it would be without TLS; what is wrong with it is told when it is planned. */
static ContainerSpec *build_plain(const Preparation *preparation, size_t index)
{
        const PlanService *service = &preparation->plan_services[index];
        SpecInput input = { .project = preparation->project,
                            .service = service->service,
                            .image = service->image,
                            .config_hash = "",
                            .number = 1,
                            .postgres = service->postgres };
        ContainerSpec *spec = NULL;

        return service->image && spec_build(&input, &spec, NULL) == 0 ? spec : NULL;
}

static int ensure(Preparation *preparation, const Service *service, ServiceSecurity *security, Error **err)
{
        _cleanup_json_ json_t *params = json_object(), *result = NULL;
        _cleanup_error_ Error *error = NULL;
        int r;

        if (json_get_bool(preparation->params, "dry_run", false))
                return 0;
        if (security->files.own_settings) /* somebody else's layout: kept alive, not furnished */
                json_object_set_new(params, "renew_only", json_true());
        r = tls_ensure(preparation->parts.layout, preparation->project, service, &security->wanted.tls,
                       &security->files, params, &result, &error);
        security->renewed = json_get_bool(result, "changed", false);
        if (r >= 0 || !security->files.own_settings)
                return r < 0 ? error_move(err, &error, r) : 0;
        strv_addf(&preparation->notes, "service \"%s\": its certificate was not renewed: %s", service->name,
                  error->message);
        return 0;
}

/* Other options mean another container. */
static void mark_hash(Preparation *preparation, size_t index)
{
        _cleanup_free_ char *text =
                xasprintf("%s tls%s", preparation->hashes[index], preparation->security[index].access ? " access" : "");

        free_and_replace(&preparation->hashes[index], sha256_hex(text, strlen(text)));
        preparation->plan_services[index].config_hash = preparation->hashes[index];
}

static int secure_service(Preparation *preparation, size_t index, Error **err)
{
        const Service *service = preparation->plan_services[index].service;
        ServiceSecurity *security = &preparation->security[index];
        _cleanup_(container_spec_freep) ContainerSpec *spec = build_plain(preparation, index);
        int r;

        security->is_database = spec && spec_is_database(spec);
        if (!security->is_database)
                return 0;
        x_security_read(preparation->project, service, &security->wanted);
        if (security->wanted.tls.mode == X_TLS_OFF ||
            !tls_files_find(preparation->project, service, &security->wanted.tls, spec, &security->files))
                return 0;
        security->serves_tls = security->wanted.tls.mode != X_TLS_UNSAID ||
                               (fs_exists(security->files.certificate) && fs_exists(security->files.key));
        if (!security->serves_tls)
                return 0;
        if (security->files.own_settings && (security->wanted.n_access || security->wanted.tls.mode == X_TLS_REQUIRED))
                return error_hint(
                        err,
                        error_set(err, ERROR_UNSUPPORTED, "service \"%s\": its own settings say who may connect",
                                  service->name),
                        "Take x-berth.access (or tls: required) out, or certificate, key and hba_file out of the settings.");
        r = ensure(preparation, service, security, err);
        if (r == 0 && !security->files.own_settings)
                r = access_plan(preparation->parts.layout, preparation->project, service, &security->wanted,
                                &security->access, err);
        if (r == 0 && !security->files.own_settings)
                mark_hash(preparation, index);
        return r;
}

int preparation_secure(Preparation *preparation, Error **err)
{
        int r = 0;

        if (!preparation->security)
                preparation->security = xnew_array(ServiceSecurity, preparation->project->n_services + 1);
        for (size_t i = 0; i < preparation->project->n_services && r == 0; i++)
                r = secure_service(preparation, i, err);
        return r;
}

/* ---- in the plan ---- */

static ServiceSecurity *find_security(const Preparation *preparation, const char *service)
{
        for (size_t i = 0; service && i < preparation->project->n_services; i++)
                if (streq(preparation->project->services[i].name, service))
                        return &preparation->security[i];
        return NULL;
}

static bool is_touched(const Plan *plan, const ContainerInfo *container)
{
        for (size_t i = 0; i < plan->actions.length; i++)
                if (streq_ptr(plan->actions.items[i].id, container->id))
                        return true;
        return false;
}

/* What runs on with a certificate that was renewed just now. */
static void add_refreshes(Preparation *preparation)
{
        size_t n = preparation->found.containers.length;

        for (size_t i = 0; i < n; i++) {
                const ContainerInfo *container = preparation->found.containers.items[i];
                const ServiceSecurity *security = find_security(preparation, container->service);

                if (security && security->renewed && container->state == CONTAINER_RUNNING && !container->oneoff &&
                    !is_touched(preparation->plan, container))
                        plan_add(preparation->plan, PLAN_CONTAINER_REFRESH, container->name, container->service,
                                 container->id, "its certificate is new");
        }
}

static int attach_access(const Preparation *preparation, ContainerSpec *spec, const ServiceSecurity *security,
                         Error **err)
{
        tls_attach_rules(spec, json_get_string(security->access, "path", ""));
        return json_get_bool(preparation->params, "dry_run", false) ? 0 : access_prepare(security->access, err);
}

static int fill_task(Preparation *preparation, PlanAction *action, Error **err)
{
        const ServiceSecurity *security = find_security(preparation, action->service);
        json_t *roles = NULL;
        int r = 0;

        if (security->wanted.n_roles && !json_get_bool(preparation->params, "dry_run", false))
                r = roles_wish(preparation->project, &security->wanted, &roles, err);
        if (r < 0)
                return error_prefix(err, r, "service \"%s\"", action->service);
        action->task = json_pack("{s:O*, s:o*}", "access", security->access, "roles", roles);
        return 0;
}

int preparation_secure_plan(Preparation *preparation, Error **err)
{
        Plan *plan = preparation->plan;

        for (size_t i = 0; i < plan->actions.length; i++) {
                const PlanAction *action = &plan->actions.items[i];
                const ServiceSecurity *security = find_security(preparation, action->service);
                int r;

                if (action->verb != PLAN_CONTAINER_CREATE || !security || !security->serves_tls ||
                    !spec_is_database(action->spec))
                        continue;
                r = tls_attach(action->spec, &security->files, err);
                if (r == 0 && security->access)
                        r = attach_access(preparation, action->spec, security, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < plan->actions.length; i++) {
                int r = plan->actions.items[i].verb == PLAN_SECURE ? fill_task(preparation, plan_at(plan, i), err) : 0;

                if (r < 0)
                        return r;
        }
        add_refreshes(preparation);
        return 0;
}

/* ---- the step ---- */

static int apply_roles(Step *step, const ContainerInfo *info, Error **err)
{
        const json_t *roles = json_object_get(step->action->task, "roles");
        const EngineProgress *progress = &step->progress.progress;
        _cleanup_strv_ char **changed = NULL, **notes = NULL;
        int r = roles ? roles_apply(step->engine, info, roles, &changed, &notes, err) : 0;

        STRV_FOREACH(note, notes) {
                _cleanup_free_ char *text = xasprintf("service \"%s\": %s", step->action->service, *note);
                progress->warning(progress->context, text);
        }

        STRV_FOREACH(name, changed) {
                _cleanup_free_ char *resource = xasprintf("%s/%s", step->action->service, *name);
                request_progress_resource(&step->progress, "role", resource, "applied", NULL);
        }
        return r;
}

int secure_container(Step *step, Error **err)
{
        const json_t *access = json_object_get(step->action->task, "access");
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        bool changed = false;
        int r;

        if (!step->id)
                return error_set(err, ERROR_FAILED,
                                 "service \"%s\" does not run: its roles and rules cannot be looked after",
                                 step->action->service);
        r = step->engine->operations->container_inspect(step->engine, step->id, &info, err);
        if (r >= 0)
                r = database_wait_until_ready(step, info, err);
        if (r >= 0 && access)
                r = access_apply(step->engine, info, access, &changed, err);
        if (r >= 0)
                r = apply_roles(step, info, err);
        return error_prefix(err, r, "service \"%s\"", step->action->service);
}
