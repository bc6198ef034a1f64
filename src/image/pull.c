#include "image/pull.h"

#include "base/mem.h"
#include "base/strv.h"
#include "image/host.h"
#include "image/platform.h"
#include "image/reference.h"
#include "state/document.h"
#include "state/worker.h"

static void tell_event(void *context, const json_t *event)
{
        const ImageProgress *progress = context;
        const char *status = json_get_string(event, "status", NULL), *warning = json_get_string(event, "warning", NULL);

        if (status)
                progress_status(progress, status);
        if (warning)
                progress_warning(progress, warning);
        if (json_object_get(event, "done"))
                progress_bytes(progress, json_get_string(event, "what", ""), (uint64_t)json_get_int(event, "done", 0),
                               (uint64_t)json_get_int(event, "total", 0));
}

static int run_job(const Layout *layout, const char *job, json_t *params, int input_fd, const ImageProgress *progress,
                   json_t **ret, Error **err)
{
        static const ImageProgress silent = { .cancel_fd = -1 };
        const ImageProgress *told = progress ? progress : &silent;
        WorkerRun run = {
                .job = job,
                .params = params,
                .input_fd = input_fd,
                .cancel_fd = told->cancel_fd,
                .context = (void *)told,
                .event = tell_event,
        };
        int r = worker_run(layout, &run, ret, err);

        json_decref(params);
        return r;
}

/* It came from a registry or an archive before: pulling means to look there again. */
static bool is_stored(const Layout *layout, const char *reference)
{
        _cleanup_image_ Image *image = NULL;

        return image_find_made(layout, reference, &image, NULL) == 0 && image->source == IMAGE_SOURCE_STORE;
}

/* ERROR_UNSUPPORTED: the policy or the name leaves it to a registry. */
static int find_on_host(const Layout *layout, const char *reference, ImagePolicy policy, const char *platform,
                        const ImageProgress *progress, Error **err)
{
        _cleanup_free_ char *machine = platform_of_machine();
        _cleanup_reference_ Reference parsed = { 0 };
        _cleanup_image_ Image *image = NULL;
        int r = reference_parse(reference, &parsed, err);

        if (r < 0)
                return r;
        if (policy == IMAGES_AUTO && platform && !platform_serves(machine, platform))
                return -ERROR_UNSUPPORTED;
        if (policy == IMAGES_REGISTRY || (policy == IMAGES_AUTO && is_stored(layout, reference)))
                return -ERROR_UNSUPPORTED;
        r = host_image_find(layout, &parsed, policy, &image, err);
        if (r == 0 && progress)
                progress_status(progress, image->source_line);
        return r;
}

/* The other way to have the image, after what the registry's failure suggests. */
static void add_advice(Error *error, const Error *host_error)
{
        if (error && host_error && host_error->hint)
                free_and_replace(&error->hint, xasprintf("%s%s%s", error->hint ? error->hint : "",
                                                         error->hint ? " " : "", host_error->hint));
}

int image_pull(const Layout *layout, const char *reference, ImagePolicy policy, const char *platform,
               const ImageProgress *progress, Error **err)
{
        _cleanup_error_ Error *host_error = NULL;
        _cleanup_json_ json_t *result = NULL;
        json_t *params;
        int r = find_on_host(layout, reference, policy, platform, progress, &host_error);

        if (r == 0 || (r != -ERROR_UNSUPPORTED && (policy == IMAGES_HOST || r != -ERROR_NOT_FOUND)))
                return error_move(err, &host_error, r);
        params = json_object();
        json_set_string(params, "reference", reference);
        json_set_string(params, "platform", platform);
        r = run_job(layout, "pull", params, -1, progress, &result, err);
        if (r < 0 && err)
                add_advice(*err, host_error);
        return r;
}

/* ---- pin ---- */

static char *pinned_text(const Reference *reference, const char *digest)
{
        Reference pinned = *reference;

        if (reference->digest)
                pinned.tag = NULL;
        pinned.digest = (char *)digest;
        return reference_text(&pinned);
}

/* Asks for those that name no digest; the answers come in the same order. */
static int ask_digests(const Layout *layout, char **references, json_t **ret, Error **err)
{
        json_t *params;

        if (!references)
                return 0;
        params = json_object();
        json_object_set_new(params, "references", json_from_strv(references));
        return run_job(layout, "digests", params, -1, NULL, ret, err);
}

int image_pin(const Layout *layout, char *const *references, char ***ret, Error **err)
{
        size_t length = strv_length(references), asked = 0;
        _cleanup_strv_ char **wanted = NULL, **pinned = NULL;
        _cleanup_json_ json_t *result = NULL;
        Error *errors = NULL;
        int r;

        STRV_FOREACH(text, references)
                if (!strchr(*text, '@'))
                        strv_add(&wanted, *text);
        r = ask_digests(layout, wanted, &result, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < length; i++) {
                _cleanup_reference_ Reference reference = { 0 };
                const json_t *answer = NULL, *refused;
                Error *error = NULL;

                if (!strchr(references[i], '@'))
                        answer = json_array_get(json_object_get(result, "digests"), asked++);
                refused = json_object_get(answer, "error");
                r = refused ? error_from_json(&error, refused) : reference_parse(references[i], &reference, &error);
                if (r < 0)
                        error_append(&errors, &error);
                else
                        strv_take(&pinned,
                                  pinned_text(&reference, reference.digest ?: json_get_string(answer, "digest", NULL)));
        }
        if (errors)
                return error_move(err, &errors, -(int)errors->kind);
        *ret = TAKE_PTR(pinned);
        return 0;
}

/* ---- load and import ---- */

int image_load_by_worker(const Layout *layout, const char *source, const char *name, const char *platform, int input_fd,
                         const ImageProgress *progress, char ***ret_ids, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        json_t *params = json_object(), *image;
        size_t i;
        int r;

        json_set_string(params, "source", source);
        json_set_string(params, "name", name);
        json_set_string(params, "platform", platform);
        r = run_job(layout, "load", params, input_fd, progress, &result, err);
        if (r < 0)
                return r;
        json_array_foreach(json_object_get(result, "images"), i, image)
                strv_add(ret_ids, json_get_string(image, "id", ""));
        return 0;
}

int image_import_by_worker(const Layout *layout, const char *source, const char *name, const char *platform,
                           char *const *changes, int input_fd, const ImageProgress *progress, char **ret_id,
                           Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        json_t *params = json_object();
        int r;

        json_set_string(params, "source", source);
        json_set_string(params, "name", name);
        json_set_string(params, "platform", platform);
        json_object_set_new(params, "changes", json_from_strv(changes));
        r = run_job(layout, "import", params, input_fd, progress, &result, err);
        if (r == 0)
                *ret_id = xstrdup(json_get_string(result, "id", ""));
        return r;
}
