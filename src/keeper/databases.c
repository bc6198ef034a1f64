/* What a plan's databases get before anything starts: the guards, and the template of their cluster. */
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/prepare.h"
#include "operate/collations.h"
#include "operate/guards.h"
#include "operate/job_guards.h"
#include "operate/template.h"
#include "state/document.h"

static const Image *image_of(const Preparation *preparation, const char *service)
{
        for (size_t i = 0; service && i < preparation->project->n_services; i++)
                if (streq(preparation->project->services[i].name, service))
                        return preparation->images[i];
        return NULL;
}

static XBerth settings_of(const Preparation *preparation, const char *service)
{
        return preparation_settings(preparation, service ? project_find_service(preparation->project, service) : NULL);
}

/* What its dependencies and its command leave out; once for all containers of a service. */
static void guard_jobs(Preparation *preparation, const char *name, char ***done)
{
        const Service *service = project_find_service(preparation->project, name);
        char **silenced = settings_of(preparation, name).silence;
        _cleanup_guard_findings_ GuardFindings findings = { 0 };

        if (!service || strv_contains(*done, name))
                return;
        strv_add(done, name);
        job_guards_check(preparation->project, service, silenced, &findings);
        guards_add_warnings(name, &findings, &preparation->plan->warnings);
}

static void note_collations(const KeeperParts *parts, const char *container, const char *libraries)
{
        _cleanup_free_ char *volume = NULL, *text = collations_note(parts->engine, container, libraries, &volume);

        if (text)
                parts->note_volume(parts->layout, volume, text, NULL);
}

static int guard_container(Preparation *preparation, const char *service, const ContainerSpec *spec, bool runs,
                           Error **err)
{
        const Image *image = image_of(preparation, service);
        bool dry_run = json_get_bool(preparation->params, "dry_run", false);

        if (!image || !spec_is_database(spec))
                return 0;
        if (runs && !dry_run && spec->name && preparation->parts.note_volume)
                note_collations(&preparation->parts, spec->name, image->libc);
        return guards_run(preparation->parts.layout, preparation->parts.engine, image, spec,
                          settings_of(preparation, service).silence, runs, dry_run, &preparation->plan->warnings, err);
}

int preparation_guard(Preparation *preparation, Error **err)
{
        const Plan *plan = preparation->plan;
        _cleanup_strv_ char **done = NULL;
        int r = 0;

        VECTOR_FOREACH(action, &plan->actions) {
                if (action->verb != PLAN_CONTAINER_CREATE || action->oneoff || !action->spec)
                        continue;
                guard_jobs(preparation, action->service, &done);
                r = guard_container(preparation, action->service, action->spec, false, err);
                if (r < 0)
                        return r;
        }
        VECTOR_FOREACH(kept, &plan->kept) {
                if (preparation->for_run && kept->runs)
                        continue; /* a one-off beside it starts nothing of it */
                guard_jobs(preparation, kept->service, &done);
                r = guard_container(preparation, kept->service, kept->spec, kept->runs, err);
                if (r < 0)
                        return r;
        }
        return r;
}

void preparation_add_templates(Preparation *preparation)
{
        const Layout *layout = preparation->parts.layout;
        bool dry_run = json_get_bool(preparation->params, "dry_run", false);

        for (size_t i = 0; i < preparation->plan->actions.length; i++) {
                PlanAction *action = &preparation->plan->actions.items[i];
                const Image *image = action->spec ? image_of(preparation, action->service) : NULL;
                _cleanup_error_ Error *error = NULL;

                if (action->verb != PLAN_CONTAINER_CREATE || !image || !spec_is_database(action->spec) || dry_run ||
                    !settings_of(preparation, action->service).use_template)
                        continue;
                /* Without a template a first start takes longer, and nothing else. Images of others may have their
                 * own ideas of what initdb is: that is no news. */
                if ((template_offer(layout, image, action->spec, &error) < 0 ||
                     template_prepare(layout, preparation->parts.engine, image, action->spec, &error) < 0) &&
                    image->source == IMAGE_SOURCE_HOST)
                        strv_addf(&preparation->plan->warnings, "service \"%s\": %s", action->service, error->message);
        }
}
