#include "engine/local/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/fields.h"
#include "state/document.h"

#define CONTAINER_FORMAT 1
#define STATE_FORMAT     1
#define RUN_FORMAT       1
#define NOTE_FORMAT      1

static const Field address_fields[] = {
        FIELD(ContainerAddress, FIELD_STRING, network),  FIELD(ContainerAddress, FIELD_STRING, ipv4),
        FIELD(ContainerAddress, FIELD_STRING, ipv6),     FIELD(ContainerAddress, FIELD_STRING, mac),
        FIELD(ContainerAddress, FIELD_INT, ipv4_prefix), FIELD(ContainerAddress, FIELD_STRING, gateway),
};
static const FieldTable address_table = FIELD_TABLE(ContainerAddress, address_fields);

static const Field port_fields[] = {
        FIELD(ContainerPort, FIELD_STRING, host_ip),
        FIELD(ContainerPort, FIELD_UINT16, host_port),
        FIELD(ContainerPort, FIELD_UINT16, container_port),
        FIELD(ContainerPort, FIELD_BOOL, udp),
};
static const FieldTable port_table = FIELD_TABLE(ContainerPort, port_fields);

static const Field run_fields[] = {
        FIELD(ContainerRun, FIELD_STRING, boot_id),
        FIELD(ContainerRun, FIELD_INT64, pid),
        FIELD(ContainerRun, FIELD_INT64, pid_start),
        FIELD(ContainerRun, FIELD_INT64, monitor_pid),
        FIELD(ContainerRun, FIELD_INT64, started_ns),
        FIELD(ContainerRun, FIELD_BOOL, paused),
        FIELD(ContainerRun, FIELD_STRING, runtime),
        FIELD(ContainerRun, FIELD_STRING, cgroup),
        FIELD(ContainerRun, FIELD_STRING, netns),
        FIELD(ContainerRun, FIELD_STRING, hosts_path),
        FIELD(ContainerRun, FIELD_STRING, resolv_path),
        FIELD(ContainerRun, FIELD_STRING, hostname_path),
        FIELD_ITEMS(ContainerRun, addresses, n_addresses, &address_table),
        FIELD_ITEMS(ContainerRun, ports, n_ports, &port_table),
};
static const FieldTable run_table = FIELD_TABLE(ContainerRun, run_fields);

static const Field past_fields[] = {
        FIELD(ContainerPast, FIELD_INT64, started_ns),      FIELD(ContainerPast, FIELD_INT64, finished_ns),
        FIELD(ContainerPast, FIELD_INT, exit_code),         FIELD(ContainerPast, FIELD_BOOL, oom_killed),
        FIELD(ContainerPast, FIELD_BOOL, manually_stopped), FIELD(ContainerPast, FIELD_BOOL, halted),
        FIELD(ContainerPast, FIELD_STRING, error),
};
static const FieldTable past_table = FIELD_TABLE(ContainerPast, past_fields);

static const Field bind_fields[] = {
        FIELD(ImageBind, FIELD_STRING, source),
        FIELD(ImageBind, FIELD_STRING, target),
        FIELD(ImageBind, FIELD_BOOL, read_only),
        FIELD(ImageBind, FIELD_BOOL, nosuid),
};
static const FieldTable bind_table = FIELD_TABLE(ImageBind, bind_fields);

static const Field record_fields[] = {
        FIELD(ContainerRecord, FIELD_STRING, id),
        FIELD(ContainerRecord, FIELD_INT64, created_ns),
        FIELD(ContainerRecord, FIELD_STRV, layers),
        FIELD(ContainerRecord, FIELD_STRING, origin),
        FIELD_ITEMS(ContainerRecord, binds, n_binds, &bind_table),
};
static const FieldTable record_table = FIELD_TABLE(ContainerRecord, record_fields);

static const Field note_fields[] = {
        FIELD(ContainerRecord, FIELD_STRING, health),
        FIELD(ContainerRecord, FIELD_INT64, restart_count),
};
static const FieldTable note_table = FIELD_TABLE(ContainerRecord, note_fields);

void container_record_free(ContainerRecord *record)
{
        if (!record)
                return;
        container_spec_free(record->spec);
        arena_free(record->arena);
        free(record);
}

ContainerRecord *container_record_create(const Layout *layout, const char *folder, const char *id)
{
        ContainerRecord *record = xnew(ContainerRecord);
        Arena *arena = record->arena = arena_create();

        record->id = arena_strdup(arena, id);
        record->folder = arena_strdup(arena, folder);
        record->data_path = arena_printf(arena, "%s/projects/%s/containers/%s", layout->data_dir, folder, id);
        record->run_path = arena_printf(arena, "%s/projects/%s/containers/%s", layout->run_dir, folder, id);
        return record;
}

/* Absent is fine: what the table describes keeps its defaults. */
static int load_optional(const char *folder, const char *name, int format, const FieldTable *table, Arena *arena,
                         void *object, bool *ret_found, Error **err)
{
        _cleanup_free_ char *path = path_join(folder, name);
        _cleanup_error_ Error *error = NULL;
        _cleanup_json_ json_t *json = NULL;
        int r = document_load(path, format, &json, &error);

        *ret_found = r >= 0;
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &error, r);
        r = fields_from_json(table, json, arena, object, err);
        return error_prefix(err, r, "\"%s\"", path);
}

/* The run folder may be lost at any time: what cannot be read there is as if it were absent. How runs began and ended can
 * be done without, too. */
static void load_changing_parts(ContainerRecord *record)
{
        _cleanup_free_ char *boot_id = layout_boot_id();
        _cleanup_error_ Error *error = NULL;
        bool found;
        int r;

        r = load_optional(record->run_path, "run.json", RUN_FORMAT, &run_table, record->arena, &record->run, &found,
                          NULL);
        record->has_run = r >= 0 && found && streq_ptr(record->run.boot_id, boot_id);
        load_optional(record->run_path, "note.json", NOTE_FORMAT, &note_table, record->arena, record, &found, NULL);
        r = load_optional(record->run_path, "state.json", STATE_FORMAT, &past_table, record->arena, &record->past,
                          &found, NULL);
        if (r < 0 || !found)
                r = load_optional(record->data_path, "state.json", STATE_FORMAT, &past_table, record->arena,
                                  &record->past, &found, &error);
        if (r >= 0)
                return;
        record->past = (ContainerPast){ .started_ns = record->has_run ? record->run.started_ns : 0 };
        if (!record->damage)
                record->damage = arena_printf(record->arena, "%s/state.json", record->data_path);
}

static int load_fixed_part(const char *path, ContainerRecord *record, Error **err)
{
        _cleanup_json_ json_t *json = NULL;
        _cleanup_free_ char *id = xstrdup(record->id);
        int r;

        r = document_load(path, CONTAINER_FORMAT, &json, err);
        if (r < 0)
                return r;
        r = fields_from_json(&record_table, json, record->arena, record, err);
        if (r >= 0 && !streq_ptr(record->id, id))
                r = error_set(err, ERROR_INVALID, "it is another container's");
        if (r >= 0)
                r = container_spec_from_json(json_object_get(json, "spec"), &record->spec, err);
        if (r >= 0)
                return 0;
        record->id = arena_strdup(record->arena, id);
        error_prefix(err, r, "\"%s\"", path);
        return -ERROR_CORRUPT;
}

int container_record_load(const Layout *layout, const char *folder, const char *id, ContainerRecord **ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = container_record_create(layout, folder, id);
        _cleanup_free_ char *path = path_join(record->data_path, "container.json");
        _cleanup_free_ char *copy = path_join(record->run_path, "container.json");
        _cleanup_error_ Error *error = NULL;
        int r;

        r = load_fixed_part(path, record, &error);
        if (r == -ERROR_CORRUPT && load_fixed_part(copy, record, NULL) >= 0) {
                record->damage = arena_strdup(record->arena, path);
                r = 0;
        }
        if (r < 0)
                return error_move(err, &error, r);
        load_changing_parts(record);
        *ret = TAKE_PTR(record);
        return 0;
}

int container_record_save(const ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *path = path_join(record->data_path, "container.json");
        _cleanup_json_ json_t *json = fields_to_json(&record_table, record);

        json_object_set_new(json, "spec", container_spec_to_json(record->spec));
        return document_save(path, CONTAINER_FORMAT, json, err);
}

int container_record_save_past(const ContainerRecord *record, bool durable, Error **err)
{
        _cleanup_free_ char *path = path_join(record->data_path, "state.json");
        _cleanup_free_ char *instead = path_join(record->run_path, "state.json");
        _cleanup_json_ json_t *json = fields_to_json(&past_table, &record->past);
        _cleanup_error_ Error *error = NULL;
        int r = durable ? document_save(path, STATE_FORMAT, json, &error)
                        : document_save_volatile(path, STATE_FORMAT, json, &error);

        if (r == -ERROR_NO_SPACE && document_save_volatile(instead, STATE_FORMAT, json, NULL) >= 0)
                return 0;
        if (r >= 0)
                unlink(instead);
        return error_move(err, &error, r);
}

int container_record_save_run(ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *path = path_join(record->run_path, "run.json"), *boot_id = layout_boot_id();
        _cleanup_json_ json_t *json = NULL;

        record->run.boot_id = arena_strdup(record->arena, boot_id);
        record->has_run = true;
        json = fields_to_json(&run_table, &record->run);
        return document_save_volatile(path, RUN_FORMAT, json, err);
}

int container_record_save_note(const ContainerRecord *record, Error **err)
{
        _cleanup_free_ char *path = path_join(record->run_path, "note.json");
        _cleanup_json_ json_t *json = fields_to_json(&note_table, record);
        int r;

        r = fs_make_directories(record->run_path, 0700, err);
        return r < 0 ? r : document_save_volatile(path, NOTE_FORMAT, json, err);
}

static int list_or_nothing(const char *path, char ***ret, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = fs_list_directory(AT_FDCWD, path, ret, &error);

        if (r == -ERROR_NOT_FOUND) {
                *ret = NULL;
                return 0;
        }
        return error_move(err, &error, r);
}

int container_record_folders(const Layout *layout, char ***ret, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "projects");

        return list_or_nothing(path, ret, err);
}

static bool is_id(const char *name)
{
        return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

int container_record_ids(const Layout *layout, const char *folder, char ***ret, Error **err)
{
        _cleanup_free_ char *path = layout_data(layout, "projects/%s/containers", folder);
        _cleanup_strv_ char **names = NULL;
        char **ids = NULL;
        int r;

        r = list_or_nothing(path, &names, err);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names)
                if (is_id(*name))
                        strv_add(&ids, *name);
        *ret = ids;
        return 0;
}

/* ERROR_CONFLICT where two containers' ids begin so. */
static int find_by_id(const Layout *layout, const char *prefix, char **ret_folder, char **ret_id, Error **err)
{
        _cleanup_strv_ char **folders = NULL;
        _cleanup_free_ char *folder_found = NULL, *id_found = NULL;
        int r;

        if (strlen(prefix) < 3 || strspn(prefix, "0123456789abcdef") != strlen(prefix))
                return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", prefix);
        r = container_record_folders(layout, &folders, err);
        if (r < 0)
                return r;
        STRV_FOREACH(folder, folders) {
                _cleanup_strv_ char **ids = NULL;
                if (container_record_ids(layout, *folder, &ids, NULL) < 0)
                        continue;
                STRV_FOREACH(id, ids) {
                        if (!startswith(*id, prefix))
                                continue;
                        if (id_found)
                                return error_set(err, ERROR_CONFLICT, "more than one container's id begins with \"%s\"",
                                                 prefix);
                        folder_found = xstrdup(*folder);
                        id_found = xstrdup(*id);
                }
        }
        if (!id_found)
                return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", prefix);
        *ret_folder = TAKE_PTR(folder_found);
        *ret_id = TAKE_PTR(id_found);
        return 0;
}

int container_record_find(const Layout *layout, const char *id_or_name, ContainerRecord **ret, Error **err)
{
        _cleanup_free_ char *folder = NULL, *id = NULL;
        _cleanup_error_ Error *error = NULL;
        int r = -ERROR_NOT_FOUND;

        if (!is_id(id_or_name))
                r = container_name_resolve(layout, id_or_name, &folder, &id, NULL);
        if (r < 0)
                r = find_by_id(layout, id_or_name, &folder, &id, err);
        if (r < 0)
                return r;
        r = container_record_load(layout, folder, id, ret, &error);
        if (r == -ERROR_NOT_FOUND)
                return error_set(err, ERROR_NOT_FOUND, "container \"%s\" does not exist", id_or_name);
        return error_move(err, &error, r);
}
