#include "operate/cluster_settings.h"

#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"

#define LOCK_MS             10000
#define SYNCHRONOUS_SETTING "synchronous_standby_names"
#define DOCUMENT_LIMIT      ((size_t)1 << 20)

static int lock(const char *repository_path, int *ret_fd, Error **err)
{
        _cleanup_free_ char *path = path_join(repository_path, "settings.lock");

        return lock_file(path, LOCK_MS, ret_fd, err);
}

static int save(const char *repository_path, json_t *document, Error **err)
{
        _cleanup_free_ char *path = path_join(repository_path, CLUSTER_SETTINGS_FILE);

        return document_save(path, CLUSTER_SETTINGS_FORMAT, document, err);
}

/* An older file that cannot be read is no reason to forget what it says. */
static int load_to_change(const char *repository_path, json_t **ret, Error **err)
{
        _cleanup_free_ char *path = path_join(repository_path, CLUSTER_SETTINGS_FILE);
        _cleanup_error_ Error *reason = NULL;
        int r = document_load(path, CLUSTER_SETTINGS_FORMAT, ret, &reason);

        if (r == -ERROR_NOT_FOUND) {
                *ret = json_object();
                return 0;
        }
        return r < 0 ? error_move(err, &reason, r) : 0;
}

int cluster_setting_written(PGconn *sql, const char *name, char **ret, Error **err)
{
        _cleanup_free_ char *quoted = postgres_quote(sql, name);
        _cleanup_free_ char *query = xasprintf("SELECT setting FROM pg_file_settings WHERE name = %s AND "
                                               "sourcefile LIKE '%%/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1",
                                               quoted);
        _cleanup_result_ PGresult *result = PQexec(sql, query);

        if (PQresultStatus(result) != PGRES_TUPLES_OK)
                return postgres_error(err, sql, result, "look at the settings");
        *ret = PQntuples(result) && !PQgetisnull(result, 0, 0) ? xstrdup(PQgetvalue(result, 0, 0)) : NULL;
        return 0;
}

/* value NULL: RESET. */
static int alter(PGconn *sql, const char *name, const char *value, Error **err)
{
        char *quoted = value ? PQescapeLiteral(sql, value, strlen(value)) : NULL;
        char *identifier = PQescapeIdentifier(sql, name, strlen(name));
        _cleanup_free_ char *statement = quoted ? xasprintf("ALTER SYSTEM SET %s = %s", identifier, quoted)
                                                : xasprintf("ALTER SYSTEM RESET %s", identifier);
        int r;

        PQfreemem(quoted);
        PQfreemem(identifier);
        r = postgres_execute(sql, statement, PGRES_COMMAND_OK, NULL, err);
        return r < 0 ? r : postgres_execute(sql, "SELECT pg_reload_conf()", PGRES_TUPLES_OK, NULL, err);
}

int cluster_setting_reset(PGconn *sql, const char *name, Error **err)
{
        return alter(sql, name, NULL, err);
}

static json_t *entry_of(json_t *document, const char *name)
{
        return json_object_get(json_object_get(document, "settings"), name);
}

static bool is_ours(const json_t *entry, const char *value)
{
        json_t *text;
        size_t i;

        json_array_foreach(json_object_get(entry, "ours"), i, text)
                if (streq(json_string_value(text), value))
                        return true;
        return false;
}

static void remember(json_t *document, const char *name, const char *before, const char *value)
{
        json_t *settings = json_object_get(document, "settings"), *entry;

        if (!settings) {
                settings = json_object();
                json_object_set_new(document, "settings", settings);
        }
        entry = json_object_get(settings, name);
        /* What we wrote ourselves at another time is nothing that was there before us. */
        if (!entry || !json_get_bool(entry, "on", false)) {
                json_t *ours = entry ? json_incref(json_object_get(entry, "ours")) : json_array();
                bool own = before && (streq(before, value) || (entry && is_ours(entry, before)));
                const char *first = own ? json_string_value(json_object_get(entry, "before")) : before;
                json_t *kept = first ? json_string(first) : json_null();

                entry = json_pack("{s:o, s:o}", "before", kept, "ours", ours ? ours : json_array());
                json_object_set_new(settings, name, entry);
        }
        json_object_set_new(entry, "on", json_true());
        if (!is_ours(entry, value))
                json_array_append_new(json_object_get(entry, "ours"), json_string(value));
}

int cluster_setting_set(PGconn *sql, const char *repository_path, const char *name, const char *value, Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_close_ int lock_fd = -1;
        _cleanup_free_ char *before = NULL;
        int r = lock(repository_path, &lock_fd, err);

        if (r == 0)
                r = cluster_setting_written(sql, name, &before, err);
        if (r == 0)
                r = load_to_change(repository_path, &document, err);
        if (r == 0) {
                remember(document, name, before, value);
                r = save(repository_path, document, err);
        }
        if (r == 0)
                r = alter(sql, name, value, err);
        return error_prefix(err, r, "setting %s", name);
}

int cluster_setting_take_back(PGconn *sql, const char *repository_path, const char *name, SettingEnd *ret_end,
                              Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_close_ int lock_fd = -1;
        _cleanup_free_ char *present = NULL;
        SettingEnd end = SETTING_WAS_NOT_OURS;
        json_t *entry;
        int r = lock(repository_path, &lock_fd, err);

        if (r == 0)
                r = load_to_change(repository_path, &document, err);
        if (r == 0)
                r = cluster_setting_written(sql, name, &present, err);
        entry = r == 0 ? entry_of(document, name) : NULL;
        if (r == 0 && entry) {
                const char *before = json_string_value(json_object_get(entry, "before"));

                if (present && is_ours(entry, present)) {
                        end = SETTING_TAKEN_BACK;
                        r = alter(sql, name, before, err);
                } else if (json_get_bool(entry, "on", false) && !streq_ptr(present, before)) {
                        end = SETTING_CHANGED_SINCE;
                }
                if (r == 0 && json_get_bool(entry, "on", false)) {
                        json_object_set_new(entry, "on", json_false());
                        r = save(repository_path, document, err);
                }
        }
        if (ret_end)
                *ret_end = end;
        return error_prefix(err, r, "setting %s", name);
}

int cluster_settings_note_slot(const char *repository_path, const char *slot, Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_close_ int lock_fd = -1;
        int r = lock(repository_path, &lock_fd, err);

        if (r == 0)
                r = load_to_change(repository_path, &document, err);
        if (r < 0 || streq_ptr(json_get_string(document, "slot", NULL), slot))
                return r;
        if (slot)
                json_set_string(document, "slot", slot);
        else
                json_object_del(document, "slot");
        return save(repository_path, document, err);
}

/* ---- elsewhere ---- */

int cluster_settings_send(const char *repository_path, Storage *to, Error **err)
{
        _cleanup_json_ json_t *remembered = cluster_settings_load(repository_path), *there = NULL, *going = NULL;
        json_t *settings = json_object_get(remembered, "settings");
        int r;

        if (!settings)
                return 0;
        json_object_del(settings, SYNCHRONOUS_SETTING);
        r = storage_get_document(to, CLUSTER_SETTINGS_FILE, CLUSTER_SETTINGS_FORMAT, DOCUMENT_LIMIT, &there, NULL);
        if (r == 0 && json_equal(settings, json_object_get(there, "settings")))
                return 0;
        going = json_pack("{s:O}", "settings", settings);
        return storage_put_document(to, CLUSTER_SETTINGS_FILE, CLUSTER_SETTINGS_FORMAT, going, err);
}

int cluster_settings_fetch(Storage *from, const char *repository_path, Error **err)
{
        _cleanup_free_ char *path = path_join(repository_path, CLUSTER_SETTINGS_FILE);
        _cleanup_json_ json_t *there = NULL, *kept = NULL;
        _cleanup_error_ Error *missing = NULL;
        int r;

        if (fs_exists(path))
                return 0;
        r = storage_get_document(from, CLUSTER_SETTINGS_FILE, CLUSTER_SETTINGS_FORMAT, DOCUMENT_LIMIT, &there,
                                 &missing);
        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &missing, r);
        kept = json_pack("{s:O*}", "settings", json_object_get(there, "settings"));
        return document_save(path, CLUSTER_SETTINGS_FORMAT, kept, err);
}
