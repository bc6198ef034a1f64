#include "operate/copies.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "state/document.h"

#define RECORD_FORMAT 1
#define SUFFIX        ".json"
#define POSTGRES_PORT 5432

typedef struct TextMember {
        const char *name;
        size_t offset;
} TextMember;

static const TextMember texts[] = {
        { "project", offsetof(CopyRecord, project) }, { "name", offsetof(CopyRecord, name) },
        { "service", offsetof(CopyRecord, service) }, { "image", offsetof(CopyRecord, image) },
        { "volume", offsetof(CopyRecord, volume) },   { "key", offsetof(CopyRecord, key) },
        { "target", offsetof(CopyRecord, target) },   { "backup", offsetof(CopyRecord, backup) },
        { "point", offsetof(CopyRecord, point) },
};

static char **text_member(const CopyRecord *record, size_t i)
{
        return (char **)((char *)record + texts[i].offset);
}

void copy_record_done(CopyRecord *record)
{
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                free(*text_member(record, i));
        *record = (CopyRecord){ 0 };
}

/* ---- on disk ---- */

static char *folder_of(const Layout *layout, const char *project)
{
        return layout_data(layout, "projects/%s/copies", project);
}

static char *path_of(const Layout *layout, const char *project, const char *name)
{
        return layout_data(layout, "projects/%s/copies/%s" SUFFIX, project, name);
}

int copy_record_load(const Layout *layout, const char *project, const char *name, CopyRecord *ret, Error **err)
{
        _cleanup_free_ char *path = path_of(layout, project, name);
        _cleanup_json_ json_t *json = NULL;
        _cleanup_error_ Error *reason = NULL;
        int r = document_load(path, RECORD_FORMAT, &json, &reason);

        if (r == -ERROR_NOT_FOUND)
                return error_hint(err,
                                  error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no copy \"%s\"", project, name),
                                  "\"berth clone ls\" lists them.");
        if (r < 0)
                return error_move(err, &reason, r);
        *ret = (CopyRecord){ .port = json_get_int(json, "port", 0),
                             .container_port = json_get_int(json, "container_port", POSTGRES_PORT),
                             .made_ns = json_get_int(json, "made_ns", 0),
                             .ready = json_get_bool(json, "ready", false) };
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                *text_member(ret, i) = xstrdup(json_get_string(json, texts[i].name, ""));
        return 0;
}

int copy_record_save(const Layout *layout, const CopyRecord *record, Error **err)
{
        _cleanup_free_ char *folder = folder_of(layout, record->project),
                            *path = path_of(layout, record->project, record->name);
        _cleanup_json_ json_t *json = json_pack("{s:I, s:I, s:I, s:b}", "port", (json_int_t)record->port,
                                                "container_port", (json_int_t)record->container_port, "made_ns",
                                                (json_int_t)record->made_ns, "ready", record->ready);
        int r = fs_make_directories(folder, 0700, err);

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                json_set_string(json, texts[i].name, *text_member(record, i));
        return r < 0 ? r : document_save(path, RECORD_FORMAT, json, err);
}

int copy_record_remove(const Layout *layout, const char *project, const char *name, Error **err)
{
        _cleanup_free_ char *path = path_of(layout, project, name);

        return fs_remove_tree(AT_FDCWD, path, err);
}

char **copy_names(const Layout *layout, const char *project)
{
        _cleanup_free_ char *folder = folder_of(layout, project);
        _cleanup_strv_ char **files = NULL;
        char **names = NULL;

        fs_list_directory(AT_FDCWD, folder, &files, NULL);
        STRV_FOREACH(file, files)
                if (endswith(*file, SUFFIX))
                        strv_take(&names, xstrndup(*file, strlen(*file) - strlen(SUFFIX)));
        strv_sort(names);
        return names;
}

bool copy_is_whole(const Layout *layout, const CopyRecord *record)
{
        _cleanup_free_ char *folder = layout_data(layout, "volumes/%s/_data", record->volume);

        return record->ready && fs_is_directory(folder);
}

/* ---- in the model ---- */

/* What is another's to write is not shared: a folder of this machine is read only, a volume that was written to
 * (sockets, logs) is left out. */
static json_t *change_mounts(const json_t *mounts, const CopyRecord *record)
{
        json_t *changed = json_array();
        const json_t *mount;
        size_t i;

        json_array_foreach(mounts, i, mount) {
                const char *type = json_get_string(mount, "type", "volume");
                json_t *other;

                if (streq(json_get_string(mount, "target", ""), record->target))
                        continue;
                if (streq(type, "volume") && !json_get_bool(mount, "read_only", false))
                        continue;
                other = json_deep_copy(mount);
                if (!streq(type, "tmpfs"))
                        json_object_set_new(other, "read_only", json_true());
                json_array_append_new(changed, other);
        }
        json_array_append_new(changed, json_pack("{s:s, s:s, s:s}", "type", "volume", "source", record->key, "target",
                                                 record->target));
        return changed;
}

static json_t *change_networks(const json_t *networks)
{
        json_t *changed = json_object();
        const char *name;
        const json_t *network;

        json_object_foreach((json_t *)networks, name, network)
                json_object_set_new(changed, name, json_null());
        return changed;
}

/* No archive of the user's gets its log, and it waits for no standby of the original's. A command that is no server's
 * start is left as it is. */
static void change_command(json_t *service)
{
        static const char *const settings[] = { "archive_mode=off", "synchronous_standby_names=" };
        const json_t *command = json_object_get(service, "command");
        const char *first = json_string_value(json_array_get(command, 0));
        json_t *words;

        if (first ? !streq(first, "postgres") && *first != '-' : json_is_array(json_object_get(service, "entrypoint")))
                return;
        words = json_is_array(command) ? json_deep_copy(command) : json_array();
        if (!first)
                json_array_append_new(words, json_string("postgres"));
        for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
                json_array_append_new(words, json_string("-c"));
                json_array_append_new(words, json_string(settings[i]));
        }
        json_object_set_new(service, "command", words);
}

/* Nothing is migrated or filled, no role is changed, nothing is backed up. */
static json_t *change_settings(const json_t *settings)
{
        json_t *changed = json_is_object(settings) ? json_deep_copy(settings) : json_object();

        json_object_del(changed, "seed");
        json_object_del(changed, "roles");
        json_object_set_new(changed, "migrations", json_pack("{s:b}", "on_up", 0));
        json_object_set_new(changed, "backup", json_string("off"));
        return changed;
}

static json_t *make_service(const json_t *original, const CopyRecord *record)
{
        static const char *const without[] = { "container_name", "ports",    "depends_on", "links",
                                               "profiles",       "hostname", "domainname", "scale",
                                               "mac_address",    "deploy",   "post_start", "pre_stop" };
        json_t *service = json_deep_copy(original);

        for (size_t i = 0; i < ARRAY_SIZE(without); i++)
                json_object_del(service, without[i]);
        json_object_set_new(service, "image", json_string(record->image));
        json_object_set_new(service, "volumes", change_mounts(json_object_get(original, "volumes"), record));
        if (json_is_object(json_object_get(original, "networks")))
                json_object_set_new(service, "networks", change_networks(json_object_get(original, "networks")));
        json_object_set_new(service, "x-berth", change_settings(json_object_get(original, "x-berth")));
        change_command(service);
        if (record->port)
                json_object_set_new(service, "ports",
                                    json_pack("[{s:s, s:s, s:I, s:o, s:s}]", "mode", "ingress", "host_ip", "127.0.0.1",
                                              "target", (json_int_t)record->container_port, "published",
                                              json_sprintf("%lld", (long long)record->port), "protocol", "tcp"));
        return service;
}

bool copy_add_to_model(const CopyRecord *record, json_t *model)
{
        json_t *services = json_object_get(model, "services"), *volumes = json_object_get(model, "volumes");
        const json_t *original = json_object_get(services, record->service);

        if (!json_is_object(original) || json_object_get(services, record->name))
                return false;
        if (!json_is_object(volumes)) {
                volumes = json_object();
                json_object_set_new(model, "volumes", volumes);
        }
        json_object_set_new(services, record->name, make_service(original, record));
        json_object_set_new(volumes, record->key, json_pack("{s:s}", "name", record->volume));
        return true;
}

void copies_add_to_model(const Layout *layout, const char *project, json_t *model)
{
        _cleanup_strv_ char **names = copy_names(layout, project);

        STRV_FOREACH(name, names) {
                _cleanup_copy_record_ CopyRecord record = { 0 };

                if (copy_record_load(layout, project, *name, &record, NULL) == 0 && copy_is_whole(layout, &record))
                        copy_add_to_model(&record, model);
        }
}

int64_t copy_published_port(const json_t *model, const char *service)
{
        const json_t *ports = json_object_get(json_object_get(json_object_get(model, "services"), service), "ports"),
                     *port;
        int64_t found = 0;
        size_t i;

        json_array_foreach(ports, i, port) {
                int64_t target = json_get_int(port, "target", 0);

                if (!streq(json_get_string(port, "protocol", "tcp"), "tcp"))
                        continue;
                if (!found || target == POSTGRES_PORT)
                        found = target;
        }
        return found;
}
