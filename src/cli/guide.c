/* db:up, db:migrate and the others: the targets of a guide's Makefile as command names. Each stands for another command
 * with its words filled in; name=… and version=… are taken as make takes them. */
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/confirm.h"
#include "cli/database.h"
#include "cli/keep.h"
#include "cli/verbs.h"

enum {
        DB_UP,
        DB_DOWN,
        DB_LOGS,
        DB_BASH,
        DB_MIGRATE,
        DB_ROLLBACK,
        DB_MIGRATE_CREATE,
        DB_MIGRATE_FORCE,
        DB_FRESH,
        DB_DELETE,
        DB_SECURE,
        DB_SEED,
};

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

typedef struct Translation {
        const char *const *words, *const *last; /* around the argument */
        bool database;                          /* the argument is the database, which need not be named */
        const char *variable;                   /* the argument may be written VARIABLE=value */
        const char *fallback;                   /* where it is not given */
        bool required;
} Translation;

static const Translation translations[GUIDE_VERBS] = {
        [DB_UP] = { .words = WORDS("up", "-d") },
        [DB_DOWN] = { .words = WORDS("down") },
        [DB_LOGS] = { .words = WORDS("logs", "-f"), .database = true },
        [DB_BASH] = { .words = WORDS("exec"),
                      .database = true,
                      .last = WORDS("sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh") },
        [DB_MIGRATE] = { .words = WORDS("migrate", "up"), .variable = "n" },
        [DB_ROLLBACK] = { .words = WORDS("migrate", "down"), .variable = "n", .fallback = "1" },
        [DB_MIGRATE_CREATE] = { .words = WORDS("migrate", "create"), .variable = "name", .required = true },
        [DB_MIGRATE_FORCE] = { .words = WORDS("migrate", "force", "--"), .variable = "version", .required = true },
        [DB_SECURE] = { .words = WORDS("secure") },
        [DB_SEED] = { .words = WORDS("seed") },
};

/* Of the argument, or of the project's only database. */
static int find_database(Invocation *invocation, char **ret, Error **err)
{
        const char *name = invocation->arguments ? invocation->arguments[0] : NULL;
        char *names[] = { (char *)name, NULL };
        _cleanup_scope_ Scope scope = { 0 };
        int r = scope_open(invocation, names, SCOPE_FORGIVES_MODEL, &scope, err);

        return r < 0 ? r : scope_database_service(&scope, name, ret, err);
}

/* "name=add_users" or "add_users". */
static int find_value(const Invocation *invocation, const Translation *translation, char **ret, Error **err)
{
        const char *argument = invocation->arguments ? invocation->arguments[0] : NULL;
        const char *rest = argument ? startswith(argument, translation->variable) : NULL;
        const char *value = rest && *rest == '=' ? rest + 1 : argument ? argument : translation->fallback;

        if (isempty(value) && translation->required)
                return error_hint(err,
                                  error_set(err, ERROR_USAGE, "%s needs %s=VALUE", invocation->command->name,
                                            translation->variable),
                                  "For example: %s", invocation->command->examples);
        *ret = isempty(value) ? NULL : xstrdup(value);
        return 0;
}

static void add_words(char ***words, const char *const *more)
{
        for (; more && *more; more++)
                strv_add(words, *more);
}

static int run_translated(Invocation *invocation, Error **err)
{
        const Translation *translation = &translations[invocation->command - guide_commands];
        const char *service = invocation_text(invocation, "service", NULL);
        _cleanup_strv_ char **words = strv_new(translation->words[0], NULL);
        _cleanup_free_ char *argument = NULL;
        int r = 0;

        if (service)
                strv_addf(&words, "--service=%s", service);
        add_words(&words, translation->words + 1);
        if (translation->database)
                r = find_database(invocation, &argument, err);
        else if (translation->variable)
                r = find_value(invocation, translation, &argument, err);
        else
                strv_add_all(&words, invocation->arguments);
        if (r < 0)
                return r;
        if (argument)
                strv_add(&words, argument);
        add_words(&words, translation->last);
        return invocation_run_words(invocation, words, err);
}

/* ---- what deletes ---- */

/* A restore point, or a dump, before anything goes: where it is asked for, or where somebody is there to say so. A database that
 * does not run has neither; its volume goes to the trash. */
static int offer_backup(Invocation *invocation, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        bool wanted = invocation_flag(invocation, "backup"), asks = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_free_ char *what = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r;

        if (invocation_flag(invocation, "no-backup") || (!wanted && (!asks || invocation_flag(invocation, "yes"))))
                return 0;
        r = scope_open(invocation, NULL, SCOPE_FORGIVES_MODEL, &scope, err);
        if (r == 0)
                r = scope_database(&scope, invocation_text(invocation, "service", NULL), &info, &reason);
        if (r < 0)
                return wanted ? error_prefix(err, error_move(err, &reason, r), "backup") : 0;
        what = keep_by_restore_point(invocation, &scope, info)
                       ? xasprintf("set a restore point in the backups of %s first", info->service)
                       : xasprintf("write a dump of %s first", info->service);
        if (!wanted && confirm(what, NULL, false, "--backup", NULL) < 0)
                return 0;
        return keep_before_loss(invocation, &scope, info, err);
}

static int run_delete(Invocation *invocation, Error **err)
{
        _cleanup_strv_ char **words = strv_new("down", "--volumes", "--remove-orphans", NULL);
        int r = offer_backup(invocation, err);

        if (r < 0)
                return r;
        if (invocation_flag(invocation, "yes"))
                strv_add(&words, "--yes");
        return invocation_run_words(invocation, words, err);
}

static int run_fresh(Invocation *invocation, Error **err)
{
        _cleanup_strv_ char **words = strv_new("up", "-d", NULL);
        int r = run_delete(invocation, err);

        return r != 0 ? r : invocation_run_words(invocation, words, err);
}

/* ---- the table ---- */

static const Option service_options[] = {
        { "service", 0, OPTION_TEXT, "SERVICE", "The database, where the project has several",
          .complete = COMPLETE_SERVICES },
        { NULL },
};

static const Option delete_options[] = {
        { "backup", 0, OPTION_FLAG, NULL,
          "Set a restore point in the backups first, or write a dump where there are none, without asking" },
        { "no-backup", 0, OPTION_FLAG, NULL, "Do not offer one" },
        { "service", 0, OPTION_TEXT, "SERVICE", "The database to keep, where the project has several",
          .complete = COMPLETE_SERVICES },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask" },
        { NULL },
};

#define GUIDE(command_name, text) \
        .name = command_name, .summary = text, .group = GROUP_GUIDE, .flags = COMMAND_NEEDS_ROOT

#define DELETES                                                                                                \
        "The names and sizes of the volumes are listed and a yes is asked for, and before that a way back is " \
        "offered: a restore point, where the database is backed up and its log received; else a dump, every "  \
        "database of the server as SQL, in the project's folder, with mode 0600. Volumes stay in the trash "   \
        "for seven days (\"berth volume ls --trash\", \"berth volume restore\"). Without a terminal --yes is needed."

const Command guide_commands[GUIDE_VERBS] = {
        [DB_UP] = { GUIDE("db:up", "Bring everything up in the background (up -d)"), .arguments = "[SERVICE...]",
                    .max_arguments = -1, .function = run_translated, .complete = COMPLETE_SERVICES },
        [DB_DOWN] = { GUIDE("db:down", "Stop and remove containers and networks (down)"), .arguments = "[SERVICE...]",
                      .max_arguments = -1, .function = run_translated, .complete = COMPLETE_SERVICES },
        [DB_LOGS] = { GUIDE("db:logs", "Follow the database's output (logs -f)"), .arguments = "[SERVICE]",
                      .max_arguments = 1, .function = run_translated, .complete = COMPLETE_SERVICES },
        [DB_BASH] = { GUIDE("db:bash", "Open a shell in the database's container: bash, or sh where there is none"),
                      .arguments = "[SERVICE]", .max_arguments = 1, .function = run_translated,
                      .complete = COMPLETE_SERVICES },
        [DB_MIGRATE] = { GUIDE("db:migrate", "Apply all pending migrations, or N of them (migrate up)"),
                         .arguments = "[N]", .options = service_options, .max_arguments = 1,
                         .function = run_translated },
        [DB_ROLLBACK] = { GUIDE("db:rollback", "Take the last migration back, or N of them (migrate down)"),
                          .arguments = "[N]", .options = service_options, .max_arguments = 1,
                          .function = run_translated },
        [DB_MIGRATE_CREATE] = { GUIDE("db:migrate:create", "Make two empty migration files (migrate create)"),
                                .arguments = "name=NAME", .examples = "berth db:migrate:create name=add_users",
                                .options = service_options, .max_arguments = 1, .function = run_translated },
        [DB_MIGRATE_FORCE] = { GUIDE("db:migrate:force", "Set the version without running anything (migrate force)"),
                               .arguments = "version=VERSION", .examples = "berth db:migrate:force version=3",
                               .options = service_options, .max_arguments = 1, .function = run_translated },
        [DB_FRESH] = { GUIDE("db:fresh", "Delete everything and bring it up again, empty"), .details = DELETES,
                       .options = delete_options, .function = run_fresh },
        [DB_DELETE] = { GUIDE("db:delete", "Bring everything down and delete its volumes (down --volumes)"),
                        .details = DELETES, .options = delete_options, .function = run_delete },
        [DB_SECURE] = { GUIDE("db:secure", "Make certificates for the database (secure)"), .arguments = "[SERVICE]",
                        .max_arguments = 1, .function = run_translated, .complete = COMPLETE_SERVICES },
        [DB_SEED] = { GUIDE("db:seed", "Fill the database with its seeds (seed)"), .arguments = "[SERVICE]",
                      .max_arguments = 1, .function = run_translated, .complete = COMPLETE_SERVICES },
};
