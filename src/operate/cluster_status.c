#include "operate/cluster_status.h"

#include <stdlib.h>

#include "base/mem.h"
#include "state/document.h"

#define APPLICATION "berth status"

/* In recovery there is no place where it writes. %s: the slot */
#define QUERY                                                                                                                 \
        "SELECT current_setting('server_version'), (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery()," \
        " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,"                   \
        " current_setting('max_slot_wal_keep_size'), s.active, s.wal_status, s.safe_wal_size,"                                \
        " CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint END,"           \
        " r.state, r.sync_state, r.flush_lsn, s.slot_name"                                                                    \
        " FROM (VALUES (1)) AS one LEFT JOIN pg_replication_slots s ON s.slot_name = %s"                                      \
        " LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid"

enum {
        VERSION,
        IDENTIFIER,
        IN_RECOVERY,
        FLUSH,
        LIMIT,
        ACTIVE,
        WAL_STATUS,
        LEFT,
        KEPT,
        STATE,
        SYNC_STATE,
        SENT_FLUSH,
        SLOT
};

static const char *cell(const PGresult *result, int column)
{
        return PQgetisnull(result, 0, column) ? NULL : PQgetvalue(result, 0, column);
}

static void set_number(json_t *object, const char *key, const char *text)
{
        if (text)
                json_object_set_new(object, key, json_integer(strtoll(text, NULL, 10)));
}

static json_t *slot_of(const PGresult *result, const PostgresTarget *target)
{
        int64_t room_bytes = postgres_log_room(target);
        json_t *slot;

        if (!cell(result, SLOT))
                return json_null();
        slot = json_pack("{s:b}", "active", streq_ptr(cell(result, ACTIVE), "t"));
        json_set_string(slot, "wal_status", cell(result, WAL_STATUS));
        set_number(slot, "kept_bytes", cell(result, KEPT));
        set_number(slot, "left_bytes", cell(result, LEFT));
        if (room_bytes >= 0)
                json_object_set_new(slot, "room_bytes", json_integer(room_bytes));
        return slot;
}

static json_t *sender_of(const PGresult *result)
{
        json_t *sender;

        if (!cell(result, STATE))
                return json_null();
        sender = json_pack("{s:s}", "state", cell(result, STATE));
        json_set_string(sender, "sync_state", cell(result, SYNC_STATE));
        json_set_string(sender, "flush_lsn", cell(result, SENT_FLUSH));
        return sender;
}

static json_t *settings_of(PGconn *sql, const json_t *names)
{
        json_t *settings = json_object(), *value;
        const char *name;

        json_object_foreach((json_t *)names, name, value) {
                _cleanup_free_ char *quoted = postgres_quote(sql, name);
                _cleanup_free_ char *statement = xasprintf("SELECT current_setting(%s, true)", quoted);
                _cleanup_result_ PGresult *result = PQexec(sql, statement);
                if (PQresultStatus(result) == PGRES_TUPLES_OK)
                        json_set_string(settings, name, cell(result, 0));
        }
        return settings;
}

int cluster_status(const PostgresTarget *target, const char *slot, const json_t *names, json_t **ret, Error **err)
{
        _cleanup_connection_ PGconn *sql = NULL;
        _cleanup_result_ PGresult *result = NULL;
        _cleanup_free_ char *quoted = NULL, *query = NULL;
        int r = postgres_connect(target, CONNECT_CONTROL, APPLICATION, &sql, err);

        if (r < 0)
                return r;
        quoted = postgres_quote(sql, slot);
        query = xasprintf(QUERY, quoted);
        result = PQexec(sql, query);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
                return postgres_error(err, sql, result, "look at the cluster");
        *ret = json_pack("{s:b, s:o, s:o, s:o}", "in_recovery", streq_ptr(cell(result, IN_RECOVERY), "t"), "slot",
                         slot_of(result, target), "sender", sender_of(result), "settings", settings_of(sql, names));
        json_set_string(*ret, "version", cell(result, VERSION));
        json_set_string(*ret, "system_identifier", cell(result, IDENTIFIER));
        json_set_string(*ret, "flush_lsn", cell(result, FLUSH));
        json_set_string(*ret, "limit", cell(result, LIMIT));
        return 0;
}
