#include "base/mem.h"
#include "base/strv.h"
#include "image/digest.h"
#include "image/fetch.h"
#include "image/load.h"
#include "state/document.h"
#include "worker/job.h"

int job_pull(const Job *job, json_t **ret, Error **err)
{
        ImageProgress progress = job_progress(job);
        _cleanup_free_ char *id = NULL;
        const char *reference;
        int r = job_require(job, "reference", &reference, err);

        if (r == 0)
                r = image_fetch(job->layout, reference, json_get_string(job->params, "platform", NULL), &progress, &id,
                                err);
        if (r == 0)
                *ret = json_pack("{s:s}", "id", id);
        return r;
}

int job_digests(const Job *job, json_t **ret, Error **err)
{
        ImageProgress progress = job_progress(job);
        _cleanup_strv_ char **references = json_get_strv(job->params, "references");
        json_t *digests;
        int r = image_digests(job->layout, references, &progress, &digests, err);

        if (r == 0)
                *ret = json_pack("{s:o}", "digests", digests);
        return r;
}

int job_load(const Job *job, json_t **ret, Error **err)
{
        ImageProgress progress = job_progress(job);
        _cleanup_loaded_images_ LoadedImages images = { 0 };
        json_t *list;
        const char *source;
        int r = job_require(job, "source", &source, err);

        if (r == 0)
                r = image_load(job->layout, source, json_get_string(job->params, "name", NULL),
                               json_get_string(job->params, "platform", NULL), &progress, &images, err);
        if (r < 0)
                return r;
        list = json_array();
        for (size_t i = 0; i < images.length; i++)
                json_array_append_new(list, json_pack("{s:s, s:o}", "id", images.items[i].id, "names",
                                                      json_from_strv(images.items[i].names)));
        *ret = json_pack("{s:o}", "images", list);
        return 0;
}

int job_import(const Job *job, json_t **ret, Error **err)
{
        ImageProgress progress = job_progress(job);
        _cleanup_strv_ char **changes = json_get_strv(job->params, "changes");
        _cleanup_free_ char *id = NULL;
        const char *source;
        int r = job_require(job, "source", &source, err);

        if (r == 0)
                r = image_import(job->layout, source, json_get_string(job->params, "name", NULL),
                                 json_get_string(job->params, "platform", NULL), changes, &progress, &id, err);
        if (r == 0)
                *ret = json_pack("{s:s}", "id", id);
        return r;
}
