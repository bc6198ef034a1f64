/* release {"project", "service", "target"} → {"changes", "repository"}: see operate/release.h
 * status {"project", "service", "target"?, "cluster_only"?} → {"backups": rows of operate/catalog.h of the present cluster, "remembered":
 * settings.json, "cluster": see operate/cluster_status.h, or absent, "unreachable": why, and "unreachable_kind": the error's, or absent,
 * "unreadable": why backups cannot be listed, or absent}
 * synchronous-off {"project", "service", "target"}: commits of that database do not wait for its receiver any more */
#include "base/mem.h"
#include "operate/catalog.h"
#include "operate/cluster_record.h"
#include "operate/cluster_status.h"
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

/* The rows of the cluster that is there now, and where its repository is (borrowed). */
static const char *keep_present(json_t *rows, const char *identifier)
{
        const char *found = NULL;

        for (size_t i = json_array_size(rows); i-- > 0;) {
                const char *path = json_get_string(json_array_get(rows, i), "repository", ""),
                           *name = strrchr(path, '/');
                bool present = identifier ? name && streq(name + 1, identifier)
                                          : json_get_bool(json_array_get(rows, i), "present", false);

                if (present)
                        found = path;
                else
                        json_array_remove(rows, i);
        }
        return found;
}

static const char *system_identifier(const json_t *cluster)
{
        return json_get_string(cluster, "system_identifier", NULL);
}

static json_t *load_remembered(const Job *job, const char *project, const char *service, const char *identifier)
{
        _cleanup_free_ char *path = layout_data(job->layout, "backups/%s/%s/%s", project, service, identifier);

        return cluster_settings_load(path);
}

/* All that a cluster of ours may have been changed in: asked for in any case. */
static json_t *asked_settings(void)
{
        return json_pack("{s:n, s:n, s:n}", "max_slot_wal_keep_size", "synchronous_standby_names", "summarize_wal");
}

int job_status(const Job *job, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *rows = NULL, *cluster = NULL, *remembered = NULL, *names = asked_settings();
        _cleanup_error_ Error *unreachable = NULL, *unreadable = NULL;
        const char *project, *service, *repository;
        _cleanup_place_ Place place = { 0 };
        int r = read_place(job, &place, err);

        if (r == 0)
                r = job_require(job, "project", &project, err);
        if (r == 0)
                r = job_require(job, "service", &service, err);
        if (r < 0)
                return r;
        if (json_object_get(job->params, "target"))
                cluster_status(&place.options.target, place.slot, names, &cluster, &unreachable);
        if (!json_get_bool(job->params, "cluster_only", false))
                catalog_list(job->layout, project, service, &rows, &unreadable);
        if (!rows)
                rows = json_array();
        repository = keep_present(rows, system_identifier(cluster));
        remembered = system_identifier(cluster) ? load_remembered(job, project, service, system_identifier(cluster))
                     : repository               ? cluster_settings_load(repository)
                                                : json_object();
        *ret = json_pack("{s:O, s:O}", "backups", rows, "remembered", remembered);
        if (cluster)
                json_object_set(*ret, "cluster", cluster);
        json_set_string(*ret, "unreadable", unreadable ? unreadable->message : NULL);
        json_set_string(*ret, "unreachable", unreachable ? unreachable->message : NULL);
        json_set_string(*ret, "unreachable_kind", unreachable ? error_kind_name(unreachable->kind) : NULL);
        return 0;
}
