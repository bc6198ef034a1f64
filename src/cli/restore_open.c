/* What every restore begins with: the service, its repository, a way to the point, and its container. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/database.h"
#include "cli/report.h"
#include "cli/restore.h"
#include "cli/work.h"
#include "state/document.h"

void restore_done(Restore *restore)
{
        scope_done(&restore->scope);
        free(restore->service);
        free(restore->repository);
        free(restore->to);
        free(restore->shown);
        free(restore->not_reflinked);
        json_decref(restore->plan);
        container_info_free(restore->container);
        *restore = (Restore){ 0 };
}

/* A time is this terminal's: it is understood here, and goes to the keeper with its zone. */
void restore_read_point(Restore *restore)
{
        const char *wish = invocation_text(restore->invocation, "to", "latest");
        int64_t ns;

        restore->to = xstrdup(wish);
        restore->shown = xstrdup(wish);
        if (!clock_parse_moment(wish, clock_realtime_ns(), &ns))
                return;
        free_and_replace(&restore->to, clock_format_rfc3339(ns));
        free_and_replace(&restore->shown, clock_format_local(ns));
}

/* The cluster that a named backup is of, else the one that was written to last. */
static int find_repository(Restore *restore, Error **err)
{
        const char *id = invocation_text(restore->invocation, "backup", NULL);
        _cleanup_json_ json_t *result = NULL;
        json_t *row;
        size_t i;
        int r = work_ask(restore->invocation, "backups",
                         json_pack("{s:s, s:s}", "project", restore->scope.name, "service", restore->service), &result,
                         err);

        if (r < 0)
                return r;
        json_array_foreach(json_object_get(result, "backups"), i, row)
                if (id ? streq(json_get_string(row, "id", ""), id) : json_get_bool(row, "present", false))
                        free_and_replace(&restore->repository, xstrdup(json_get_string(row, "repository", "")));
        if (restore->repository)
                return 0;
        r = id ? error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no backup %s", restore->service, id)
               : error_set(err, ERROR_NOT_FOUND, "service \"%s\" of project \"%s\" has no backup", restore->service,
                           restore->scope.name);
        return error_hint(err, r, "\"berth backup ls\" lists what there is.");
}

json_t *restore_point_params(const Restore *restore)
{
        json_t *params = json_pack("{s:s, s:s, s:I}", "repository", restore->repository, "to", restore->to, "timeline",
                                   (json_int_t)invocation_number(restore->invocation, "timeline", 0));

        json_set_string(params, "backup", invocation_text(restore->invocation, "backup", NULL));
        json_object_set_new(params, "elsewhere", restore_elsewhere(restore));
        return params;
}

static int look_at_container(Restore *restore, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        int r = restore->scope.engine->operations->container_list(restore->scope.engine, restore->scope.name, &list,
                                                                  err);

        for (size_t i = 0; r >= 0 && i < list.length; i++) {
                ContainerInfo *info = list.items[i];
                if (info->oneoff || !streq_ptr(info->service, restore->service))
                        continue;
                restore->runs |= info->state == CONTAINER_RUNNING;
                if (!restore->container)
                        restore->container = TAKE_PTR(list.items[i]);
        }
        return r;
}

static int find_way(Restore *restore, Error **err)
{
        int r = find_repository(restore, err);

        return r < 0 ? r
                     : work_ask(restore->invocation, "restore-plan", restore_point_params(restore), &restore->plan,
                                err);
}

int restore_open_service(Restore *restore, Error **err)
{
        Invocation *invocation = restore->invocation;

        if (restore->service)
                return 0;
        restore_read_point(restore);
        return backup_scope(invocation, invocation->arguments ? invocation->arguments[0] : NULL, &restore->scope,
                            &restore->service, err);
}

int restore_open(Restore *restore, Error **err)
{
        _cleanup_error_ Error *failure = NULL, *elsewhere = NULL;
        bool fetched = false;
        int r = restore_open_service(restore, err);

        if (r < 0)
                return r;
        r = find_way(restore, &failure);
        if (r != -ERROR_NOT_FOUND && r != -ERROR_CORRUPT)
                return r < 0 ? error_move(err, &failure, r) : 0;
        if ((r == -ERROR_CORRUPT && restore->repository ? restore_mend(restore, &fetched, &elsewhere)
                                                        : restore_fetch(restore, &fetched, &elsewhere)) < 0)
                report_warning(elsewhere->message);
        return fetched ? find_way(restore, err) : error_move(err, &failure, r);
}

static int make_container(Restore *restore, Error **err)
{
        json_t *params = NULL;
        int r;

        if (!restore->scope.project)
                return error_hint(err,
                                  error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container", restore->service),
                                  "Run it where the compose file is: the container is made from it.");
        r = scope_model_params(&restore->scope, &params, err);
        if (r < 0)
                return r;
        json_object_set_new(params, "services", json_pack("[s]", restore->service));
        json_object_set_new(params, "no_start", json_true());
        json_object_set_new(params, "no_deps", json_true());
        return client_request(restore->invocation, restore->scope.name, "up", params, "Creating", NULL, err);
}

int restore_need_container(Restore *restore, Error **err)
{
        int r = look_at_container(restore, err);

        if (r < 0 || restore->container)
                return r;
        r = make_container(restore, err);
        return r < 0 ? r : look_at_container(restore, err);
}

int restore_request(const Restore *restore, const char *method, json_t *params, json_t **ret, Error **err)
{
        int r = client_request(restore->invocation, restore->scope.name, method, params, "Restoring", ret, err);
        _cleanup_free_ char *from = NULL, *until = NULL;

        if (r != -ERROR_NOT_FOUND || !err || !*err || (*err)->hint)
                return r;
        from = clock_format_local(json_get_int(restore->plan, "from_ns", 0));
        until = clock_format_local(json_get_int(restore->plan, "until_ns", 0));
        return error_hint(
                err, r,
                "A time is written '2026-11-21 14:29', '14:29', 'yesterday 14:29' or '10 minutes ago'; from %s to %s "
                "can be restored.",
                from, until);
}
