/* restore --as and clone: a second database beside the first, from the repository. The copy is made and recovered
 * before the project knows of it: whatever is cut off leaves no service that would begin anew with an empty folder. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/copy.h"
#include "cli/database.h"
#include "cli/restore.h"
#include "state/document.h"

#define POSTGRES_PORT 5432

/* ---- may it be? ---- */

static bool name_is_valid(const char *name)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

        return *name && *name != '-' && strlen(name) <= 63 && strspn(name, allowed) == strlen(name);
}

static int check_service(const Restore *restore, const char *name, Error **err)
{
        const Engine *engine = restore->scope.engine;
        _cleanup_container_list_ ContainerList list = { 0 };
        int r;

        if (project_find_service(restore->scope.project, name))
                return error_set(err, ERROR_EXISTS, "the compose file has a service \"%s\" already", name);
        r = engine->operations->container_list(restore->scope.engine, restore->scope.name, &list, err);
        for (size_t i = 0; r >= 0 && i < list.length; i++)
                if (streq_ptr(list.items[i]->service, name))
                        r = error_set(err, ERROR_EXISTS, "project \"%s\" has a service \"%s\" already",
                                      restore->scope.name, name);
        return r;
}

static int check_name(const Restore *restore, const char *name, Error **err)
{
        _cleanup_copy_record_ CopyRecord record = { 0 };
        const Layout *layout = restore->invocation->layout;

        if (!name_is_valid(name))
                return error_set(err, ERROR_USAGE, "\"%s\" is no name for a service: letters, digits, _ and -", name);
        if (!restore->scope.project)
                return error_hint(err, error_set(err, ERROR_NOT_FOUND, "there is no compose file here"),
                                  "Run it where the compose file is: the copy's container is made from it.");
        if (scope_is_copy(&restore->scope, name))
                return error_hint(err, error_set(err, ERROR_EXISTS, "there is a copy \"%s\" already", name),
                                  "\"berth clone rm %s\" removes it.", name);
        /* What was cut off is made anew. */
        if (copy_record_load(layout, restore->scope.name, name, &record, NULL) == 0) {
                int r = copy_remove(restore->invocation, &restore->scope, &record, err);
                if (r < 0)
                        return r;
        }
        return check_service(restore, name, err);
}

/* ---- its port ---- */

static int find_free_port(int64_t *ret, Error **err)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return error_set_errno(err, errno, "find a free port");
        *ret = ntohs(address.sin_port);
        return 0;
}

static int choose_port(const Restore *restore, const json_t *model, CopyRecord *record, Error **err)
{
        int64_t published = copy_published_port(model, restore->service);

        record->container_port = published ? published : POSTGRES_PORT;
        record->port = invocation_number(restore->invocation, "port", 0);
        if (record->port < 0 || record->port > 65535)
                return error_set(err, ERROR_USAGE, "--port: %lld is no port", (long long)record->port);
        return record->port || !published ? 0 : find_free_port(&record->port, err);
}

/* ---- steps ---- */

static int describe_copy(const Restore *restore, const char *name, CopyRecord *ret, Error **err)
{
        _cleanup_json_ json_t *params = NULL;
        int r = scope_model_params(&restore->scope, &params, err);

        if (r < 0)
                return r;
        *ret = (CopyRecord){ .project = xstrdup(restore->scope.name),
                             .name = xstrdup(name),
                             .service = xstrdup(restore->service),
                             .image = xstrdup(restore->container->image),
                             .key = xasprintf("%s-data", name),
                             .volume = xasprintf("%s_%s-data", restore->scope.name, name),
                             .point = xstrdup(restore->shown),
                             .backup = xstrdup(json_get_string(restore->plan, "backup", "")),
                             .made_ns = clock_realtime_ns() };
        return choose_port(restore, json_object_get(params, "model"), ret, err);
}

/* Of the moment when the last file had been shared. */
static void note_moment(CopyRecord *record, const json_t *result)
{
        record->made_ns = json_get_int(result, "made_ns", record->made_ns);
        free_and_replace(&record->point, clock_format_local(record->made_ns));
}

static int fill(const Restore *restore, CopyRecord *record, Error **err)
{
        json_t *params = restore->reflink ? json_pack("{s:b}", "reflink", 1) : restore_point_params(restore);
        _cleanup_json_ json_t *result = NULL;
        int r;

        json_set_string(params, "service", restore->service);
        json_set_string(params, "into", record->volume);
        json_set_string(params, "key", record->key);
        r = restore_request(restore, "restore", params, &result, err);
        if (r < 0)
                return r;
        record->target = xstrdup(json_get_string(result, "target", ""));
        free_and_replace(&record->backup, xstrdup(json_get_string(result, "backup", "")));
        if (restore->reflink)
                note_moment(record, result);
        record->ready = true;
        return copy_record_save(restore->invocation->layout, record, err);
}

static int start(const Restore *restore, const CopyRecord *record, Error **err)
{
        json_t *params = NULL;
        int r = scope_model_params(&restore->scope, &params, err);

        if (r < 0)
                return r;
        json_object_set_new(params, "services", json_pack("[s]", record->name));
        json_object_set_new(params, "no_deps", json_true());
        json_object_set_new(params, "wait", json_true());
        r = client_request(restore->invocation, restore->scope.name, "up", params, "Starting", NULL, err);
        return r < 0 ? r : scope_database_await(restore->invocation, &restore->scope, record->name, err);
}

static int report(const Restore *restore, const CopyRecord *record)
{
        if (invocation_json(restore->invocation)) {
                _cleanup_json_ json_t *row =
                        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", record->name, "service", record->service,
                                  "backup", record->backup, "point", record->point, "volume", record->volume, "way",
                                  restore->reflink ? "reflink" : "repository");
                _cleanup_free_ char *text = NULL;

                json_set_string(row, "not_reflinked", restore->not_reflinked);
                if (record->port)
                        json_object_set_new(row, "port", json_integer(record->port));
                text = json_dumps(row, JSON_COMPACT);
                printf("%s\n", text);
                return 0;
        }
        if (restore->reflink)
                printf("%s is a copy of %s as it was at %s, by reflink: they share the blocks that neither changes\n",
                       record->name, record->service, record->point);
        else
                printf("%s is a copy of %s, to %s, from backup %s\n", record->name, record->service, record->point,
                       record->backup);
        if (restore->not_reflinked)
                printf("Not by reflink: %s.\n", restore->not_reflinked);
        if (record->port)
                printf("It is published on 127.0.0.1:%lld. ", (long long)record->port);
        printf("\"berth psql %s\" opens it, \"berth clone rm %s\" removes it.\n", record->name, record->name);
        return 0;
}

static int make(Restore *restore, const char *name, Error **err)
{
        _cleanup_copy_record_ CopyRecord record = { 0 };
        _cleanup_error_ Error *reason = NULL;
        int r = check_name(restore, name, err);

        if (r == 0)
                r = restore_need_container(restore, err);
        if (r == 0)
                r = describe_copy(restore, name, &record, err);
        if (r == 0)
                r = copy_record_save(restore->invocation->layout, &record, err);
        if (r < 0)
                return r;
        r = fill(restore, &record, &reason);
        if (r >= 0)
                r = start(restore, &record, &reason);
        if (r >= 0)
                return report(restore, &record);
        copy_remove(restore->invocation, &restore->scope, &record, NULL);
        return error_move(err, &reason, r);
}

int restore_beside(Restore *restore, const char *name, Error **err)
{
        int r = restore_open(restore, err);

        return r < 0 ? r : make(restore, name, err);
}

int restore_reflinked(Restore *restore, const char *name, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = restore_open_service(restore, err);

        if (r == 0)
                r = check_name(restore, name, err);
        if (r == 0)
                r = restore_need_container(restore, err);
        if (r < 0)
                return r;
        restore->reflink = true;
        r = restore->runs ? make(restore, name, &reason)
                          : error_set(&reason, ERROR_UNSUPPORTED, "%s is not running", restore->service);
        if (r >= 0 || r == -ERROR_CANCELLED || r == -ERROR_EXISTS || r == -ERROR_USAGE)
                return error_move(err, &reason, r);
        restore->reflink = false;
        restore->not_reflinked = xstrdup(reason->message);
        r = restore_beside(restore, name, err);
        if (r < 0 && r != -ERROR_CANCELLED)
                error_hint(err, r, "Nor by reflink: %s.", restore->not_reflinked);
        return r;
}
