#include "operate/release.h"

#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/cluster_settings.h"
#include "operate/synchronous_let_go.h"
#include "state/document.h"

#define APPLICATION   "berth release"
#define OBJECT_IN_USE "55006"
#define IN_USE_NS     (10 * NSEC_PER_SEC)
#define LOOK_NS       (50 * NSEC_PER_MSEC)
#define SYNCHRONOUS   "synchronous_standby_names"

/* The repository of the cluster that answers, which has no other name that lasts. */
static int find_repository(const ReleaseOptions *options, PGconn *sql, char **ret, Error **err)
{
        _cleanup_free_ char *identifier = NULL;
        int r = postgres_query_text(sql, "SELECT system_identifier FROM pg_control_system()", &identifier, err);

        if (r == 0 && isempty(identifier))
                r = error_set(err, ERROR_UNSUPPORTED, "the server does not say which cluster it is");
        if (r == 0)
                *ret = path_join(options->folder, identifier);
        return r;
}

static int open_cluster(const ReleaseOptions *options, PGconn **ret_sql, char **ret_repository, Error **err)
{
        int r = postgres_connect(&options->target, CONNECT_CONTROL, APPLICATION, ret_sql, err);

        return r < 0 ? r : find_repository(options, *ret_sql, ret_repository, err);
}

static int take_back(PGconn *sql, const char *repository, const char *name, const json_t *entry, json_t *changes,
                     Error **err)
{
        const char *before = json_string_value(json_object_get(entry, "before"));
        _cleanup_free_ char *present = NULL;
        json_t *change;
        SettingEnd end;
        int r = cluster_setting_written(sql, name, &present, err);

        if (r == 0)
                r = cluster_setting_take_back(sql, repository, name, &end, err);
        if (r < 0 || end == SETTING_WAS_NOT_OURS)
                return r;
        change = json_pack("{s:s, s:s, s:s}", "what", "setting", "name", name, "done",
                           end == SETTING_TAKEN_BACK ? "taken back" : "left");
        json_set_string(change, "value", present);
        json_set_string(change, "before", before);
        if (end == SETTING_CHANGED_SINCE)
                json_set_string(change, "reason", "somebody has changed it since");
        json_array_append_new(changes, change);
        return 0;
}

/* The sender of a receiver that has just ended may be a moment behind it. */
static bool is_in_use(const PGresult *result)
{
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

        return state && streq(state, OBJECT_IN_USE);
}

static int drop_slot(PGconn *sql, const ReleaseOptions *options, json_t *changes, Error **err)
{
        _cleanup_free_ char *quoted = postgres_quote(sql, options->slot);
        _cleanup_free_ char *query = xasprintf(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", quoted);
        const struct timespec pause = { .tv_nsec = LOOK_NS };
        int64_t until_ns = clock_monotonic_ns() + IN_USE_NS;
        _cleanup_result_ PGresult *result = PQexec(sql, query);

        while (is_in_use(result) && clock_monotonic_ns() < until_ns) {
                nanosleep(&pause, NULL);
                PQclear(result);
                result = PQexec(sql, query);
        }
        if (is_in_use(result))
                return error_set(err, ERROR_CONFLICT, "the replication slot \"%s\" is in use", options->slot);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
                return postgres_error(err, sql, result, "drop the replication slot");
        if (PQntuples(result))
                json_array_append_new(changes, json_pack("{s:s, s:s, s:s}", "what", "slot", "name", options->slot,
                                                         "done", "dropped"));
        return 0;
}

/* Of the others: what is remembered. */
static int take_all_back(PGconn *sql, const char *repository, json_t *changes, Error **err)
{
        _cleanup_json_ json_t *remembered = cluster_settings_load(repository);
        const char *name;
        json_t *entry;
        int r = 0;

        /* First what makes commits wait. */
        entry = json_object_get(json_object_get(remembered, "settings"), SYNCHRONOUS);
        if (entry)
                r = take_back(sql, repository, SYNCHRONOUS, entry, changes, err);
        json_object_foreach(json_object_get(remembered, "settings"), name, entry)
                if (r == 0 && !streq(name, SYNCHRONOUS))
                        r = take_back(sql, repository, name, entry, changes, err);
        return r;
}

/* Commits go on, whatever becomes of the rest. */
static int free_commits(const ReleaseOptions *options, PGconn *sql, json_t *changes, Error **err)
{
        _cleanup_free_ char *present = NULL;
        int r = cluster_setting_written(sql, SYNCHRONOUS, &present, err);

        if (r == 0)
                r = synchronous_let_go(&options->target, options->slot, NULL, err);
        if (r == 0 && streq_ptr(present, options->slot))
                json_array_insert_new(changes, 0,
                                      json_pack("{s:s, s:s, s:s, s:s}", "what", "setting", "name", SYNCHRONOUS, "done",
                                                "taken back", "value", present));
        return r;
}

int cluster_release(const ReleaseOptions *options, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *changes = json_array();
        _cleanup_connection_ PGconn *sql = NULL;
        _cleanup_free_ char *repository = NULL;
        _cleanup_error_ Error *settings_error = NULL;
        bool remembers;
        int settings = 0, r = open_cluster(options, &sql, &repository, err);

        if (r < 0) {
                synchronous_let_go(&options->target, options->slot, NULL, NULL); /* commits go on all the same */
                return r;
        }
        remembers = fs_is_directory(repository);
        if (remembers)
                settings = take_all_back(sql, repository, changes, &settings_error);
        r = free_commits(options, sql, changes, err);
        if (r == 0 && settings < 0)
                r = error_move(err, &settings_error, settings);
        if (r == 0)
                r = drop_slot(sql, options, changes, err);
        if (r == 0 && remembers)
                r = cluster_settings_note_slot(repository, NULL, err);
        if (r == 0)
                *ret = json_pack("{s:O, s:s}", "changes", changes, "repository", repository);
        return r;
}

int cluster_release_synchronous(const ReleaseOptions *options, Error **err)
{
        _cleanup_connection_ PGconn *sql = NULL;
        _cleanup_free_ char *repository = NULL;

        if (open_cluster(options, &sql, &repository, NULL) < 0)
                free_and_replace(&repository, NULL);
        PQfinish(TAKE_PTR(sql));
        return synchronous_let_go(&options->target, options->slot, repository, err);
}
