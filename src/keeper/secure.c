/* What services want of TLS, found out before the plan and put into it afterwards. */
#include "base/mem.h"
#include "base/sha256.h"
#include "base/fs.h"
#include "base/strv.h"
#include "keeper/prepare.h"
#include "operate/tls_serve.h"
#include "state/document.h"

typedef struct ServiceSecurity {
        bool is_database, serves_tls, renewed;
        XSecurity wanted;
        TlsFiles files;
} ServiceSecurity;

void preparation_secure_done(Preparation *preparation)
{
        for (size_t i = 0; preparation->security && i < preparation->project->n_services; i++)
                tls_files_done(&preparation->security[i].files);
        free(preparation->security);
}

/* The container as it would be without TLS; what is wrong with it is told when it is planned. */
static ContainerSpec *build_plain(const Preparation *preparation, size_t index)
{
        const PlanService *service = &preparation->plan_services[index];
        SpecInput input = { .project = preparation->project, .service = service->service, .image = service->image,
                            .config_hash = "", .number = 1, .postgres = service->postgres };
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
        r = tls_ensure(preparation->parts.layout, preparation->project, service, &security->wanted.tls, &security->files,
                       params, &result, &error);
        security->renewed = json_get_bool(result, "changed", false);
        if (r >= 0 || !security->files.own_settings)
                return r < 0 ? error_move(err, &error, r) : 0;
        strv_addf(&preparation->notes, "service \"%s\": its certificate was not renewed: %s", service->name, error->message);
        return 0;
}

/* Other options mean another container. */
static void mark_hash(Preparation *preparation, size_t index)
{
        _cleanup_free_ char *text = xasprintf("%s tls", preparation->hashes[index]);

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
        r = ensure(preparation, service, security, err);
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
                        plan_add(preparation->plan, PLAN_CONTAINER_REFRESH, container->name, container->service, container->id,
                                 "its certificate is new");
        }
}

int preparation_secure_plan(Preparation *preparation, Error **err)
{
        Plan *plan = preparation->plan;

        for (size_t i = 0; i < plan->actions.length; i++) {
                const PlanAction *action = &plan->actions.items[i];
                const ServiceSecurity *security = find_security(preparation, action->service);
                int r;

                if (action->verb != PLAN_CONTAINER_CREATE || !security || !security->serves_tls || !spec_is_database(action->spec))
                        continue;
                r = tls_attach(action->spec, &security->files, err);
                if (r < 0)
                        return r;
        }
        add_refreshes(preparation);
        return 0;
}
