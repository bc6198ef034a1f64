/* upgrade: the way of pg_upgrade. Its old cluster is a copy of the old server's files, taken as a base backup is, while
 * writers wait; so the old server and its data stay as they are, whatever happens. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/interrupts.h"
#include "cli/upgrade.h"
#include "operate/upgrade_files.h"
#include "operate/upgrade_steps.h"

void upgrade_programs_done(UpgradePrograms *programs)
{
        upgrade_server_done(&programs->workshop);
        free(programs->old_folder);
        free(programs->new_folder);
        free(programs->owner);
}

static int step_as(UpgradeTask *task, UpgradePrograms *programs, const char *user, const char *name,
                   char *const *arguments, char **ret, Error **err)
{
        int r = upgrade_step_as(task->scope->engine, programs->workshop.id, user, name, arguments, ret, err);

        return interrupts_take() > 0 ? -ERROR_CANCELLED : error_prefix(err, r, "%s", name);
}

static int ask_old(UpgradeTask *task, const char *name, char *argument, char **ret, Error **err)
{
        char *arguments[] = { argument, NULL };
        int r = upgrade_step_as(task->scope->engine, task->old->id, "root", name, arguments, ret, err);

        return interrupts_take() > 0 ? -ERROR_CANCELLED : error_prefix(err, r, "%s", name);
}

static int find_programs(UpgradeTask *task, UpgradePrograms *programs, Error **err)
{
        _cleanup_free_ char *from = xasprintf("%d", task->record.from), *to = xasprintf("%d", task->record.to),
                            *found = NULL;
        char *arguments[] = { from, to, NULL };
        const char *space;
        int r = upgrade_step_as(task->scope->engine, programs->workshop.id, "root", "programs", arguments, &found, err);

        if (r < 0)
                return r;
        space = strchr(found, ' ');
        if (!space)
                return error_set(err, ERROR_FAILED, "no programs of both majors were found");
        programs->old_folder = xstrndup(found, (size_t)(space - found));
        programs->new_folder = xstrdup(space + 1);
        return 0;
}

static int check_copy(UpgradeTask *task, Error **err)
{
        _cleanup_free_ char *obstacles = NULL;
        int r = ask_old(task, "physical_obstacles", NULL, &obstacles, err);

        if (r >= 0 && !isempty(obstacles))
                r = error_set(err, ERROR_UNSUPPORTED, "%s", obstacles);
        return r;
}

/* A cluster of the same kind: locale, encoding, checksums, first superuser. */
static int make_empty(UpgradeTask *task, UpgradePrograms *programs, Error **err)
{
        _cleanup_free_ char *to = xasprintf("%d", task->record.to), *kind = NULL, *essentials = NULL, *before = NULL,
                            *now = NULL;
        _cleanup_strv_ char **words = NULL, **arguments = NULL;
        int r = ask_old(task, "kind", to, &kind, err);

        if (r >= 0)
                r = ask_old(task, "essentials", NULL, &essentials, err);
        if (r >= 0)
                r = ask_old(task, "versions", NULL, &before, err);
        if (r < 0)
                return r;
        words = strv_split(kind, '\n');
        arguments = strv_new(programs->new_folder, words[0], essentials, NULL);
        strv_add_all(&arguments, words + 1);
        r = step_as(task, programs, programs->owner, "empty", arguments, &now, err);
        if (r < 0)
                return r;
        programs->reindex = !streq(before, now);
        if (programs->reindex)
                upgrade_say(
                        task,
                        "text sorts by other versions of its rules (libc/ICU %s, then %s): indexes will be made anew",
                        before, now);
        return 0;
}

int upgrade_programs_open(UpgradeTask *task, UpgradePrograms *ret, Error **err)
{
        int r = check_copy(task, err);

        if (r >= 0)
                r = upgrade_server_create(task, true, &ret->workshop, err);
        if (r >= 0)
                r = upgrade_server_look(task, &ret->workshop, err);
        if (r >= 0)
                r = upgrade_server_start(task, &ret->workshop, err);
        if (r >= 0)
                r = find_programs(task, ret, err);
        if (r >= 0)
                r = step_as(task, ret, "root", "prepare", NULL, &ret->owner, err);
        return r < 0 ? r : make_empty(task, ret, err);
}

/* *ret_label: what makes a copy of it a backup. */
static int copy_files(UpgradeTask *task, const UpgradePrograms *programs, char **ret_label, Error **err)
{
        _cleanup_free_ char *target = path_join(programs->workshop.folder, ".berth-upgrade/old");
        _cleanup_upgrade_hold_ UpgradeHold snapshot = UPGRADE_HOLD_INIT;
        int r;

        upgrade_say(task, "copying the files");
        r = upgrade_hold_begin(task->scope->engine, task->old->id, "snapshot", &snapshot, err);
        if (r >= 0)
                r = upgrade_copy_data(task->old_folder, target, err);
        /* Before the end, too: a checkpoint meanwhile may let go of the log's beginning. */
        if (r >= 0)
                r = upgrade_copy_log(task->old_folder, target, err);
        if (r >= 0)
                r = upgrade_hold_end(&snapshot, ret_label, err);
        if (r >= 0)
                r = upgrade_copy_log(task->old_folder, target, err);
        return interrupts_take() > 0 ? -ERROR_CANCELLED : r;
}

int upgrade_programs_run(UpgradeTask *task, UpgradePrograms *programs, Error **err)
{
        _cleanup_free_ char *label = NULL, *jobs = xasprintf("%d", task->jobs);
        char *owner[] = { programs->owner, NULL }, *recover[] = { programs->old_folder, NULL, NULL };
        char *majors[] = { programs->old_folder, programs->new_folder, jobs, NULL };
        int r = copy_files(task, programs, &label, err);

        if (r >= 0)
                r = step_as(task, programs, "root", "own", owner, NULL, err);
        if (r >= 0) {
                recover[1] = label;
                r = step_as(task, programs, programs->owner, "recover", recover, NULL, err);
        }
        if (r >= 0) {
                upgrade_say(task, "pg_upgrade");
                r = step_as(task, programs, programs->owner, "pg_upgrade", majors, NULL, err);
        }
        return r < 0 ? r : step_as(task, programs, "root", "place", NULL, NULL, err);
}
