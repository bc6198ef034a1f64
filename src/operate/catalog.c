#include "operate/catalog.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/restore.h"
#include "repository/backup_record.h"
#include "state/document.h"

static char *folder_of(const Layout *layout, const char *project, const char *service)
{
        return layout_data(layout, "backups/%s/%s", project, service);
}

/* ---- rows ---- */

/* A plan to the latest point says how far the log leads. */
static json_t *row_of(Repository *repository, const BackupRecord *record)
{
        const RestoreTarget latest = { .kind = RESTORE_LATEST };
        _cleanup_restore_plan_ RestorePlan plan = { 0 };
        json_t *row = backup_record_to_json(record);
        char until[LSN_TEXT_SIZE];

        if (restore_plan_make(repository, record->id, &latest, &plan, NULL) < 0)
                return row;
        json_set_string(row, "until_lsn", lsn_format(MAX(plan.range.end, record->stop_lsn), until));
        json_object_set_new(row, "until_ns", json_integer(plan.until_ns));
        json_object_set_new(row, "until_timeline", json_integer(plan.target.timeline));
        return row;
}

static void add_row(json_t *rows, json_t *row, const Repository *repository, bool present)
{
        json_set_string(row, "service", repository->service);
        json_set_string(row, "repository", repository->path);
        json_object_set_new(row, "present", json_boolean(present));
        json_array_append_new(rows, row);
}

static int add_repository(json_t *rows, const char *path, bool present, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = repository_open(path, &repository, err);

        if (r == 0)
                r = backup_list_load(repository, &list, err);
        if (r < 0)
                return error_prefix(err, r, "backups in \"%s\"", path);
        STRV_FOREACH(id, list.damaged)
                add_row(rows, json_pack("{s:s, s:b}", "id", *id, "damaged", 1), repository, present);
        VECTOR_FOREACH(record, &list.records)
                add_row(rows, row_of(repository, *record), repository, present);
        return 0;
}

static int add_service(json_t *rows, const Layout *layout, const char *project, const char *service, Error **err)
{
        _cleanup_free_ char *folder = folder_of(layout, project, service);
        _cleanup_strv_ char **lines = repository_lines(folder);
        int r = 0;

        STRV_FOREACH(line, lines) {
                _cleanup_free_ char *path = path_join(folder, *line);

                r = add_repository(rows, path, !line[1], err);
                if (r < 0)
                        break;
        }
        return r;
}

int catalog_list(const Layout *layout, const char *project, const char *service, json_t **ret, Error **err)
{
        _cleanup_free_ char *folder = layout_data(layout, "backups/%s", project);
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **services = NULL;
        int r = 0;

        if (service)
                strv_add(&services, service);
        else
                fs_list_directory(AT_FDCWD, folder, &services, NULL);
        STRV_FOREACH(item, services) {
                r = add_service(rows, layout, project, *item, err);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(rows);
        return 0;
}

/* ---- opening ---- */

static int nothing_there(const char *service, Error **err)
{
        return error_hint(err, error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no backups", service),
                          "\"berth backup\" takes one of a running database.");
}

int catalog_open(const Layout *layout, const char *project, const char *service, const char *cluster, Repository **ret,
                 Error **err)
{
        _cleanup_free_ char *folder = folder_of(layout, project, service), *path = NULL;
        _cleanup_strv_ char **lines = repository_lines(folder);

        if (!lines)
                return nothing_there(service, err);
        if (cluster && !strv_contains(lines, cluster))
                return error_hint(err,
                                  error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no backups of the cluster %s",
                                            service, cluster),
                                  "\"berth backup ls\" shows which clusters it has backups of.");
        path = path_join(folder, cluster ? cluster : lines[strv_length(lines) - 1]);
        return repository_open(path, ret, err);
}

int catalog_find(const Layout *layout, const char *project, const char *service, const char *id, Repository **ret,
                 Error **err)
{
        _cleanup_free_ char *folder = folder_of(layout, project, service);
        _cleanup_strv_ char **lines = repository_lines(folder);

        for (size_t i = strv_length(lines); i-- > 0;) {
                _cleanup_free_ char *path = path_join(folder, lines[i]);
                _cleanup_free_ char *record = xasprintf("%s/backups/%s/backup.json", path, id);

                if (fs_exists(record))
                        return repository_open(path, ret, err);
        }
        return error_hint(err, error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no backup %s", service, id),
                          "\"berth backup ls\" lists them.");
}
