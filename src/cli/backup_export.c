/* backup export: a backup and its log as an ordinary data folder, or as an archive of one, to be taken anywhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/restore.h"
#include "cli/tar.h"
#include "cli/work.h"
#include "state/document.h"

#define USUAL_FOLDER "/var/lib/postgresql/data" /* where tablespaces of an archive are looked for */

/* Laid out under another name first: what has the asked-for name is whole. The caller's. */
static int make_staging(const char *target, char **ret, Error **err)
{
        _cleanup_free_ char *staging = xasprintf("%s.part-XXXXXX", target);

        if (!mkdtemp(staging))
                return error_set_errno(err, errno, "make a folder beside \"%s\"", target);
        *ret = TAKE_PTR(staging);
        return 0;
}

/* inside: where the folder will be when it is used. */
static int lay_out(const Restore *restore, const char *folder, const char *inside, json_t **ret, Error **err)
{
        Work work = { "restore",   "Exporting", "backup", json_get_string(restore->plan, "backup", ""),
                      "exporting", "exported" };
        json_t *params = restore_point_params(restore);

        json_set_string(params, "directory", folder);
        json_set_string(params, "inside", inside);
        return work_run(restore->invocation, &work, params, ret, err);
}

static int place(const char *staging, const char *target, bool archive, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(target);

        if (archive)
                return tar_write_folder(staging, target, err);
        if (rename(staging, target) < 0)
                return error_set_errno(err, errno, "rename \"%s\"", staging);
        return fs_sync_directory(AT_FDCWD, parent, err);
}

static int check_target(const char *target, bool archive, Error **err)
{
        int r;

        if (archive && streq(target, "-") && isatty(STDOUT_FILENO))
                r = error_set(err, ERROR_USAGE, "an archive is not for a terminal");
        else if (!streq(target, "-") && fs_exists(target))
                r = error_set(err, ERROR_EXISTS, "\"%s\" exists", target);
        else
                return 0;
        return error_hint(err, r, "Name a file or a folder that does not exist yet.");
}

static int run_export(Invocation *invocation, Error **err)
{
        const char *target = invocation_text(invocation, "output", NULL);
        bool archive = target && (streq(target, "-") || endswith(target, ".tar"));
        _cleanup_restore_ Restore restore = { .invocation = invocation };
        _cleanup_free_ char *staging = NULL, *inside = NULL;
        _cleanup_json_ json_t *result = NULL;
        const json_t *tablespace;
        size_t i;
        int r = target ? check_target(target, archive, err)
                       : error_set(err, ERROR_USAGE, "--output is missing: a folder, a file that ends in .tar, or -");

        if (r == 0)
                r = restore_open(&restore, err);
        if (r >= 0)
                r = make_staging(streq(target, "-") ? "/var/tmp/berth-export" : target, &staging, err);
        if (r < 0)
                return r;
        inside = archive ? xstrdup(USUAL_FOLDER) : path_from_option(invocation, "output");
        r = lay_out(&restore, staging, inside, &result, err);
        if (r >= 0)
                r = place(staging, target, archive, err);
        if (r < 0 || archive)
                fs_remove_tree(AT_FDCWD, staging, NULL);
        if (r < 0 || streq(target, "-"))
                return r;
        json_array_foreach(json_object_get(result, "tablespaces"), i, tablespace)
                printf("A tablespace is made at %s when the log is replayed: the server needs that folder, empty and its own.\n",
                       json_get_string(tablespace, "location", ""));
        printf("%s: backup %s of %s, to %s. A PostgreSQL server of its major that is started on it recovers to that "
               "point.\n",
               target, json_get_string(result, "backup", ""), restore.service, restore.shown);
        return 0;
}

static const Option options[] = {
        { "output", 'o', OPTION_TEXT, "PATH",
          "A folder, a file that ends in .tar, or - for an archive on standard output" },
        RESTORE_POINT_OPTIONS,
        { NULL },
};

const Command command_backup_export = {
        .name = "backup export",
        .summary = "Write a backup out as an ordinary data folder, or as an archive of one",
        .arguments = "[SERVICE]",
        .details = "With all its log up to the point, every file checked on the way, and the settings that have a "
                   "server recover to that point when it is started on it. pg_verifybackup can check the folder. "
                   "Nothing of Berth is needed to use it.",
        .examples = "berth backup export db -o /mnt/disk/db-monday\nberth backup export db --to '2026-11-21 14:30' -o "
                    "- | zstd > db.tar.zst",
        .flags = COMMAND_NEEDS_ROOT,
        .options = options,
        .max_arguments = 1,
        .function = run_export,
        .complete = COMPLETE_SERVICES,
};
