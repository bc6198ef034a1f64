#include "operate/verify_facts.h"

#include <glob.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "compose/node.h"
#include "operate/data_folder.h"
#include "operate/job_guards.h"
#include "operate/migration.h"
#include "operate/secret_check.h"
#include "operate/sql.h"
#include "state/document.h"

#define POSTGRES_PORT 5432
#define ANSWER_LIMIT_MS 20000

void verify_gathering_done(VerifyGathering *gathering)
{
        arena_free(gathering->texts);
        *gathering = (VerifyGathering){ 0 };
}

/* ---- from the records ---- */

static void gather_container(const VerifySubject *subject, VerifyFacts *facts)
{
        const ContainerInfo *info = subject->container;
        const ContainerSpec *spec = info->spec;
        const char *method = strv_env_get(spec->environment, "POSTGRES_HOST_AUTH_METHOD");

        facts->running = info->state == CONTAINER_RUNNING;
        facts->health = info->health;
        facts->restart = spec->restart;
        facts->image = info->image;
        facts->password_in_environment = !isempty(strv_env_get(spec->environment, "POSTGRES_PASSWORD"));
        facts->trust = method && streq(method, "trust");
        for (size_t i = 0; i < spec->n_ports; i++) {
                const SpecPort *port = &spec->ports[i];
                bool open = isempty(port->host_ip) || streq(port->host_ip, "0.0.0.0") || streq(port->host_ip, "::");

                if (!port->udp && port->container_port == POSTGRES_PORT && facts->reach != REACH_ALL)
                        facts->reach = open ? REACH_ALL : REACH_THIS_MACHINE;
        }
}

static void gather_storage(const VerifySubject *subject, VerifyFacts *facts)
{
        const char *folder = data_folder_of_spec(subject->container->spec);
        const SpecMount *mount = NULL;
        _cleanup_free_ char *path = NULL;
        bool is_new;

        if (folder)
                path = data_folder_on_host(subject->engine, subject->container->spec, folder, &mount, &is_new);
        if (!mount || mount->kind == SPEC_MOUNT_TMPFS)
                return;
        facts->storage = mount->anonymous                    ? STORAGE_ANONYMOUS
                         : mount->kind == SPEC_MOUNT_VOLUME ? STORAGE_NAMED
                                                             : STORAGE_BOUND;
        facts->volume = mount->source;
}

/* A service that needs the database and does not wait until it is healthy. Migrations at `up` wait for that themselves. */
static const char *find_impatient(const VerifySubject *subject, Arena *texts)
{
        for (size_t i = 0; i < subject->project->n_services; i++) {
                const Service *service = &subject->project->services[i];
                _cleanup_guard_findings_ GuardFindings findings = { 0 };

                for (size_t k = 0; k < service->n_depends_on && !subject->settings->migrations_on_up; k++)
                        if (streq(service->depends_on[k].service, subject->container->service) &&
                            service->depends_on[k].condition == DEPENDENCY_STARTED)
                                return arena_printf(texts, "%s does not wait until %s is healthy", service->name,
                                                    subject->container->service);
                job_guards_check(subject->project, service, NULL, &findings);
                if (findings.length > 0)
                        return arena_printf(texts, "%s: %s", service->name, findings.items[0].message);
        }
        return NULL;
}

static bool backups_are_off(const Node *x_berth)
{
        const Node *word = node_get(x_berth, "backup");

        return node_is(word, NODE_BOOL) ? !word->boolean : node_text(word) && streq(node_text(word), "off");
}

static void gather_model(const VerifySubject *subject, VerifyGathering *gathering)
{
        _cleanup_secret_findings_ SecretFindings findings = { 0 };
        VerifyFacts *facts = &gathering->facts;
        _cleanup_free_ char *folder = NULL;
        const Service *service;

        if (!subject->project)
                return;
        service = project_find_service(subject->project, subject->container->service);
        facts->backups_off = backups_are_off(subject->project->x_berth) || (service && backups_are_off(service->x_berth));
        facts->impatient = find_impatient(subject, gathering->texts);
        secret_check(subject->project, &findings);
        facts->open_secrets = findings.length;
        if (findings.length > 0)
                facts->secret_finding = arena_printf(gathering->texts, "%s: %s", findings.items[0].subject,
                                                     findings.items[0].message);
        facts->has_folder =
                migration_find_folder(subject->project->working_dir, subject->settings, false, &folder, NULL) == 0;
}

/* A backup's record is written last, so its time is when the backup was whole. */
static void gather_backups(const VerifySubject *subject, const char *system, VerifyFacts *facts)
{
        _cleanup_free_ char *pattern =
                layout_data(subject->layout, "backups/%s/%s/%s/backups/*/backup.json", subject->container->project,
                            subject->container->service, system);
        int64_t newest_s = 0;
        glob_t found = { 0 };

        if (glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc; i++) {
                        struct stat status;
                        if (stat(found.gl_pathv[i], &status) < 0)
                                continue;
                        facts->backups++;
                        newest_s = MAX(newest_s, (int64_t)status.st_mtime);
                }
        facts->backup_age_s = MAX(clock_realtime_ns() / NSEC_PER_SEC - newest_s, INT64_C(0));
        globfree(&found);
}

/* ---- from the server ---- */

/* host and password NULL: by the socket, as the container was told. */
static int ask(const VerifySubject *subject, const char *host, const char *password, const char *sql, char **ret_output,
               Error **err)
{
        const SqlRequest request = { .host = host, .password = password, .timeout_ms = ANSWER_LIMIT_MS };

        return sql_ask(subject->engine, subject->container, &request, sql, ret_output, err);
}

static const char settings_query[] =
        "SELECT k || '=' || coalesce(v, '') FROM (VALUES "
        "('answer', split_part(version(), ' on ', 1)), ('ssl', current_setting('ssl')), "
        "('checksums', current_setting('data_checksums')), ('fsync', current_setting('fsync')), "
        "('full_page_writes', current_setting('full_page_writes')), "
        "('synchronous_commit', current_setting('synchronous_commit')), "
        "('preload', current_setting('shared_preload_libraries')), "
        "('system', (SELECT system_identifier::text FROM pg_control_system())), "
        "('connections', (SELECT count(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend')), "
        "('max', (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)::text), "
        "('tables', (SELECT count(*)::text FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema', "
        "'berth') AND tablename NOT IN ('schema_migrations', 'alembic_version', 'knex_migrations', "
        "'knex_migrations_lock'))), "
        "('tool', (SELECT min(CASE tablename WHEN 'schema_migrations' THEN '1golang-migrate' WHEN 'alembic_version' THEN "
        "'2Alembic' ELSE '3knex' END) FROM pg_tables WHERE tablename IN ('schema_migrations', 'alembic_version', "
        "'knex_migrations')))) AS t (k, v)";

static bool is_on(char *const *values, const char *key)
{
        const char *value = strv_env_get(values, key);

        return value && !streq(value, "off");
}

static int64_t number(char *const *values, const char *key)
{
        int64_t value = 0;

        parse_int64(strv_env_get(values, key) ? strv_env_get(values, key) : "", 0, INT64_MAX, &value);
        return value;
}

static void take_settings(const VerifySubject *subject, char *const *values, VerifyGathering *gathering)
{
        VerifyFacts *facts = &gathering->facts;
        const char *tool = strv_env_get(values, "tool"), *preload = strv_env_get(values, "preload");

        facts->answer = arena_strdup(gathering->texts, strv_env_get(values, "answer"));
        facts->ssl = is_on(values, "ssl");
        facts->checksums = is_on(values, "checksums");
        facts->fsync = is_on(values, "fsync");
        facts->full_page_writes = is_on(values, "full_page_writes");
        facts->synchronous_commit = is_on(values, "synchronous_commit");
        facts->statements = preload && strstr(preload, "pg_stat_statements");
        facts->connections = number(values, "connections");
        facts->max_connections = number(values, "max");
        facts->tables = number(values, "tables");
        facts->tool = isempty(tool) ? NULL : arena_strdup(gathering->texts, tool + 1);
        if (!isempty(strv_env_get(values, "system")))
                gather_backups(subject, strv_env_get(values, "system"), facts);
}

static void note_state(void *context, const json_t *event)
{
        VerifyFacts *facts = context;
        const char *state = json_get_string(event, "state", "");

        facts->pending += streq(state, "pending");
        facts->dirty |= streq(state, "dirty");
        facts->odd += streq(state, "changed") || streq(state, "missing") || streq(state, "out of order");
}

static void gather_migrations(const VerifySubject *subject, VerifyFacts *facts)
{
        char *arguments[] = { (char[]){ "status" }, NULL };
        MigrationCommand command = { .layout = subject->layout, .container = subject->container,
                                     .settings = subject->settings, .arguments = arguments };
        _cleanup_free_ char *folder = NULL;

        if (!subject->project || !facts->has_folder || (facts->tool && !streq(facts->tool, "golang-migrate")) ||
            migration_find_folder(subject->project->working_dir, subject->settings, false, &folder, NULL) < 0)
                return;
        command.folder = folder;
        migration_run(&command, note_state, facts, -1, NULL);
}

static void gather_reach(const VerifySubject *subject, VerifyGathering *gathering)
{
        VerifyFacts *facts = &gathering->facts;
        const char *name = subject->container->service;
        _cleanup_free_ char *output = NULL, *ignored = NULL;
        _cleanup_error_ Error *error = NULL;

        facts->by_name = ask(subject, name, NULL, "SELECT 1", &output, &error) == 0 ? OUTCOME_YES : OUTCOME_NO;
        if (error)
                facts->by_name_error = arena_strdup(gathering->texts, error->message);
        if (facts->by_name == OUTCOME_YES)
                facts->wrong_password = ask(subject, name, "not-the-password", "SELECT 1", &ignored, NULL) == 0
                                                ? OUTCOME_YES
                                                : OUTCOME_NO;
}

static void gather_server(const VerifySubject *subject, VerifyGathering *gathering)
{
        _cleanup_free_ char *output = NULL, *written = NULL;
        _cleanup_strv_ char **values = NULL;
        _cleanup_error_ Error *error = NULL;

        if (ask(subject, NULL, NULL, settings_query, &output, &error) < 0) {
                gathering->facts.error = arena_strdup(gathering->texts, error->message);
                return;
        }
        values = strv_split(output ? output : "", '\n');
        take_settings(subject, values, gathering);
        gathering->facts.wrote_and_read =
                ask(subject, NULL, NULL, "CREATE TEMP TABLE berth_verify (n int); INSERT INTO berth_verify VALUES (42); "
                                              "SELECT n FROM berth_verify", &written, NULL) == 0 &&
                written && streq(written, "42\n");
        gather_reach(subject, gathering);
        gather_migrations(subject, &gathering->facts);
}

void verify_gather(const VerifySubject *subject, VerifyGathering *ret)
{
        *ret = (VerifyGathering){ .facts = { .service = subject->container->service }, .texts = arena_create() };
        gather_container(subject, &ret->facts);
        gather_storage(subject, &ret->facts);
        gather_model(subject, ret);
        if (ret->facts.running)
                gather_server(subject, ret);
}
