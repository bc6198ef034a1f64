/* The images of a request: found, or noted as missing so that they are pulled first; and which of them are news. */
#include "base/mem.h"
#include "base/strv.h"
#include "image/platform.h"
#include "image/reference.h"
#include "keeper/prepare.h"
#include "state/document.h"

/* "always", "missing" or "never". */
static const char *pull_policy(const Preparation *preparation, const Service *service)
{
        const char *policy = json_get_string(preparation->params, "pull", NULL);

        if (preparation->only_pull && !policy)
                policy = json_get_string(preparation->params, "policy", "always");
        if (!policy)
                policy = service->pull_policy;
        if (!policy || streq(policy, "if_not_present") || streq(policy, "build"))
                return "missing";
        return policy;
}

static const MissingImage *find_missing(const Preparation *preparation, const char *reference)
{
        VECTOR_FOREACH(image, &preparation->missing)
                if (streq(image->reference, reference))
                        return image;
        return NULL;
}

static int add_missing(Preparation *preparation, const Service *service, ImageChoice choice, const char *reason)
{
        if (!find_missing(preparation, service->image))
                vector_add(&preparation->missing,
                           (MissingImage){ service->image, service->platform, (char *)image_choice_name(choice),
                                           service->name, arena_strdup(preparation->project->arena, reason) });
        return 0;
}

static int no_image_named(const Service *service, Error **err)
{
        int r = error_set(err, ERROR_UNSUPPORTED, "service \"%s\" has only a build section", service->name);

        return error_hint(
                err, r,
                "Build the image with another tool, load it with `berth image load`, and name it with `image:`.");
}

static int wrong_platform(const Service *service, const Image *image, const char *wanted, Error **err)
{
        int r = error_set(err, ERROR_UNSUPPORTED, "service \"%s\": image %s is made for %s, not for %s", service->name,
                          service->image, image->platform, wanted);

        if (service->platform)
                return error_hint(err, r, "Correct `platform:`, or pull or load the image for %s.", wanted);
        return error_hint(err, r,
                          "Pull or load it for %s; where this machine can run it by emulation, say `platform: %s`.",
                          wanted, image->platform);
}

/* It was missing a moment ago and is in the store now. */
static void name_registry(Image *image)
{
        _cleanup_reference_ Reference reference = { 0 };

        if (image->source != IMAGE_SOURCE_STORE || reference_parse(image->reference, &reference, NULL) < 0)
                return;
        image->source = IMAGE_SOURCE_REGISTRY;
        free_and_replace(&image->source_line, xasprintf("%s from the registry %s (%.12s)", image->reference,
                                                        reference.registry, digest_hex(image->id)));
}

/* may_miss: before pulling; what must be pulled is noted then, and NULL is found. */
static int find_image(Preparation *preparation, const Service *service, bool may_miss, Image **ret, Error **err)
{
        const EngineOperations *operations = preparation->parts.engine->operations;
        const char *pull = pull_policy(preparation, service);
        _cleanup_free_ char *machine = platform_of_machine();
        const char *platform = service->platform ? service->platform : machine;
        _cleanup_error_ Error *reason = NULL;
        _cleanup_image_ Image *image = NULL;
        XBerth settings = preparation_settings(preparation, service);
        int r;

        if (!service->image)
                return no_image_named(service, err);
        may_miss = may_miss && settings.images != IMAGE_CHOICE_HOST;
        if (may_miss && streq(pull, "always"))
                return add_missing(preparation, service, settings.images, "asked for");
        r = operations->image_find(preparation->parts.engine, service->image, image_choice_name(settings.images),
                                   &image, &reason);
        if (r == -ERROR_NOT_FOUND && may_miss)
                return streq(pull, "never") ? error_set(err, ERROR_NOT_FOUND, "No such image: %s", service->image)
                                            : add_missing(preparation, service, settings.images, "it is not here yet");
        if (r < 0)
                return error_move(err, &reason, r);
        if (!platform_serves(image->platform, platform)) {
                _cleanup_free_ char *foreign = xasprintf("the one in the store is made for %s", image->platform);

                if (may_miss && !streq(pull, "never"))
                        return add_missing(preparation, service, settings.images, foreign);
                return wrong_platform(service, image, platform, err);
        }
        if (find_missing(preparation, service->image))
                name_registry(image);
        *ret = TAKE_PTR(image);
        return 0;
}

int preparation_find_images(Preparation *preparation, bool may_miss, Error **err)
{
        const Project *project = preparation->project;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < project->n_services; i++)
                if (!preparation->images[i] && strv_contains(preparation->selected, project->services[i].name))
                        r = find_image(preparation, &project->services[i], may_miss, &preparation->images[i], err);
        return r;
}

static bool is_made_of(const Preparation *preparation, const char *service, const Image *image)
{
        for (size_t i = 0; i < preparation->found.containers.length; i++) {
                const ContainerInfo *container = preparation->found.containers.items[i];
                if (!container->oneoff && streq_ptr(container->service, service) &&
                    streq_ptr(container->image_id, image->id))
                        return true;
        }
        return false;
}

static bool is_created(const Plan *plan, const char *service)
{
        for (size_t i = 0; i < plan->actions.length; i++) {
                const PlanAction *action = &plan->actions.items[i];
                if (action->verb == PLAN_CONTAINER_CREATE && !action->oneoff && streq_ptr(action->service, service))
                        return true;
        }
        return false;
}

void preparation_note_sources(Preparation *preparation)
{
        for (size_t i = 0; i < preparation->project->n_services; i++) {
                const Image *image = preparation->images[i];
                const char *service = preparation->project->services[i].name;

                if (image && image->source_line && is_created(preparation->plan, service) &&
                    !is_made_of(preparation, service, image) && !strv_contains(preparation->notes, image->source_line))
                        strv_add(&preparation->notes, image->source_line);
        }
}
