/* What a plan's databases get before anything starts: the guards, and the template of their cluster. */
#include "base/mem.h"
#include "base/strv.h"
#include "keeper/prepare.h"
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

/* x-berth: {template: off} of the service or of the project. */
static bool wants_template(const Preparation *preparation, const char *service)
{
        const json_t *places[] = { preparation_x_berth(preparation, service), preparation_x_berth(preparation, NULL) };

        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                const json_t *word = json_object_get(places[i], "template");
                if (json_is_boolean(word))
                        return json_is_true(word);
                if (json_is_string(word))
                        return !streq(json_string_value(word), "off");
        }
        return true;
}

/* x-berth: {silence: [ID, …]} of the service and of the project. */
static char **silenced_guards(const Preparation *preparation, const char *service)
{
        char **silenced = json_get_strv(preparation_x_berth(preparation, service), "silence");
        _cleanup_strv_ char **general = json_get_strv(preparation_x_berth(preparation, NULL), "silence");

        strv_add_all(&silenced, general);
        return silenced;
}

/* Of a service whose container is made: what its dependencies and its command leave out. */
static void guard_jobs(Preparation *preparation, const PlanAction *action)
{
        const Service *service = project_find_service(preparation->project, action->service);
        _cleanup_strv_ char **silenced = silenced_guards(preparation, action->service);
        _cleanup_guard_findings_ GuardFindings findings = { 0 };

        if (service)
                job_guards_check(preparation->project, service, silenced, &findings);
        guards_add_warnings(action->service, &findings, &preparation->plan->warnings);
}

int preparation_guard(Preparation *preparation, Error **err)
{
        bool dry_run = json_get_bool(preparation->params, "dry_run", false);

        for (size_t i = 0; i < preparation->plan->actions.length; i++) {
                const PlanAction *action = &preparation->plan->actions.items[i];
                const Image *image = action->spec ? image_of(preparation, action->service) : NULL;
                _cleanup_strv_ char **silenced = NULL;
                int r;

                if (action->verb != PLAN_CONTAINER_CREATE || action->oneoff || !image)
                        continue;
                guard_jobs(preparation, action);
                if (!spec_is_database(action->spec))
                        continue;
                silenced = silenced_guards(preparation, action->service);
                r = guards_run(preparation->parts.layout, preparation->parts.engine, image, action->spec, silenced,
                               dry_run, &preparation->plan->warnings, err);
                if (r < 0)
                        return r;
        }
        return 0;
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
                    !wants_template(preparation, action->service))
                        continue;
                /* Without a template a first start takes longer, and nothing else. Images of others may have their
                 * own ideas of what initdb is: that is no news. */
                if ((template_offer(layout, image, action->spec, &error) < 0 ||
                     template_prepare(layout, preparation->parts.engine, image, action->spec, &error) < 0) &&
                    image->source == IMAGE_SOURCE_HOST)
                        strv_addf(&preparation->plan->warnings, "service \"%s\": %s", action->service, error->message);
        }
}
