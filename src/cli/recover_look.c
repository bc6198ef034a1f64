/* recover: what the place has, and which project and clusters of it are meant. */
#include "base/mem.h"
#include "base/strv.h"
#include "cli/recover_private.h"
#include "cli/work.h"
#include "state/document.h"

static int choose_project(Recover *recover, const json_t *projects, Error **err)
{
        const char *wanted = invocation_text(recover->invocation, "project-name", NULL);
        _cleanup_strv_ char **names = json_get_strv(recover->found, "projects");
        _cleanup_free_ char *list = strv_join(names, ", ");
        int r;

        if (!names)
                return error_set(err, ERROR_NOT_FOUND, "there is no copy of backups at \"%s\"", recover->url);
        if (wanted && !strv_contains(names, wanted))
                return error_set(err, ERROR_NOT_FOUND, "\"%s\" has no copy of project \"%s\", but of: %s", recover->url,
                                 wanted, list);
        if (!wanted && strv_length(names) > 1) {
                r = error_set(err, ERROR_USAGE, "\"%s\" has copies of several projects: %s", recover->url, list);
                return error_hint(err, r, "Say which one: berth -p NAME recover …");
        }
        recover->project = xstrdup(wanted ? wanted : names[0]);
        return 0;
}

/* Of each service the cluster with the newest backup. */
static int choose_lines(Recover *recover, Error **err)
{
        _cleanup_json_ json_t *best = json_object();
        json_t *line;
        const char *service;
        size_t i;

        json_array_foreach(json_object_get(recover->found, "lines"), i, line) {
                const json_t *other;

                service = json_get_string(line, "service", "");
                other = json_object_get(best, service);
                if (json_get_int(line, "backups", 0) &&
                    json_get_int(line, "newest_ns", 0) > json_get_int(other, "newest_ns", 0))
                        json_object_set(best, service, line);
        }
        recover->lines = json_array();
        json_object_foreach(best, service, line)
                json_array_append(recover->lines, line);
        if (json_array_size(recover->lines))
                return 0;
        return error_set(err, ERROR_NOT_FOUND, "the copy of project \"%s\" at \"%s\" has no complete backup",
                         recover->project, recover->url);
}

int recover_look(Recover *recover, Error **err)
{
        json_t *params = recover_params(recover);
        int r = work_ask(recover->invocation, "offsite-look", params, &recover->found, err);

        if (r == 0)
                r = choose_project(recover, json_object_get(recover->found, "projects"), err);
        if (r < 0)
                return r;
        json_decref(recover->found);
        recover->found = NULL;
        params = recover_params(recover);
        json_set_string(params, "project", recover->project);
        r = work_ask(recover->invocation, "offsite-look", params, &recover->found, err);
        if (r == 0)
                r = choose_lines(recover, err);
        if (r < 0 || recover_manifest(recover) || invocation_flag(recover->invocation, "data-only"))
                return r;
        r = error_set(err, ERROR_NOT_FOUND, "the copy of project \"%s\" has no files of the project, only data",
                      recover->project);
        return error_hint(err, r,
                          "Put its compose file and what that names into the folder yourself, and say --data-only.");
}
