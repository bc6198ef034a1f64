#include "postgres/entrypoint/first_start.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/initdb.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/scripts.h"
#include "postgres/entrypoint/server.h"
#include "postgres/entrypoint/stage.h"
#include "postgres/entrypoint/template.h"

#define UNREADABLE_INIT_FILES_STATUS 2

bool first_start_is_needed(const Settings *settings)
{
        return !settings->initialised || stage_is_unfinished(settings->data_dir);
}

bool first_start_verify(const Settings *settings)
{
        bool trust = streq_ptr(settings->auth_method, "trust");

        if (!*settings->password && !trust) {
                say_no_password();
                return false;
        }
        if (trust)
                say_trust_warning();
        return true;
}

static const char template_note[] =
        "The cluster is a copy of the template of this PostgreSQL build, with an identity of its own.\n";

/* True where the cluster came from a template: database and listen_addresses are there already. */
static bool copy_template(const Settings *settings, Stage *stage)
{
        _cleanup_free_ char *template = template_find(settings);
        _cleanup_error_ Error *error = NULL;

        if (!template)
                return false;
        if (template_copy(template, settings, stage->build_dir, &error) == 0) {
                say("%s", template_note);
                return true;
        }
        fprintf(stderr, "warning: %s; initdb makes the cluster instead\n", error->message);
        fs_remove_tree(AT_FDCWD, stage->build_dir, NULL);
        return false;
}

static int build_cluster(const Settings *settings, Stage *stage, bool *ret_copied, int *ret_status, Error **err)
{
        int r = 0;

        *ret_copied = copy_template(settings, stage);
        if (!*ret_copied) {
                r = initdb_run(settings, stage->build_dir, ret_status, err);
                if (r == 0)
                        r = initdb_set_listen_addresses(stage->build_dir, err);
        }
        if (r == 0)
                r = stage_move(stage, err);
        return r;
}

static int fill_cluster(const Settings *settings, const char *name, char *const *server_args, char *const *files,
                        int *ret_status, Error **err)
{
        _cleanup_server_ TemporaryServer server = { .process = { .pidfd = -1 } };
        int r;

        r = server_start(settings, server_args, &server, ret_status, err);
        if (r == 0)
                r = scripts_create_database(settings, server.environment, ret_status, err);
        if (r == 0)
                r = scripts_run(settings, name, files, server.environment, ret_status, err);
        if (r == 0)
                r = server_stop(&server, err);
        return r;
}

/* With nothing to run inside it, a cluster needs no temporary server. */
static int complete_cluster(const Settings *settings, const char *name, char *const *server_args, char *const *files,
                            bool copied, int *ret_status, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = copied ? 0 : server_create_database(settings, ret_status, &error);

        if (r == -ERROR_UNSUPPORTED)
                return fill_cluster(settings, name, server_args, files, ret_status, err);
        return r < 0 ? error_move(err, &error, r) : scripts_run(settings, name, files, NULL, ret_status, err);
}

static int make_cluster(const Settings *settings, const char *name, char *const *server_args, char *const *files,
                        Stage *stage, int *ret_status, Error **err)
{
        bool copied;
        int r;

        r = build_cluster(settings, stage, &copied, ret_status, err);
        if (r == 0)
                r = initdb_add_host_rule(settings, server_args, ret_status, err);
        if (r == 0 && scripts_do_nothing(files))
                r = complete_cluster(settings, name, server_args, files, copied, ret_status, err);
        else if (r == 0)
                r = fill_cluster(settings, name, server_args, files, ret_status, err);
        if (r == 0)
                r = stage_finish(stage, err);
        return r;
}

/* The folder holds something that is no cluster: initdb refuses it and says so in the words people know. */
static int refuse_by_initdb(const Settings *settings, int *ret_status, Error **err)
{
        int r = initdb_run(settings, settings->data_dir, ret_status, err);

        return error_hint(err, r, "Mount an empty folder or volume, or set PGDATA to a folder below the mount.");
}

/* Empties the data folder where an earlier first start did not finish. */
static int clear_remains(const Settings *settings, Error **err)
{
        if (!stage_is_unfinished(settings->data_dir))
                return 0;
        say("An earlier first start of this cluster did not finish; its remains are removed and it starts over.\n");
        return stage_clear(settings->data_dir, err);
}

int first_start(const Settings *settings, const char *name, char *const *server_args, int *ret_status, Error **err)
{
        _cleanup_stage_ Stage stage = { .lock_fd = -1 };
        _cleanup_strv_ char **files = NULL;
        _cleanup_error_ Error *error = NULL;
        int r;

        *ret_status = 1;
        if (!first_start_verify(settings))
                return -ERROR_INVALID;
        if (settings->old_databases) {
                say_old_databases(settings->old_databases, settings->data_dir);
                return -ERROR_CONFLICT;
        }
        r = scripts_list(INIT_FILES_DIR, &files, err);
        if (r < 0) {
                *ret_status = UNREADABLE_INIT_FILES_STATUS;
                return r;
        }
        r = clear_remains(settings, err);
        if (r < 0)
                return r;
        r = stage_begin(settings->data_dir, settings->waldir, &stage, &error);
        if (r == -ERROR_EXISTS)
                return refuse_by_initdb(settings, ret_status, err);
        if (r < 0)
                return error_move(err, &error, r);
        r = make_cluster(settings, name, server_args, files, &stage, ret_status, err);
        if (r < 0) {
                stage_abandon(&stage);
                return error_hint(err, r, "Nothing of this first start is kept: the next one begins anew.");
        }
        return 0;
}

/* The steps of make_cluster that need nobody but the template. */
static int copy_whole(const char *template, const Settings *settings, char *const *server_args, Stage *stage,
                      Error **err)
{
        int status, r = template_copy(template, settings, stage->build_dir, err);

        if (r == 0)
                r = stage_move(stage, err);
        if (r == 0)
                r = initdb_add_host_rule(settings, server_args, &status, err);
        if (r == 0)
                r = stage_finish(stage, err);
        if (r < 0)
                stage_abandon(stage);
        return r;
}

int first_start_from_template(const Settings *settings, char *const *server_args, Error **err)
{
        _cleanup_stage_ Stage stage = { .lock_fd = -1 };
        _cleanup_free_ char *template = NULL;
        _cleanup_strv_ char **files = NULL;
        int r;

        if (!first_start_is_needed(settings))
                return 0;
        r = clear_remains(settings, err);
        if (r == 0)
                r = scripts_list(INIT_FILES_DIR, &files, err);
        if (r < 0)
                return r;
        template = template_find(settings);
        if (!template || !scripts_do_nothing(files) || settings->old_databases)
                return 0;
        r = stage_begin(settings->data_dir, NULL, &stage, err);
        if (r == 0)
                r = copy_whole(template, settings, server_args, &stage, err);
        if (r == 0)
                say("%s\nPostgreSQL init process complete; ready for start up.\n\n", template_note);
        return r;
}

int first_start_initdb(const Settings *settings, char *const *extra_args, int *ret_status, Error **err)
{
        _cleanup_free_ char *extra = strv_join(extra_args, " ");
        Settings changed = *settings;
        int r;

        changed.initdb_args = xasprintf("%s %s", settings->initdb_args, extra);
        r = initdb_run(&changed, settings->data_dir, ret_status, err);
        free(changed.initdb_args);
        if (r == 0)
                r = initdb_set_listen_addresses(settings->data_dir, err);
        return r;
}
