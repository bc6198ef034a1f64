#include "operate/verify_facts.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "compose/node.h"
#include "compose/xsecurity.h"
#include "operate/data_folder.h"
#include "operate/job_guards.h"
#include "operate/login.h"
#include "operate/migration.h"
#include "operate/receiver_control.h"
#include "operate/secret_check.h"
#include "operate/sql.h"
#include "operate/tls_serve.h"
#include "state/document.h"
#include "state/worker.h"

#define POSTGRES_PORT   5432
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
        facts->storage = mount->anonymous                   ? STORAGE_ANONYMOUS
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
        facts->backups_off =
                backups_are_off(subject->project->x_berth) || (service && backups_are_off(service->x_berth));
        facts->impatient = find_impatient(subject, gathering->texts);
        secret_check(subject->project, &findings);
        facts->open_secrets = findings.length;
        if (findings.length > 0)
                facts->secret_finding =
                        arena_printf(gathering->texts, "%s: %s", findings.items[0].subject, findings.items[0].message);
        facts->has_folder =
                migration_find_folder(subject->project->working_dir, subject->settings, false, &folder, NULL) == 0;
}

static int ask_worker(const VerifySubject *subject, const char *job, json_t *params, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *owned = params;
        WorkerRun run = { .job = job, .params = owned, .input_fd = -1, .cancel_fd = -1 };

        return worker_run(subject->layout, &run, ret, err);
}

/* Of this cluster, as the server names it; of the one that was written to last where it does not answer. */
static void gather_backups(const VerifySubject *subject, const char *system, VerifyFacts *facts)
{
        int64_t now_ns = clock_realtime_ns(), newest_ns = 0;
        _cleanup_json_ json_t *result = NULL;
        const json_t *row;
        size_t i;

        if (facts->backups_off || ask_worker(subject, "backups",
                                             json_pack("{s:s, s:s}", "project", subject->container->project, "service",
                                                       subject->container->service),
                                             &result, NULL) < 0)
                return;
        json_array_foreach(json_object_get(result, "backups"), i, row) {
                const char *repository = path_basename(json_get_string(row, "repository", ""));

                if (json_get_bool(row, "damaged", false) ||
                    (system ? !streq(repository, system) : !json_get_bool(row, "present", false)))
                        continue;
                facts->backups++;
                newest_ns = MAX(newest_ns, json_get_int(row, "finished_ns", 0));
        }
        facts->backup_age_s = MAX((now_ns - newest_ns) / NSEC_PER_SEC, INT64_C(0));
}

static void gather_streaming(const VerifySubject *subject, VerifyGathering *gathering)
{
        VerifyFacts *facts = &gathering->facts;
        _cleanup_json_ json_t *state =
                receiver_state_load(subject->layout, subject->container->project, subject->container->service);
        const char *phase, *message;

        if (facts->backups_off || !receiver_state_pid(state))
                return;
        phase = json_get_string(state, "phase", "");
        message = json_get_string(state, "message", NULL);
        facts->streaming = streq(phase, "streaming");
        if (!facts->streaming)
                facts->not_streaming =
                        arena_printf(gathering->texts, "%s%s%s", phase, message ? ": " : "", message ? message : "");
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
        "SELECT k || '=' || coalesce(v, '') FROM (VALUES ('answer', split_part(version(), ' on ', 1)), ('ssl', "
        "current_setting('ssl')), ('checksums', current_setting('data_checksums')), ('fsync', "
        "current_setting('fsync')), ('full_page_writes', current_setting('full_page_writes')), ('synchronous_commit', "
        "current_setting('synchronous_commit')), ('system', (SELECT system_identifier::text FROM "
        "pg_control_system())), ('preload', current_setting('shared_preload_libraries')), ('connections', (SELECT "
        "count(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend')), ('max', "
        "(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int)::text), "
        "('tables', (SELECT count(*)::text FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema', "
        "'berth') AND tablename NOT IN ('schema_migrations', 'alembic_version', 'knex_migrations', "
        "'knex_migrations_lock'))), ('tool', (SELECT min(CASE tablename WHEN 'schema_migrations' THEN "
        "'1golang-migrate' WHEN 'alembic_version' THEN '2Alembic' ELSE '3knex' END) FROM pg_tables WHERE tablename IN "
        "('schema_migrations', 'alembic_version', 'knex_migrations')))) AS t (k, v)";

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

static void take_settings(char *const *values, VerifyGathering *gathering)
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
        gathering->system = arena_strdup(gathering->texts, strv_env_get(values, "system"));
        facts->tool = isempty(tool) ? NULL : arena_strdup(gathering->texts, tool + 1);
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
        MigrationCommand command = { .layout = subject->layout,
                                     .container = subject->container,
                                     .settings = subject->settings,
                                     .arguments = arguments };
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

static VerifyOutcome outcome_of(const json_t *result, const char *key)
{
        return !json_object_get(result, key)       ? OUTCOME_NOT_TRIED
               : json_get_bool(result, key, false) ? OUTCOME_YES
                                                   : OUTCOME_NO;
}

static void gather_certificate(const VerifySubject *subject, VerifyGathering *gathering)
{
        const ContainerInfo *info = subject->container;
        const Service *service = subject->project ? project_find_service(subject->project, info->service) : NULL;
        int64_t now_s = clock_realtime_ns() / NSEC_PER_SEC, port = POSTGRES_PORT;
        _cleanup_free_ char *port_text = container_variable(info, "PGPORT", "5432");
        json_t *params = json_pack("{s:i, s:I}", "pid", (int)info->pid, "now_s", (json_int_t)now_s);
        VerifyFacts *facts = &gathering->facts;
        _cleanup_tls_files_ TlsFiles files = { 0 };
        _cleanup_json_ json_t *result = NULL;
        _cleanup_error_ Error *error = NULL;
        XSecurity wanted = { 0 };

        parse_int64(port_text, 1, 65535, &port);
        json_object_set_new(params, "port", json_integer(port));
        if (service)
                x_security_read(subject->project, service, &wanted);
        if (service && tls_files_find(subject->project, service, &wanted.tls, info->spec, &files)) {
                json_set_string(params, "certificate", files.certificate);
                json_set_string(params, "authority", files.authority);
                facts->certificate_file = arena_strdup(gathering->texts, files.certificate);
        }
        if (ask_worker(subject, "served-certificate", params, &result, &error) < 0) {
                facts->certificate_error = arena_strdup(gathering->texts, error->message);
                return;
        }
        facts->certificate_seen = json_get_bool(result, "tls", false);
        facts->certificate_left_s = json_get_int(result, "not_after_s", 0) - now_s;
        facts->certificate_due = json_get_bool(result, "due", false);
        facts->certificate_is_file = outcome_of(result, "is_file");
        facts->certificate_trusted = outcome_of(result, "trusted");
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
        take_settings(values, gathering);
        gathering->facts.wrote_and_read =
                ask(subject, NULL, NULL,
                    "CREATE TEMP TABLE berth_verify (n int); INSERT INTO berth_verify VALUES (42); "
                    "SELECT n FROM berth_verify",
                    &written, NULL) == 0 &&
                written && streq(written, "42\n");
        gather_reach(subject, gathering);
        if (gathering->facts.ssl)
                gather_certificate(subject, gathering);
        gather_migrations(subject, &gathering->facts);
}

void verify_gather(const VerifySubject *subject, VerifyGathering *ret)
{
        *ret = (VerifyGathering){ .facts = { .service = subject->container->service }, .texts = arena_create() };
        gather_container(subject, &ret->facts);
        gather_storage(subject, &ret->facts);
        gather_model(subject, ret);
        gather_streaming(subject, ret);
        if (ret->facts.running)
                gather_server(subject, ret);
        gather_backups(subject, ret->system, &ret->facts);
}
