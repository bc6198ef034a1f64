/* backup: takes a base backup now; its sub-commands look at what there is (backup_look.c). */
#include "cli/backup.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "cli/database.h"
#include "cli/verbs.h"
#include "cli/work.h"
#include "operate/target.h"
#include "state/document.h"

int backup_scope(Invocation *invocation, const char *name, Scope *ret, char **ret_service, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, ret, err);

        if (r < 0)
                return r;
        if (name) {
                *ret_service = xstrdup(name);
                return 0;
        }
        r = scope_database_service(ret, NULL, ret_service, &reason);
        if (r < 0 && ret->project)
                for (size_t i = 0; i < ret->project->n_services && !*ret_service; i++) {
                        const char *service = ret->project->services[i].name;
                        _cleanup_free_ char *folder =
                                layout_data(invocation->layout, "backups/%s/%s", ret->name, service);
                        if (fs_is_directory(folder))
                                *ret_service = xstrdup(service);
                }
        return *ret_service ? 0 : error_move(err, &reason, r);
}

static int read_rate(const Invocation *invocation, int64_t *ret_kib, Error **err)
{
        const char *text = invocation_text(invocation, "max-rate", NULL);
        int64_t bytes = 0;

        *ret_kib = 0;
        if (!text)
                return 0;
        if (!parse_size(text, &bytes) || bytes < 32 * 1024 || bytes > INT64_C(1024) * 1024 * 1024)
                return error_set(err, ERROR_USAGE, "--max-rate: \"%s\" is not a size from 32k to 1g", text);
        *ret_kib = bytes / 1024;
        return 0;
}

static void print_result(const json_t *result)
{
        _cleanup_free_ char *size = format_size((uint64_t)json_get_int(result, "size_bytes", 0));
        _cleanup_free_ char *added = format_size((uint64_t)json_get_int(result, "new_bytes", 0));

        printf("%s  %s, %s, %s new\n", json_get_string(result, "id", ""), json_get_string(result, "kind", ""), size,
               added);
}

static int run_backup(Invocation *invocation, Error **err)
{
        char *names[] = { invocation->arguments ? invocation->arguments[0] : NULL, NULL };
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_json_ json_t *result = NULL;
        Work work = { "backup", "Backing up", "database", NULL, "creating", "created" };
        int64_t rate_kib;
        int r = read_rate(invocation, &rate_kib, err);

        if (r == 0)
                r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, names[0], &info, err);
        if (r < 0)
                return r;
        r = scope_database_await(invocation, &scope, info->service, err); /* it may have been started a moment ago */
        if (r < 0)
                return r;
        work.name = info->service;
        r = work_run(invocation, &work,
                     json_pack("{s:s, s:s, s:o, s:I, s:b, s:b, s:b}", "project", scope.name, "service", info->service,
                               "target", database_target_to_json(info), "max_rate_kib", (json_int_t)rate_kib, "gentle",
                               invocation_flag(invocation, "gentle"), "full", invocation_flag(invocation, "full"),
                               "wait", !invocation_flag(invocation, "no-wait")),
                     &result, err);
        if (r < 0)
                return r;
        if (invocation_json(invocation)) {
                _cleanup_free_ char *text = json_dumps(result, JSON_COMPACT);
                printf("%s\n", text);
        } else {
                print_result(result);
        }
        return 0;
}

static const Option options[] = {
        { "max-rate", 0, OPTION_TEXT, "SIZE",
          "Bytes a second that are taken from the server at most, for example 64m" },
        { "gentle", 0, OPTION_FLAG, NULL, "At low priority" },
        { "full", 0, OPTION_FLAG, NULL,
          "Have the server send everything, also where it could send what has changed (from 17 on)" },
        { "no-wait", 0, OPTION_FLAG, NULL, "Fail where another backup, restore or removal is at work" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

static const Command *const children[] = { &command_backup_ls,     &command_backup_show,   &command_backup_rm,
                                           &command_backup_verify, &command_backup_prune,  &command_backup_copy,
                                           &command_backup_key,    &command_backup_export, NULL };

const Command command_backup = {
        .name = "backup",
        .summary = "Take a base backup of a database now",
        .arguments = "[SERVICE]",
        .details =
                "The database goes on serving. What has not changed since an earlier backup is not stored again; each "
                "backup is whole by itself. SERVICE can be left out where the project has one database.\n\n"
                "Databases are backed up without this command, too: see docs/backup.md.",
        .examples = "berth backup\nberth backup db --max-rate 64m\nberth backup ls",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = 1,
        .function = run_backup,
        .children = children,
        .complete = COMPLETE_SERVICES,
};
