/* recover: a whole project on an empty machine, from a copy elsewhere: files, secrets, certificates, data. May be
 * interrupted and run again: a mark in the folder tells what is done, until all is. */
#include <fcntl.h>
#include <stdio.h>
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

const json_t *recover_manifest(const Recover *recover)
{
        return json_object_get(recover->found, "manifest");
}

char *recover_path(const Recover *recover, const char *path)
{
        const char *rest = startswith(path, json_get_string(recover_manifest(recover), "working_dir", "\n"));

        return rest && (*rest == '/' || !*rest) ? xasprintf("%s%s", recover->directory, rest) : xstrdup(path);
}

int recover_remember(const Recover *recover, Error **err)
{
        return document_save(recover->mark_path, MARK_FORMAT, recover->mark, err);
}

/* ---- where to ---- */

static int choose_directory(Recover *recover, Error **err)
{
        const Invocation *invocation = recover->invocation;
        _cleanup_free_ char *here = realpath(".", NULL);
        const char *fallback = invocation_flag(invocation, "data-only")
                                       ? here
                                       : json_get_string(recover_manifest(recover), "working_dir", here);

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

/* The compose files as they were given, and the project's name where the folder does not say it. */
static void set_global(Recover *recover)
{
        _cleanup_strv_ char **files = json_get_strv(recover_manifest(recover), "files");
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
        int r = recover_look(recover, err);

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
                r = recover_files(&recover, err);
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
                   "path of a folder. Compose files, secrets and certificates are laid out in DIR (where they were, if "
                   "it is not given), the databases restored, and everything is started. From then on this machine "
                   "writes the copy; the lost one, should it come back, refuses to.\n\nInterrupted, the same command "
                   "goes on where it was.",
        .examples = "berth recover s3://backups/shop --credentials s3.txt --key shop.json\n"
                    "berth recover sftp://backup@nas/srv/berth ./shop --to '2026-11-21 14:29'",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .min_arguments = 1,
        .max_arguments = 2,
        .function = run_recover,
};
