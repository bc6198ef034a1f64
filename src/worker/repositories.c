#include "worker/repositories.h"

#include "base/fs.h"
#include "base/mem.h"
#include "repository/remote/location.h"
#include "state/document.h"

void opened_done(Opened *opened)
{
        repository_free(opened->repository); /* which borrows the key */
        backup_key_free(opened->key);
}

/* One that is missing is not made by itself: a copy that cannot be read by the key that people keep is worth nothing. */
static int load_key(const char *path, BackupKey **ret, Error **err)
{
        int r;

        if (fs_exists(path))
                return backup_key_load(path, ret, err);
        r = error_set(err, ERROR_NOT_FOUND, "the key of the copy, \"%s\", is not there", path);
        return error_hint(
                err, r,
                "\"berth backup key\" makes one. Where the copy was made with one, bring that file back: no other can read it.");
}

int job_load_key(const Job *job, BackupKey **ret, Error **err)
{
        const char *path = json_get_string(job->params, "key", NULL);
        _cleanup_free_ char *name = NULL, *warning = NULL;
        WorkProgress progress = job_progress(job);
        int r;

        if (!path)
                return 0;
        if (fs_exists(path) || !json_get_bool(job->params, "make_key", false))
                return load_key(path, ret, err);
        name = xstrndup(path_basename(path), strcspn(path_basename(path), "."));
        r = backup_key_create(path, name, ret, err);
        if (r < 0)
                return r;
        warning = xasprintf(
                "made the key \"%s\" (%s): keep a copy of that file away from this machine, nobody can read the "
                "encrypted backups without it",
                path, (*ret)->id_text);
        progress_warning(&progress, warning);
        return 0;
}

int job_open_storage(const Job *job, const char *folder, Storage **ret, Error **err)
{
        _cleanup_location_ Location location = { 0 };
        int r = location_parse(json_object_get(job->params, "copy"), &location, err);

        return r < 0 ? r : location_open(&location, folder, ret, err);
}

int job_open_copy(const Job *job, const char *folder, Opened *ret, Error **err)
{
        Storage *storage;
        int r = job_load_key(job, &ret->key, err);

        if (r == 0)
                r = job_open_storage(job, folder, &storage, err);
        return r < 0 ? r : repository_open_elsewhere(storage, ret->key, &ret->repository, err);
}

/* The one of this machine, or else the copy. */
int job_open_either(const Job *job, Opened *ret, Error **err)
{
        const char *path = json_get_string(job->params, "repository", NULL), *folder;
        int r = path ? 0 : job_require(job, "folder", &folder, err);

        if (r < 0)
                return r;
        return path ? repository_open(path, &ret->repository, err) : job_open_copy(job, folder, ret, err);
}
