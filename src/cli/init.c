/* init and tune: a deployment to start from, and a server's settings sized to the machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "cli/invocation.h"
#include "cli/output/listing.h"
#include "cli/verbs.h"
#include "postgres/tune.h"
#include "state/document.h"
#include "state/worker.h"

#define NEWEST_MAJOR        18
#define OLDEST_MAJOR        13
#define CONFIGURATION_LIMIT ((size_t)1024 * 1024)

/* The highest major whose server is installed here; without one, the newest. */
static int default_major(void)
{
        _cleanup_strv_ char **names = NULL;
        int highest = 0;

        fs_list_directory(AT_FDCWD, "/usr/lib/postgresql", &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *server = xasprintf("/usr/lib/postgresql/%s/bin/postgres", *name);
                int64_t major;
                if (parse_int64(*name, OLDEST_MAJOR, NEWEST_MAJOR, &major) && fs_exists(server))
                        highest = MAX(highest, (int)major);
        }
        return highest ? highest : NEWEST_MAJOR;
}

static int chosen_major(const Invocation *invocation, int *ret, Error **err)
{
        int64_t major = invocation_number(invocation, "postgres", 0);

        if (!invocation_given(invocation, "postgres"))
                major = default_major();
        if (major < OLDEST_MAJOR || major > NEWEST_MAJOR)
                return error_set(err, ERROR_USAGE, "--postgres: PostgreSQL %lld is not supported, %d to %d are",
                                 (long long)major, OLDEST_MAJOR, NEWEST_MAJOR);
        *ret = (int)major;
        return 0;
}

static const ListingColumn init_columns[] = {
        { "FILE", "path", false },
        { "MODE", "mode", false },
        { "WHAT IT IS", "purpose", true },
        { NULL, NULL, false },
};

static int run_init(Invocation *invocation, Error **err)
{
        const char *directory = invocation->arguments && *invocation->arguments ? *invocation->arguments : ".";
        _cleanup_free_ char *here = getcwd(NULL, 0), *target = path_clean(here ? here : "/", directory);
        _cleanup_json_ json_t *params = NULL, *result = NULL;
        WorkerRun run = { .job = "init", .input_fd = -1, .cancel_fd = -1 };
        int major, r = chosen_major(invocation, &major, err);

        if (r < 0)
                return r;
        params = json_pack("{s:s, s:i, s:I}", "directory", target, "major", major, "port",
                           (json_int_t)invocation_number(invocation, "port", 5432));
        json_set_string(params, "database", invocation_text(invocation, "database", NULL));
        run.params = params;
        r = worker_run(invocation->layout, &run, &result, err);
        if (r < 0)
                return r;
        r = listing_print(json_object_get(result, "files"), init_columns, invocation_text(invocation, "format", NULL),
                          LISTING_LINES, err);
        if (r < 0 || invocation_json(invocation))
                return r;
        if (!json_get_bool(result, "owner_set", true))
                fprintf(stderr, "warning: tls/server.key does not belong to uid 999: under docker compose run "
                                "\"sudo chown 999:999 tls/server.key\"\n");
        printf("\nPostgreSQL %d in %s. Next:\n", major, target);
        if (!streq(directory, "."))
                printf("  cd %s\n", directory);
        printf("  berth up -d --wait\n");
        return 0;
}

static const Option init_options[] = {
        { "postgres", 0, OPTION_NUMBER, "MAJOR", "Major version (default: the highest that this machine has)" },
        { "database", 0, OPTION_TEXT, "NAME", "Name of the application's database (default: app)" },
        { "port", 0, OPTION_NUMBER, "PORT", "Port on 127.0.0.1 (default: 5432)" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format", "table|json" },
        { NULL },
};

const Command command_init = {
        .name = "init",
        .summary = "Write a production deployment: compose file, secrets, TLS, settings, roles",
        .arguments = "[DIR]",
        .details =
                "Writes a folder that runs under Berth and under docker compose alike: a compose file, generated "
                "passwords, a private certificate authority with a server certificate, a postgresql.conf sized to this "
                "machine, access rules that want TLS, roles for owner, application, read-only use and monitoring, and "
                "a first migration.\n\nThe folder must be new or empty. Either everything is written or nothing.",
        .examples = "berth init shop\ncd shop && berth up -d --wait",
        .group = GROUP_RUN,
        .flags = COMMAND_JSON,
        .options = init_options,
        .max_arguments = 1,
        .function = run_init,
        .complete = COMPLETE_FOLDERS,
};

static json_t *settings_to_json(const TuneResult *result)
{
        json_t *rows = json_array();

        for (size_t i = 0; i < result->length; i++)
                json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "name", result->settings[i].name, "value",
                                                      result->settings[i].value, "reason", result->settings[i].reason));
        return rows;
}

static const ListingColumn tune_columns[] = {
        { "SETTING", "name", false },
        { "VALUE", "value", false },
        { "REASON", "reason", true },
        { NULL, NULL, false },
};

static int apply_overrides(const Invocation *invocation, TuneFacts *facts, Error **err)
{
        const char *memory = invocation_text(invocation, "memory", NULL);
        int64_t bytes;

        if (memory && (!parse_size(memory, &bytes) || bytes < 64 * 1024 * 1024))
                return error_set(err, ERROR_USAGE, "--memory: \"%s\" is not a size of at least 64m", memory);
        if (memory)
                facts->memory_bytes = (uint64_t)bytes;
        facts->processors = (int)invocation_number(invocation, "cpus", facts->processors);
        facts->max_connections = (int)invocation_number(invocation, "connections", 0);
        if (invocation_given(invocation, "disk"))
                facts->disk = streq(invocation_text(invocation, "disk", ""), "hdd") ? DISK_ROTATING : DISK_SOLID;
        return 0;
}

/* Replaced as a whole, with its owner and mode: a container that has it mounted sees the new one from its next start on. */
static int update_file(const Invocation *invocation, const char *path, const TuneResult *result, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **changes = NULL;
        _cleanup_free_ char *changed = NULL;
        struct stat status;
        int r = fs_read_file(AT_FDCWD, path, CONFIGURATION_LIMIT, &text, err);

        if (r < 0)
                return error_hint(err, r, "--write takes a postgresql.conf that is there; --format conf prints one.");
        changed = tune_update(strbuf_text(&text), result, &changes);
        STRV_FOREACH(change, changes)
                printf("%s\n", *change);
        if (!changes)
                printf("%s is up to date\n", path);
        if (!changes || invocation_flag(invocation, "dry-run"))
                return 0;
        if (stat(path, &status) < 0)
                return error_set_errno(err, errno, "stat \"%s\"", path);
        r = fs_write_file(AT_FDCWD, path, changed, strlen(changed), status.st_mode & 07777, err);
        if (r >= 0 && chown(path, status.st_uid, status.st_gid) < 0)
                r = error_set_errno(err, errno, "chown \"%s\"", path);
        if (r >= 0)
                fprintf(stderr, "%s is written; a restart of the server brings all of it into effect.\n", path);
        return r;
}

static int run_tune(Invocation *invocation, Error **err)
{
        _cleanup_tune_result_ TuneResult result = { 0 };
        _cleanup_json_ json_t *rows = NULL;
        TuneFacts facts;
        int major, r = chosen_major(invocation, &major, err);

        if (r == 0)
                r = tune_facts_of_machine(invocation->layout->data_dir, major, &facts, err);
        if (r == 0)
                r = apply_overrides(invocation, &facts, err);
        if (r < 0)
                return r;
        tune(&facts, &result);
        if (invocation_given(invocation, "write"))
                return update_file(invocation, invocation_text(invocation, "write", ""), &result, err);
        if (streq(invocation_text(invocation, "format", "table"), "conf")) {
                _cleanup_free_ char *text = tune_to_configuration(&result);
                fputs(text, stdout);
                return 0;
        }
        rows = settings_to_json(&result);
        return listing_print(rows, tune_columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
}

static const Option tune_options[] = {
        { "postgres", 0, OPTION_NUMBER, "MAJOR", "Major version (default: the highest that this machine has)" },
        { "memory", 0, OPTION_TEXT, "SIZE", "Memory that the server may use (default: the machine's)" },
        { "cpus", 0, OPTION_NUMBER, "N", "Processors (default: the machine's)" },
        { "connections", 0, OPTION_NUMBER, "N", "Most connections (default: 100)" },
        { "disk", 0, OPTION_CHOICE, "KIND", "Kind of disk (default: what the machine says)", "ssd|hdd" },
        { "write", 0, OPTION_TEXT, "FILE", "Bring this postgresql.conf up to it, and say what changed" },
        { "dry-run", 0, OPTION_FLAG, NULL, "With --write: say what would change" },
        { "format", 0, OPTION_CHOICE, "FORMAT", "Output format; conf is a fragment of postgresql.conf",
          "table|json|conf" },
        { NULL },
};

const Command command_tune = {
        .name = "tune",
        .summary = "Print settings of PostgreSQL sized to this machine, with their reasons",
        .details = "With --write a postgresql.conf, such as the one that `berth init` wrote, gets them: lines that set "
                   "something else are replaced, missing ones are added, all others stay.",
        .examples =
                "berth tune\nberth tune --memory 4g --connections 200 --format conf\nberth tune --write config/postgresql.conf",
        .group = GROUP_LOOK,
        .flags = COMMAND_JSON,
        .options = tune_options,
        .function = run_tune,
};
