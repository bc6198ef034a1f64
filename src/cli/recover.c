/* recover: a whole project on an empty machine, from a copy elsewhere: files, secrets, certificates, data. May be
 * interrupted and run again: a mark in the folder tells what is done, until all is. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/backup.h"
#include "cli/confirm.h"
#include "cli/recover_private.h"
#include "cli/report.h"
#include "cli/verbs.h"
#include "cli/work.h"
#include "state/document.h"

#define MARK        ".berth-recover.json"
#define MARK_FORMAT 1
#define KEY_LIMIT   65536

static void recover_done(Recover *recover)
{
        free(recover->key);
        json_decref(recover->copy);
        free(recover->project);
        free(recover->directory);
        json_decref(recover->found);
        json_decref(recover->lines);
        free(recover->mark_path);
        json_decref(recover->mark);
        strv_free(recover->global);
}
#define _cleanup_recover_ _cleanup_(recover_done)

json_t *recover_params(const Recover *recover)
{
        json_t *params = json_pack("{s:O}", "copy", recover->copy);

        json_set_string(params, "key", recover->key);
        return params;
}

static const json_t *manifest_of(const Recover *recover)
{
        return json_object_get(recover->found, "manifest");
}

char *recover_path(const Recover *recover, const char *path)
{
        const char *rest = startswith(path, json_get_string(manifest_of(recover), "working_dir", "\n"));

        return rest && (*rest == '/' || !*rest) ? xasprintf("%s%s", recover->directory, rest) : xstrdup(path);
}

int recover_remember(const Recover *recover, Error **err)
{
        return document_save(recover->mark_path, MARK_FORMAT, recover->mark, err);
}

/* ---- what is there ---- */

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

static int look(Recover *recover, Error **err)
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
        if (r < 0 || manifest_of(recover) || invocation_flag(recover->invocation, "data-only"))
                return r;
        r = error_set(err, ERROR_NOT_FOUND, "the copy of project \"%s\" has no files of the project, only data",
                      recover->project);
        return error_hint(err, r,
                          "Put its compose file and what that names into the folder yourself, and say --data-only.");
}

/* ---- where to ---- */

static int choose_directory(Recover *recover, Error **err)
{
        const Invocation *invocation = recover->invocation;
        _cleanup_free_ char *here = realpath(".", NULL);
        const char *fallback = invocation_flag(invocation, "data-only")
                                       ? here
                                       : json_get_string(manifest_of(recover), "working_dir", here);

        recover->directory = path_clean(here ? here : "/",
                                        strv_length(invocation->arguments) > 1 ? invocation->arguments[1] : fallback);
        recover->mark_path = path_join(recover->directory, MARK);
        return 0;
}

static bool has_files(const Recover *recover)
{
        _cleanup_strv_ char **names = NULL;

        return fs_list_directory(AT_FDCWD, recover->directory, &names, NULL) == 0 && names;
}

/* An earlier run of the same, or an empty place. */
static int load_mark(Recover *recover, bool *ret_again, Error **err)
{
        _cleanup_free_ char *known =
                layout_data(recover->invocation->layout, "projects/%s/project.json", recover->project);
        int r;

        *ret_again = document_load(recover->mark_path, MARK_FORMAT, &recover->mark, NULL) == 0 &&
                     streq(json_get_string(recover->mark, "url", ""), recover->url) &&
                     streq(json_get_string(recover->mark, "project", ""), recover->project);
        if (*ret_again && json_is_object(json_object_get(recover->mark, "restored")))
                return 0;
        json_decref(recover->mark);
        recover->mark = json_pack("{s:s, s:s, s:{}}", "url", recover->url, "project", recover->project, "restored");
        if (fs_exists(known)) {
                r = error_set(err, ERROR_CONFLICT, "project \"%s\" is on this machine already", recover->project);
                return error_hint(err, r,
                                  "\"berth restore\" brings a database of it back, from the copy elsewhere, too.");
        }
        if (!has_files(recover) || invocation_flag(recover->invocation, "data-only"))
                return 0;
        r = error_set(err, ERROR_EXISTS, "\"%s\" is not empty", recover->directory);
        return error_hint(
                err, r,
                "Name another folder: berth recover %s DIR. With --data-only the files that are there are used.",
                recover->url);
}

static int ask(const Recover *recover, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const json_t *line;
        size_t i;

        strbuf_addf(&text, "recover project %s into %s:", recover->project, recover->directory);
        json_array_foreach(recover->lines, i, line) {
                _cleanup_free_ char *time = clock_format_rfc3339(json_get_int(line, "newest_ns", 0));
                strbuf_addf(&text, " service %s, newest backup of %.19sZ;", json_get_string(line, "service", ""), time);
        }
        strbuf_adds(&text, " this machine then goes on with the copy, and the lost one must not any more");
        return confirm(strbuf_text(&text), NULL, invocation_flag(recover->invocation, "yes"), "--yes", err);
}

/* ---- files ---- */

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
        const char *was = json_get_string(manifest_of(recover), "key", NULL);
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
        _cleanup_strv_ char **needed = json_get_strv(manifest_of(recover), "needed");
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
        if (json_get_bool(manifest_of(recover), "secrets", false))
                r = error_set(err, ERROR_NOT_FOUND, "these files were not in the copy: %s", list);
        return error_hint(err, r, "Put them there, and run the same command again: it goes on from here.");
}

static int unpack(Recover *recover, Error **err)
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
                report_list(json_object_get(manifest_of(recover), "left_out"), "not in the copy: ");
                report_list(json_object_get(manifest_of(recover), "missing"), "");
        }
        r = put_key(recover, err);
        return r < 0 ? r : check_needed(recover, err);
}

/* The compose files as they were given, and the project's name where the folder does not say it. */
static void set_global(Recover *recover)
{
        _cleanup_strv_ char **files = json_get_strv(manifest_of(recover), "files");
        bool data_only = invocation_flag(recover->invocation, "data-only");

        STRV_FOREACH(file, data_only ? NULL : files) {
                _cleanup_free_ char *path = recover_path(recover, *file);
                strv_add(&recover->global, "-f");
                strv_add(&recover->global, path);
        }
        strv_add(&recover->global, "--project-directory");
        strv_add(&recover->global, recover->directory);
        if (streq(path_basename(recover->directory), recover->project))
                return;
        strv_add(&recover->global, "-p");
        strv_add(&recover->global, recover->project);
}

/* ---- the verb ---- */

/* The databases first, until they answer: only then is anything called recovered. */
static int start(const Recover *recover, Error **err)
{
        _cleanup_strv_ char **databases = strv_new("up", "-d", "--wait", NULL), **all = strv_new("up", "-d", NULL);
        const json_t *line;
        size_t i;
        int r = recover_claim(recover, err);

        if (r < 0 || invocation_flag(recover->invocation, "no-start"))
                return r;
        json_array_foreach(recover->lines, i, line)
                strv_add(&databases, json_get_string(line, "service", ""));
        r = recover_command(recover, databases, NULL, err);
        return r < 0 ? r : recover_command(recover, all, NULL, err);
}

static void report(const Recover *recover)
{
        bool named = !streq(path_basename(recover->directory), recover->project);

        printf("project %s is recovered in %s\n", recover->project, recover->directory);
        if (named)
                printf("Its commands need its name there: berth -p %s …\n", recover->project);
}

static int prepare(Recover *recover, Error **err)
{
        bool again = false;
        int r = look(recover, err);

        if (r == 0)
                r = choose_directory(recover, err);
        if (r == 0)
                r = load_mark(recover, &again, err);
        if (r == 0 && !again)
                r = ask(recover, err);
        if (r == 0)
                r = fs_make_directories(recover->directory, 0755, err);
        return r < 0 ? r : recover_remember(recover, err);
}

static int run_recover(Invocation *invocation, Error **err)
{
        _cleanup_recover_ Recover recover = { .invocation = invocation,
                                              .url = invocation->arguments[0],
                                              .key = path_from_option(invocation, "key") };
        int r;

        recover.copy = location_from_options(invocation, recover.url);
        r = prepare(&recover, err);
        if (r == 0)
                r = unpack(&recover, err);
        if (r < 0)
                return r;
        set_global(&recover);
        r = recover_data(&recover, err);
        if (r == 0)
                r = start(&recover, err);
        if (r < 0)
                return error_hint(err, r, "What is done is kept: the same command goes on from here.");
        unlink(recover.mark_path);
        report(&recover);
        return 0;
}

static const Option options[] = {
        LOCATION_OPTIONS,
        { "key", 0, OPTION_TEXT, "FILE", "The key that the copy is encrypted with" },
        { "to", 0, OPTION_TEXT, "POINT", "As of restore, of every database (default: the latest)" },
        { "data-only", 0, OPTION_FLAG, NULL, "Take the files that are in the folder, and only the data from the copy" },
        { "no-start", 0, OPTION_FLAG, NULL, "Leave the services stopped" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

const Command command_recover = {
        .name = "recover",
        .summary = "Bring a whole project back on an empty machine, from a copy elsewhere",
        .arguments = "URL [DIR]",
        .details = "URL is what x-berth.backup.offsite.url said: s3://BUCKET/PREFIX, sftp://USER@HOST/FOLDER or the "
                   "path of a folder. "
                   "Compose files, secrets and certificates are laid out in DIR (where they were, if it is not given), "
                   "the databases "
                   "restored, and everything is started. From then on this machine writes the copy; the lost one, "
                   "should it come back, "
                   "refuses to.\n\n"
                   "Interrupted, the same command goes on where it was.",
        .examples = "berth recover s3://backups/shop --credentials s3.txt --key shop.json\n"
                    "berth recover sftp://backup@nas/srv/berth ./shop --to '2026-11-21 14:29'",
        .group = GROUP_DATA,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = 2,
        .function = run_recover,
};
