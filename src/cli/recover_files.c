/* recover: the project's files, and the key among them. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/recover_private.h"
#include "cli/report.h"
#include "cli/work.h"
#include "state/document.h"

#define KEY_LIMIT 65536

static void report_list(const json_t *list, const char *what)
{
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item) {
                _cleanup_free_ char *text = xasprintf("%s%s", what, json_string_value(item));
                report_warning(text);
        }
}

/* The compose file names it there, and backups go on with it. */
static int put_key(const Recover *recover, Error **err)
{
        const char *was = json_get_string(recover_manifest(recover), "key", NULL);
        _cleanup_free_ char *path = was ? recover_path(recover, was) : NULL, *parent = path ? path_dirname(path) : NULL;
        _cleanup_free_ char *text = NULL;
        Strbuf content = STRBUF_INIT;
        int r;

        if (!path || !recover->key || fs_exists(path))
                return 0;
        r = fs_read_file(AT_FDCWD, recover->key, KEY_LIMIT, &content, err);
        if (r == 0)
                r = fs_make_directories(parent, 0700, err);
        if (r == 0)
                r = fs_write_file(AT_FDCWD, path, strbuf_text(&content), content.length, 0600, err);
        strbuf_erase(&content);
        strbuf_done(&content);
        if (r < 0)
                return error_prefix(err, r, "put the key into its place");
        text = xasprintf("the key was put to %s, where the compose file names it", path);
        report_warning(text);
        return 0;
}

/* What the compose file names and the copy does not have: nothing would start without it. */
static int check_needed(const Recover *recover, Error **err)
{
        _cleanup_strv_ char **needed = json_get_strv(recover_manifest(recover), "needed");
        _cleanup_strv_ char **missing = NULL;
        _cleanup_free_ char *list = NULL;
        int r;

        STRV_FOREACH(item, needed) {
                _cleanup_free_ char *path = recover_path(recover, *item);
                if (!fs_exists(path))
                        strv_add(&missing, path);
        }
        if (!missing)
                return 0;
        list = strv_join(missing, ", ");
        r = error_set(err, ERROR_NOT_FOUND, "the copy has no secrets, since it is not encrypted; missing: %s", list);
        if (json_get_bool(recover_manifest(recover), "secrets", false))
                r = error_set(err, ERROR_NOT_FOUND, "these files were not in the copy: %s", list);
        return error_hint(err, r, "Put them there, and run the same command again: it goes on from here.");
}

int recover_files(Recover *recover, Error **err)
{
        _cleanup_json_ json_t *result = NULL;
        json_t *params;
        int r;

        if (invocation_flag(recover->invocation, "data-only"))
                return 0;
        params = recover_params(recover);
        json_set_string(params, "folder", json_get_string(recover->found, "folder", ""));
        json_set_string(params, "bundle", json_get_string(recover->found, "bundle", ""));
        json_set_string(params, "into", recover->directory);
        r = work_ask(recover->invocation, "offsite-unpack", params, &result, err);
        if (r < 0)
                return r;
        if (!json_object_size(json_object_get(recover->mark, "restored"))) {
                report_list(json_object_get(recover_manifest(recover), "left_out"), "not in the copy: ");
                report_list(json_object_get(recover_manifest(recover), "missing"), "");
        }
        r = put_key(recover, err);
        return r < 0 ? r : check_needed(recover, err);
}
