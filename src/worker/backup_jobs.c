/* backup {"project", "service", "target": {"pid", "data_dir", "user", "password"?, "database"?, "url"?}, "max_rate_kib"?,
 * "gentle"?, "level"?} → the record of docs/backup-format.md */
#include "base/mem.h"
#include "operate/backup.h"
#include "state/document.h"
#include "worker/job.h"

static PostgresTarget read_target(const json_t *params)
{
        const json_t *target = json_object_get(params, "target");

        return (PostgresTarget){
                .pid = (pid_t)json_get_int(target, "pid", 0),
                .data_dir = json_get_string(target, "data_dir", "/var/lib/postgresql/data"),
                .user = json_get_string(target, "user", "postgres"),
                .password = json_get_string(target, "password", NULL),
                .database = json_get_string(target, "database", NULL),
                .url = json_get_string(target, "url", NULL),
        };
}

int job_backup(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(backup_record_freep) BackupRecord *record = NULL;
        _cleanup_free_ char *folder = NULL;
        WorkProgress progress = job_progress(job);
        BackupOptions options = {
                .target = read_target(job->params),
                .max_rate_kib = json_get_int(job->params, "max_rate_kib", 0),
                .gentle = json_get_bool(job->params, "gentle", false),
                .level = (int)json_get_int(job->params, "level", 0),
        };
        int r = job_require(job, "project", &options.project, err);

        if (r == 0)
                r = job_require(job, "service", &options.service, err);
        if (r < 0)
                return r;
        folder = layout_data(job->layout, "backups/%s/%s", options.project, options.service);
        options.folder = folder;
        r = backup_run(&options, &progress, &record, err);
        if (r == 0)
                *ret = backup_record_to_json(record);
        return r;
}
