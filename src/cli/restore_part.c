/* restore --database and --table: a part of a backup, brought into the running database. */
#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "cli/client.h"
#include "cli/confirm.h"
#include "cli/restore.h"
#include "state/document.h"

/* "a,b", several times as well. */
static json_t *names_of(const Invocation *invocation, const char *option)
{
        _cleanup_strv_ char **values = invocation_list(invocation, option);
        json_t *names = json_array();

        STRV_FOREACH(value, values) {
                _cleanup_strv_ char **words = strv_split(*value, ',');
                STRV_FOREACH(word, words)
                        if (**word)
                                json_array_append_new(names, json_string(*word));
        }
        return names;
}

static int check_as_table(const Invocation *invocation, Error **err)
{
        _cleanup_json_ json_t *tables = names_of(invocation, "table");

        if (!invocation_given(invocation, "as-table") || json_array_size(tables) == 1)
                return 0;
        return error_set(err, ERROR_USAGE, "--as-table is for one --table");
}

static int ask(const Restore *restore, Error **err)
{
        const Invocation *invocation = restore->invocation;
        _cleanup_strv_ char **names =
                invocation_list(invocation, invocation_given(invocation, "table") ? "table" : "database");
        _cleanup_free_ char *list = strv_join(names, ", "), *what = NULL;

        if (!invocation_flag(invocation, "clean"))
                return 0;
        if (invocation_given(invocation, "as-table"))
                free_and_replace(&list, xstrdup(invocation_text(invocation, "as-table", "")));
        what = xasprintf("replace %s in the running database of service %s by how it was at %s", list, restore->service,
                         restore->shown);
        return confirm(what, NULL, invocation_flag(invocation, "yes"), "--yes", err);
}

static json_t *make_params(const Restore *restore)
{
        const Invocation *invocation = restore->invocation;
        json_t *params = restore_point_params(restore);

        json_set_string(params, "service", restore->service);
        if (invocation_given(invocation, "database"))
                json_object_set_new(params, "databases", names_of(invocation, "database"));
        if (invocation_given(invocation, "table"))
                json_object_set_new(params, "tables", names_of(invocation, "table"));
        json_set_string(params, "as_table", invocation_text(invocation, "as-table", NULL));
        json_set_string(params, "into_database", invocation_text(invocation, "into", NULL));
        json_object_set_new(params, "clean", json_boolean(invocation_flag(invocation, "clean")));
        return params;
}

static void report_left_out(const json_t *part)
{
        int64_t keys = json_get_int(part, "foreign_keys_left_out", 0);
        const char *children = json_get_string(part, "children_left_out", NULL),
                   *name = json_get_string(part, "name", "");
        const json_t *publication;
        size_t i;

        if (keys)
                printf("%lld foreign key%s of it %s left out: what %s to may be gone by now.\n", (long long)keys,
                       keys == 1 ? "" : "s", keys == 1 ? "is" : "are", keys == 1 ? "it leads" : "they lead");
        if (children)
                printf("Tables that inherit from it are left out: %s. Name them, too, where they are wanted.\n",
                       children);
        json_array_foreach(json_object_get(part, "publications_left_out"), i, publication)
                printf("Publication %s does not have it now: ALTER PUBLICATION %s ADD TABLE %s, once subscribers may get it.\n",
                       json_string_value(publication), json_string_value(publication), name);
}

static int report(const Restore *restore, const json_t *result)
{
        const json_t *part;
        size_t i;

        if (invocation_json(restore->invocation)) {
                _cleanup_free_ char *text = json_dumps(result, JSON_COMPACT);
                printf("%s\n", text);
                return 0;
        }
        json_array_foreach(json_object_get(result, "parts"), i, part) {
                int64_t tables = json_get_int(part, "tables", 0), rows = json_get_int(part, "rows", 0);

                printf("%s: %lld row%s in %lld table%s, as at %s\n", json_get_string(part, "name", ""), (long long)rows,
                       rows == 1 ? "" : "s", (long long)tables, tables == 1 ? "" : "s", restore->shown);
                report_left_out(part);
        }
        return 0;
}

int restore_part(Restore *restore, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        int r = check_as_table(restore->invocation, err);

        if (r == 0)
                r = restore_open(restore, err);
        if (r == 0)
                r = ask(restore, err);
        if (r < 0)
                return r;
        r = restore_request(restore, "restore_part", make_params(restore), &result, err);
        return r < 0 ? r : report(restore, result);
}
