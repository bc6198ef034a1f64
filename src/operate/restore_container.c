#include "operate/restore_container.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "operate/restore_mark.h"
#include "operate/tablespace_places.h"
#include "operate/target.h"
#include "state/document.h"

#define STALL_S             120
#define STALL_VARIABLE      "BERTH_RECOVERY_STALL_SECONDS"
#define LOG_LINES           200
#define OUTPUT_LIMIT        ((size_t)64 * 1024)
#define NOT_FOUND           127 /* a shell's word for a program that is missing */
#define LOG_FOLDER_VARIABLE "POSTGRES_INITDB_WALDIR"
#define FIRST_WITH_SYNCFS   140000
#define NOT_REACHED         "recovery ended before configured recovery target was reached"

typedef struct Recovering {
        const ServiceRestore *restore;
        const RestorePlaces *places;
        const EngineProgress *progress;
        int server_version;
        json_t *tablespaces; /* that the log makes; borrowed, NULL: none */
        bool idle;           /* no server: the container waits for what is run in it */
        char *id;            /* of the container */
        char *last_words;    /* the last FATAL of its log, else its last line on the error output */
        bool is_fatal;
} Recovering;

static const EngineOperations *operations_of(const Recovering *recovering)
{
        return recovering->restore->engine->operations;
}

/* ---- the container ---- */

/* Whatever else is mounted belongs to the service that runs: what the log says of tablespaces there must not be done
 * again there (tablespace_places.h). */
static void protect_mounts(ContainerSpec *spec, const SpecMount *data)
{
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (&spec->mounts[i] != data && spec->mounts[i].kind != SPEC_MOUNT_TMPFS)
                        spec->mounts[i].read_only = true;
}

/* Images prepare that folder for initdb at each start, which fails where it is not to be written. The restored log lies in the data
 * folder; what is at that place is the log of the database that is there. */
static void forget_log_folder(ContainerSpec *spec)
{
        _cleanup_strv_ char **env = strv_copy(spec->environment);

        if (!strv_env_get(env, LOG_FOLDER_VARIABLE))
                return;
        strv_env_set(&env, LOG_FOLDER_VARIABLE, "");
        spec->environment = arena_strv(spec->arena, env);
}

static void take_out_network(ContainerSpec *spec)
{
        spec->n_ports = 0;
        spec->n_networks = 0;
        spec->network_mode = arena_strdup(spec->arena, "none");
        spec->extra_hosts = NULL;
        spec->restart = arena_strdup(spec->arena, "no");
        spec->healthcheck_json = NULL;
        spec->oneoff = true;
}

static void mark_as_oneoff(ContainerSpec *spec)
{
        _cleanup_strv_ char **labels = strv_copy(spec->labels);

        strv_env_set(&labels, LABEL_ONEOFF, "True");
        spec->labels = arena_strv(spec->arena, labels);
}

/* Hands nothing to an archive of the user's: what happens here is nobody's history yet. Nobody confirms its commits. The copy was
 * synced as a whole, so the server need not sync it file by file before it begins. Its log is read here: it goes to the container's
 * output, in English, whatever the restored settings say. */
static void add_settings(const Recovering *recovering, ContainerSpec *spec)
{
        static const char *const settings[] = { "archive_mode=off",           "hot_standby=on",
                                                "synchronous_standby_names=", "logging_collector=off",
                                                "log_destination=stderr",     "lc_messages=C" };
        _cleanup_strv_ char **argv = strv_copy(spec->argv);

        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                strv_add(&argv, "-c");
                strv_add(&argv, settings[i]);
        }
        if (recovering->restore->locks) {
                _cleanup_free_ char *locks =
                        xasprintf("max_locks_per_transaction=%lld", (long long)recovering->restore->locks);

                strv_add(&argv, "-c");
                strv_add(&argv, locks);
        }
        if (recovering->server_version >= FIRST_WITH_SYNCFS) {
                strv_add(&argv, "-c");
                strv_add(&argv, "recovery_init_sync_method=syncfs");
        }
        spec->argv = arena_strv(spec->arena, argv);
}

/* Nothing starts, and the copy cannot be changed. */
static void let_idle(ContainerSpec *spec, const SpecMount *data)
{
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)"while :; do sleep 3600; done", NULL };

        spec->argv = arena_strv(spec->arena, argv);
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (&spec->mounts[i] == data)
                        spec->mounts[i].read_only = true;
}

/* "demo-db-restore"; for a copy apart "demo_db.drill-restore": several of these may be at work beside each other. */
static char *container_name(const ServiceRestore *restore)
{
        return restore->into ? xasprintf("%s-restore", restore->into)
                             : xasprintf("%s-%s-restore", restore->project, restore->service);
}

static void set_data_mount(ContainerSpec *spec, SpecMount *mount, const RestorePlaces *places)
{
        mount->source = arena_strdup(spec->arena, places->volume ? places->volume : places->staged);
        if (places->volume) {
                mount->kind = SPEC_MOUNT_VOLUME;
                mount->anonymous = false;
                mount->nocopy = true;
        }
}

static int build_spec(const Recovering *recovering, const ContainerInfo *info, ContainerSpec **ret, Error **err)
{
        const RestorePlaces *places = recovering->places;
        _cleanup_json_ json_t *json = container_spec_to_json(info->spec);
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        const SpecMount *mount;
        _cleanup_free_ char *folder = NULL, *name = container_name(recovering->restore);
        bool is_new;
        int r = container_spec_from_json(json, &spec, err);

        if (r < 0)
                return r;
        folder = data_folder_on_host(recovering->restore->engine, spec, places->inside, &mount, &is_new);
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (&spec->mounts[i] == mount)
                        set_data_mount(spec, &spec->mounts[i], places);
        protect_mounts(spec, mount);
        forget_log_folder(spec);
        spec->name = arena_strdup(spec->arena, name);
        take_out_network(spec);
        mark_as_oneoff(spec);
        if (recovering->idle)
                let_idle(spec, mount);
        else
                add_settings(recovering, spec);
        r = tablespace_places_prepare(places, spec, mount, recovering->tablespaces, err);
        if (r == 0)
                *ret = TAKE_PTR(spec);
        return r;
}

static int remove_container(const ServiceRestore *restore, const char *id, Error **err)
{
        const EngineOperations *operations = restore->engine->operations;
        int r = operations->container_stop(restore->engine, id, -1, true, err);

        return r < 0 && r != -ERROR_NOT_FOUND ? r : operations->container_remove(restore->engine, id, 0, err);
}

int restore_container_clear(const ServiceRestore *restore, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *left = NULL;
        _cleanup_free_ char *name = container_name(restore);

        if (restore->engine->operations->container_inspect(restore->engine, name, &left, NULL) < 0)
                return 0;
        return remove_container(restore, left->id, err);
}

static int create_container(Recovering *recovering, Error **err)
{
        Engine *engine = recovering->restore->engine;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_(container_spec_freep) ContainerSpec *spec = NULL;
        int r = operations_of(recovering)->container_inspect(engine, recovering->places->container, &info, err);

        if (r >= 0)
                r = build_spec(recovering, info, &spec, err);
        if (r >= 0) /* what an interrupted restore left */
                r = restore_container_clear(recovering->restore, err);
        if (r >= 0)
                r = operations_of(recovering)
                            ->container_create(engine, spec, recovering->progress, &recovering->id, err);
        return error_prefix(err, r, "container for the recovery");
}

/* ---- the recovery ---- */

static int take_line(void *context, int stream, int64_t time_ns, const char *text, size_t length)
{
        Recovering *recovering = context;
        const char *fatal = memmem(text, length, "FATAL:", 6);

        if (!fatal)
                fatal = memmem(text, length, "PANIC:", 6);
        if (!fatal && !recovering->is_fatal && stream == STDERR_FILENO && length &&
            !memmem(text, length, ":  ", 3)) /* not the server: the image */
                free_and_replace(&recovering->last_words, xstrndup(text, length));
        /* What it says to our own attempts to connect is no reason. */
        if (fatal && !memmem(text, length, "the database system is ", 23)) {
                fatal += 6;
                while (fatal < text + length && *fatal == ' ')
                        fatal++;
                free_and_replace(&recovering->last_words, xstrndup(fatal, (size_t)(text + length - fatal)));
                recovering->is_fatal = true;
        }
        return 0;
}

static void read_last_words(Recovering *recovering)
{
        const LogQuery query = { .tail = LOG_LINES, .cancel_fd = -1 };

        free_and_replace(&recovering->last_words, NULL);
        recovering->is_fatal = false;
        operations_of(recovering)
                ->logs(recovering->restore->engine, recovering->id, &query, take_line, recovering, NULL);
}

static int stall_ms(void)
{
        const char *text = getenv(STALL_VARIABLE);
        int64_t seconds;

        return (text && parse_int64(text, 1, 86400, &seconds) ? (int)seconds : STALL_S) * 1000;
}

static int await_recovery(Recovering *recovering, json_t **ret, Error **err)
{
        const ServiceRestore *restore = recovering->restore;
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        _cleanup_free_ char *slot = xasprintf("berth_%s", restore->layout->id);
        json_t *params;
        int r = operations_of(recovering)->container_start(restore->engine, recovering->id, recovering->progress, err);

        if (r >= 0)
                r = operations_of(recovering)->container_inspect(restore->engine, recovering->id, &info, err);
        if (r < 0)
                return r;
        if (info->pid <= 0)
                return error_set(err, ERROR_FAILED, "the server ended while it recovered");
        params = json_pack("{s:o, s:i}", "target", database_target_to_json(info), "stall_ms", stall_ms());
        if (!restore->into) /* nobody receives the log of a copy apart */
                json_set_string(params, "slot", slot);
        return restore_run_job(restore, "recover", params, recovering->progress, ret, err);
}

/* A time behind the last commit, of a log that is complete until then: the server gives up where it ends, though that is the state of
 * that time. */
static int forget_target(const Recovering *recovering, Error **err)
{
        static const char line[] = "recovery_target_time = ''\n";
        const RestorePlaces *places = recovering->places;
        _cleanup_free_ char *folder = *places->rest ? path_join(places->staged, places->rest) : xstrdup(places->staged);
        _cleanup_free_ char *path = path_join(folder, "postgresql.auto.conf");
        _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? error_set(err, ERROR_IO, "open \"%s\"", path) : fs_write_all(fd, line, strlen(line), err);
}

static int recover(Recovering *recovering, bool by_time, bool may_end, json_t **ret, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = await_recovery(recovering, ret, &reason);

        if (r >= 0)
                return r;
        read_last_words(recovering);
        if (r == -ERROR_FAILED && may_end && streq_ptr(recovering->last_words, NOT_REACHED)) {
                r = operations_of(recovering)
                            ->container_stop(recovering->restore->engine, recovering->id, 0, true, err);
                if (r >= 0)
                        r = forget_target(recovering, err);
                return r < 0 ? r : await_recovery(recovering, ret, err);
        }
        if (r == -ERROR_FAILED && by_time && streq_ptr(recovering->last_words, NOT_REACHED))
                return error_hint(
                        err,
                        error_set(err, ERROR_CORRUPT, "the log ends before %s: some of it cannot be read",
                                  recovering->restore->to),
                        "\"berth backup verify\" names what is damaged. An earlier point can be restored with --to.");
        if (r == -ERROR_FAILED && streq_ptr(recovering->last_words, NOT_REACHED))
                return error_set(err, ERROR_NOT_FOUND,
                                 "the log does not come to \"%s\": there is no restore point of that name",
                                 recovering->restore->to);
        error_move(err, &reason, r);
        if (recovering->last_words)
                return error_hint(err, r, "The server's last words: %s", recovering->last_words);
        return r;
}

int restore_recover(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                    json_t *result, char **ret_container, Error **err)
{
        Recovering recovering = { .restore = restore,
                                  .places = places,
                                  .progress = progress,
                                  .server_version = (int)json_get_int(result, "server_version", 0),
                                  .tablespaces = json_object_get(result, "tablespaces") };
        _cleanup_json_ json_t *recovered = NULL;
        _cleanup_error_ Error *left = NULL;
        bool by_time = streq(json_get_string(result, "kind", ""), "time"),
             may_end = by_time && json_get_bool(result, "may_end", false);
        int r = create_container(&recovering, err), r2;

        if (r >= 0)
                r = recover(&recovering, by_time, may_end, &recovered, err);
        if (recovered)
                json_object_update(result, recovered);
        if (r >= 0 && ret_container) {
                *ret_container = TAKE_PTR(recovering.id);
        } else if (recovering.id) {
                /* Shut down cleanly, so that what is exchanged needs no recovery of its own. */
                r2 = remove_container(restore, recovering.id, &left);
                if (r >= 0 && r2 < 0)
                        r = error_move(err, &left, r2);
                if (r >= 0)
                        r = tablespace_places_settle(places, recovering.tablespaces, err);
        }
        free(recovering.id);
        free(recovering.last_words);
        return r;
}

/* ---- the files ---- */

/* The program knows what a restore changes, but not what is ours. */
static int run_verification(const Recovering *recovering, char **ret, Error **err)
{
        static const char script[] = "exec pg_verifybackup -q -i " RESTORED_TABLESPACES " -i " RESTORE_MARK " \"$1\"";
        char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, (char *)"sh", recovering->places->inside, NULL };
        const ExecSpec spec = { .argv = argv,
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1,
                                .timeout_ms = -1,
                                .cancel_fd = -1,
                                .output_limit = OUTPUT_LIMIT };
        ExecResult result = { 0 };
        int r = operations_of(recovering)->exec(recovering->restore->engine, recovering->id, &spec, &result, err);

        if (r >= 0 && result.exit_code != 0 && result.exit_code != NOT_FOUND)
                r = error_set(err, ERROR_CORRUPT, "%.*s", result.output ? (int)strcspn(result.output, "\n") : 0,
                              result.output ? result.output : "");
        else if (r >= 0)
                *ret = xstrdup(result.exit_code == 0 ? "yes" : "the image has no pg_verifybackup");
        free(result.output);
        return r;
}

int restore_verify_files(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                         char **ret, Error **err)
{
        Recovering recovering = { .restore = restore, .places = places, .progress = progress, .idle = true };
        const EngineOperations *operations = restore->engine->operations;
        _cleanup_error_ Error *left = NULL;
        int r = create_container(&recovering, err), r2 = 0;

        if (progress->status)
                progress->status(progress->context, "verifying files");
        if (r >= 0)
                r = operations->container_start(restore->engine, recovering.id, progress, err);
        if (r >= 0)
                r = run_verification(&recovering, ret, err);
        if (recovering.id)
                r2 = operations->container_stop(restore->engine, recovering.id, 0, true, &left);
        if (recovering.id && r2 >= 0)
                r2 = operations->container_remove(restore->engine, recovering.id, 0, &left);
        if (r >= 0 && r2 < 0)
                r = error_move(err, &left, r2);
        free(recovering.id);
        return r;
}
