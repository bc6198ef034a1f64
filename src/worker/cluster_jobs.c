/* release {"project", "service", "target"} → {"changes", "repository"}: see operate/release.h
 * synchronous-off {"project", "service", "target"}: commits of that database do not wait for its receiver any more */
#include "base/mem.h"
#include "operate/release.h"
#include "state/document.h"
#include "worker/job.h"

typedef struct Place {
        char *folder, *slot;
        ReleaseOptions options;
} Place;

static void place_done(Place *place)
{
        free(place->folder);
        free(place->slot);
}
#define _cleanup_place_ _cleanup_(place_done)

static int read_place(const Job *job, Place *ret, Error **err)
{
        const char *project, *service;
        int r = job_require(job, "project", &project, err);

        if (r == 0)
                r = job_require(job, "service", &service, err);
        if (r < 0)
                return r;
        ret->folder = layout_data(job->layout, "backups/%s/%s", project, service);
        ret->slot = xasprintf("berth_%s", job->layout->id);
        ret->options = (ReleaseOptions){ .target = job_target(job), .folder = ret->folder, .slot = ret->slot };
        return 0;
}

int job_release(const Job *job, json_t **ret, Error **err)
{
        _cleanup_place_ Place place = { 0 };
        int r = read_place(job, &place, err);

        return r < 0 ? r : cluster_release(&place.options, ret, err);
}

int job_synchronous_off(const Job *job, json_t **ret, Error **err)
{
        _cleanup_place_ Place place = { 0 };
        int r = read_place(job, &place, err);

        return r < 0 ? r : cluster_release_synchronous(&place.options, err);
}
