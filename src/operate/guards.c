#include "operate/guards.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "postgres/guard.h"
#include "state/document.h"

#define MEMORY_FORMAT               1
#define HOME_OF_DATA                "/var/lib/postgresql"
#define POSTGRES_PORT               5432
#define FIRST_MAJOR_WITH_NEW_LAYOUT 18

/* What the facts borrow from. */
typedef struct Gathering {
        const ContainerSpec *spec;
        const SpecMount *mount; /* that holds PGDATA */
        char *folder;           /* on the host; NULL: there is none yet */
        char *user, *database, *password, *config_file, *config_path;
        VolumeInfo *volume;
        json_t *memory;
        char *memory_path; /* NULL: not in a named volume */
        char port[8];
        GuardFacts facts;
} Gathering;

static void gathering_done(Gathering *gathering)
{
        free(gathering->folder);
        free(gathering->user);
        free(gathering->database);
        free_secret(gathering->password);
        free(gathering->config_file);
        free(gathering->config_path);
        volume_info_free(gathering->volume);
        json_decref(gathering->memory);
        free(gathering->memory_path);
}

/* A variable or its _FILE form; NULL where neither is given. */
static char *variable(const ContainerSpec *spec, const char *name, bool *ret_from_file, bool *ret_missing)
{
        const char *value = strv_env_get(spec->environment, name), *path;
        _cleanup_free_ char *file_name = xasprintf("%s_FILE", name);
        char *content;

        if (!isempty(value))
                return xstrdup(value);
        path = strv_env_get(spec->environment, file_name);
        if (isempty(path))
                return NULL;
        *ret_from_file = true;
        content = data_folder_read_file(spec, path);
        *ret_missing = content == NULL;
        return content;
}

static void gather_environment(Gathering *gathering)
{
        const ContainerSpec *spec = gathering->spec;
        const char *major = strv_env_get(spec->environment, "PG_MAJOR");
        const char *method = strv_env_get(spec->environment, "POSTGRES_HOST_AUTH_METHOD");
        GuardFacts *facts = &gathering->facts;
        bool from_file = false, missing = false;

        gathering->user = variable(spec, "POSTGRES_USER", &from_file, &missing);
        gathering->database = variable(spec, "POSTGRES_DB", &from_file, &missing);
        gathering->password =
                variable(spec, "POSTGRES_PASSWORD", &facts->password_from_file, &facts->password_file_is_missing);
        facts->user = gathering->user;
        facts->database = gathering->database;
        facts->password = gathering->password;
        facts->trust = method && streq(method, "trust");
        facts->image_major = major ? atoi(major) : 0;
        facts->stop_grace_ms = spec->stop_grace_ns > 0 ? spec->stop_grace_ns / 1000000 : -1;
        facts->shm_bytes = spec->shm_size;
}

static bool file_has_content(const char *folder, const char *name)
{
        _cleanup_free_ char *path = path_join(folder, name);
        struct stat status;

        return stat(path, &status) == 0 && (S_ISDIR(status.st_mode) || status.st_size > 0);
}

static int read_major(const char *folder)
{
        _cleanup_free_ char *path = path_join(folder, "PG_VERSION");
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, path, 64, &text, NULL) == 0 ? atoi(strbuf_text(&text)) : 0;
}

static void gather_data(Gathering *gathering)
{
        GuardFacts *facts = &gathering->facts;
        const char *folder = gathering->folder;
        bool has_version;

        if (!folder)
                return;
        has_version = file_has_content(folder, "PG_VERSION");
        facts->unfinished = file_has_content(folder, ".berth-init");
        facts->partial = has_version && !facts->unfinished && !file_has_content(folder, "global/pg_control");
        facts->initialised = has_version && !facts->unfinished && !facts->partial;
        facts->data_major = has_version ? read_major(folder) : 0;
}

/* Where images of other majors keep theirs, below the mount that this one wants. */
static void gather_elsewhere(Engine *engine, Gathering *gathering)
{
        GuardFacts *facts = &gathering->facts;
        _cleanup_free_ char *root = NULL;
        const SpecMount *mount = NULL;
        bool is_new;

        if (facts->data_major || facts->image_major < FIRST_MAJOR_WITH_NEW_LAYOUT || !gathering->mount)
                return;
        root = data_folder_on_host(engine, gathering->spec, gathering->mount->target, &mount, &is_new);
        if (!root || mount != gathering->mount)
                return;
        facts->elsewhere_major = read_major(root);
        for (int major = facts->image_major - 1; !facts->elsewhere_major && major >= FIRST_MAJOR_WITH_NEW_LAYOUT;
             major--) {
                _cleanup_free_ char *folder = xasprintf("%s/%d/docker", root, major);
                facts->elsewhere_major = read_major(folder);
        }
        if (!facts->elsewhere_major) {
                _cleanup_free_ char *folder = path_join(root, "data");
                facts->elsewhere_major = read_major(folder);
        }
}

/* The mount that people make for the other layout, where the data then goes elsewhere unseen. */
static void gather_layout(Gathering *gathering)
{
        GuardFacts *facts = &gathering->facts;
        const char *trap = facts->image_major >= FIRST_MAJOR_WITH_NEW_LAYOUT ? HOME_OF_DATA "/data" : HOME_OF_DATA;
        const ContainerSpec *spec = gathering->spec;

        facts->in_container = gathering->mount == NULL;
        facts->anonymous_volume = gathering->mount && gathering->mount->anonymous;
        if ((!facts->in_container && !facts->anonymous_volume) || !facts->image_major)
                return;
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (!spec->mounts[i].anonymous && streq(spec->mounts[i].target, trap))
                        facts->shadowed_mount = spec->mounts[i].target;
}

static void gather_ports(Gathering *gathering)
{
        for (size_t i = 0; i < gathering->spec->n_ports; i++) {
                const SpecPort *port = &gathering->spec->ports[i];

                if (port->udp || port->container_port != POSTGRES_PORT ||
                    (!isempty(port->host_ip) && !streq(port->host_ip, "0.0.0.0") && !streq(port->host_ip, "::")))
                        continue;
                snprintf(gathering->port, sizeof(gathering->port), "%u",
                         port->host_port ? port->host_port : POSTGRES_PORT);
                gathering->facts.published_to_all = true;
                gathering->facts.published_port = gathering->port;
        }
}

static void gather_command(Gathering *gathering)
{
        _cleanup_free_ char *command = strv_join(gathering->spec->argv, " ");
        const char *position = strstr(command, "config_file=");
        const char *chown = strstr(command, "chown ");

        if (position) {
                position += strlen("config_file=");
                position += strspn(position, "'\"");
                gathering->config_path = xstrndup(position, strcspn(position, "'\" "));
                gathering->config_file = data_folder_read_file(gathering->spec, gathering->config_path);
                gathering->facts.config_file = gathering->config_file;
                gathering->facts.config_path = gathering->config_path;
        }
        for (size_t i = 0; chown && i < gathering->spec->n_mounts; i++) {
                const SpecMount *mount = &gathering->spec->mounts[i];
                if (mount->kind == SPEC_MOUNT_BIND && !mount->read_only && strstr(chown, mount->target))
                        gathering->facts.command_changes_key_owner = true;
        }
}

static void gather_memory(const Layout *layout, Engine *engine, Gathering *gathering)
{
        GuardFacts *facts = &gathering->facts;

        if (!gathering->mount || gathering->mount->kind != SPEC_MOUNT_VOLUME)
                return;
        gathering->memory_path = layout_data(layout, "databases/%s.json", gathering->mount->source);
        if (engine->operations->volume_inspect(engine, gathering->mount->source, false, &gathering->volume, NULL) == 0)
                facts->written_by = gathering->volume->written_by;
        if (document_load(gathering->memory_path, MEMORY_FORMAT, &gathering->memory, NULL) < 0)
                return;
        facts->first_user = json_get_string(gathering->memory, "user", NULL);
        facts->first_database = json_get_string(gathering->memory, "database", NULL);
        facts->first_password_mark = json_get_string(gathering->memory, "password_mark", NULL);
}

/* What the first start of a fresh volume is going to use. Not being able to remember it costs a later warning. */
static void remember(const Layout *layout, const Gathering *gathering)
{
        const GuardFacts *facts = &gathering->facts;
        _cleanup_free_ char *folder = layout_data(layout, "databases"), *mark = NULL;
        _cleanup_json_ json_t *memory = json_object();
        const char *user = isempty(facts->user) ? "postgres" : facts->user;

        if (!gathering->memory_path || facts->initialised || facts->partial ||
            fs_make_directories(folder, 0700, NULL) < 0)
                return;
        json_set_string(memory, "user", user);
        json_set_string(memory, "database", isempty(facts->database) ? user : facts->database);
        if (!isempty(facts->password))
                mark = guard_password_mark(facts->password);
        json_set_string(memory, "password_mark", mark);
        document_save(gathering->memory_path, MEMORY_FORMAT, memory, NULL);
}

void guards_add_warnings(const char *service, const GuardFindings *findings, char ***warnings)
{
        VECTOR_FOREACH(finding, findings)
                if (!finding->is_error)
                        strv_addf(warnings, "service \"%s\": %s [%s]%s%s", service, finding->message, finding->id,
                                  finding->hint ? "\n  " : "", finding->hint ? finding->hint : "");
}

void guards_remember_password(const Layout *layout, Engine *engine, const ContainerSpec *spec, const char *password)
{
        _cleanup_free_ char *path = NULL, *folder = NULL, *mark = guard_password_mark(password);
        const char *pgdata = data_folder_of_spec(spec);
        _cleanup_json_ json_t *memory = NULL;
        const SpecMount *mount = NULL;
        bool is_new;

        if (pgdata)
                folder = data_folder_on_host(engine, spec, pgdata, &mount, &is_new);
        if (!mount || mount->kind != SPEC_MOUNT_VOLUME)
                return;
        path = layout_data(layout, "databases/%s.json", mount->source);
        if (document_load(path, MEMORY_FORMAT, &memory, NULL) < 0)
                return;
        json_object_del(memory, "password_mark");
        json_set_string(memory, "password_mark", mark);
        document_save(path, MEMORY_FORMAT, memory, NULL);
}

static int report(const ContainerSpec *spec, const GuardFindings *findings, char ***warnings, Error **err)
{
        guards_add_warnings(spec->service, findings, warnings);
        VECTOR_FOREACH(finding, findings) {
                int r;

                if (!finding->is_error)
                        continue;
                r = error_set(err, ERROR_CONFLICT, "service \"%s\": %s [%s]", spec->service, finding->message,
                              finding->id);
                return error_hint(err, r, "%s", finding->hint ? finding->hint : "");
        }
        return 0;
}

int guards_run(const Layout *layout, Engine *engine, const Image *image, const ContainerSpec *spec,
               char *const *silenced, bool runs, bool dry_run, char ***warnings, Error **err)
{
        _cleanup_(gathering_done) Gathering gathering = { .spec = spec };
        _cleanup_guard_findings_ GuardFindings findings = { 0 };
        bool is_new;
        int r;

        gathering.facts = (GuardFacts){ .service = spec->service,
                                        .pgdata = data_folder_of_spec(spec),
                                        .image_libc = image->libc };
        if (!gathering.facts.pgdata)
                return 0;
        gathering.folder = data_folder_on_host(engine, spec, gathering.facts.pgdata, &gathering.mount, &is_new);
        gather_environment(&gathering);
        gather_data(&gathering);
        if (runs)
                gathering.facts.unfinished = gathering.facts.partial = false;
        gather_elsewhere(engine, &gathering);
        gather_layout(&gathering);
        gather_ports(&gathering);
        gather_command(&gathering);
        gather_memory(layout, engine, &gathering);
        guard_check(&gathering.facts, silenced, &findings);
        r = report(spec, &findings, warnings, err);
        if (r == 0 && !dry_run && !runs)
                remember(layout, &gathering);
        return r;
}
