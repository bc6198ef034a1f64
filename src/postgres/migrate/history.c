#include "postgres/migrate/history.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/parse.h"
#include "base/sha256.h"

void migration_history_done(MigrationHistory *history)
{
        VECTOR_FOREACH(record, &history->records) {
                free(record->name);
                free(record->checksum);
                free(record->applied_at);
        }
        vector_done(&history->records);
        *history = (MigrationHistory){ 0 };
}

char *migration_checksum(const Strbuf *text)
{
        unsigned char digest[SHA256_SIZE];
        Sha256 hash;
        size_t begin = 0;

        sha256_init(&hash);
        for (size_t i = 0; i < text->length; i++)
                if (text->data[i] == '\r' && i + 1 < text->length && text->data[i + 1] == '\n') {
                        sha256_add(&hash, text->data + begin, i - begin);
                        begin = i + 1;
                }
        if (text->length > begin)
                sha256_add(&hash, text->data + begin, text->length - begin);
        sha256_finish(&hash, digest);
        return hex_encode(digest, sizeof(digest));
}

static int compare(const void *a, const void *b)
{
        const MigrationRecord *left = a, *right = b;

        return (left->version > right->version) - (left->version < right->version);
}

const MigrationRecord *migration_history_find(const MigrationHistory *history, uint64_t version)
{
        MigrationRecord wanted = { .version = version };

        return history->records.length ? bsearch(&wanted, history->records.items, history->records.length,
                                                 sizeof(MigrationRecord), compare)
                                       : NULL;
}

/* By the catalogues: asking for the name itself fails where the schema is somebody else's. */
static int look(MigrateState *state, MigrationHistory *history, Error **err)
{
        PGresult *result = NULL;
        int r = migrate_state_execute(
                state,
                "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), "
                "has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND "
                "has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') AND "
                "has_table_privilege(c.oid, 'DELETE') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
                "n.oid = c.relnamespace WHERE n.nspname = 'berth' AND c.relname = 'migrations'",
                NULL, &result, err);

        if (r == 0 && PQntuples(result) > 0) {
                history->exists = streq(PQgetvalue(result, 0, 0), "t");
                history->writable = streq(PQgetvalue(result, 0, 1), "t");
        }
        PQclear(result);
        return r;
}

static char *value_or_null(const PGresult *result, int row, int column)
{
        return PQgetisnull(result, row, column) ? NULL : xstrdup(PQgetvalue(result, row, column));
}

static int read_records(MigrateState *state, MigrationHistory *history, Error **err)
{
        _cleanup_free_ char *key = migrate_state_quote_literal(state, state->quoted);
        _cleanup_free_ char *sql =
                xasprintf("SELECT version, name, checksum, to_char(applied_at AT TIME ZONE 'UTC', "
                          "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), adopted FROM berth.migrations WHERE state_table = %s "
                          "ORDER BY version",
                          key);
        PGresult *result = NULL;
        int r = migrate_state_execute(state, sql, NULL, &result, err);

        for (int i = 0; r == 0 && i < PQntuples(result); i++) {
                int64_t version;
                if (!parse_int64(PQgetvalue(result, i, 0), 0, INT64_MAX, &version))
                        continue;
                vector_add(&history->records, (MigrationRecord){ .version = (uint64_t)version,
                                                                 .name = value_or_null(result, i, 1),
                                                                 .checksum = value_or_null(result, i, 2),
                                                                 .applied_at = value_or_null(result, i, 3),
                                                                 .adopted = streq(PQgetvalue(result, i, 4), "t") });
        }
        PQclear(result);
        return r;
}

int migration_history_load(MigrateState *state, MigrationHistory *ret, Error **err)
{
        _cleanup_migration_history_ MigrationHistory history = { 0 };
        int r = look(state, &history, err);

        if (r == 0 && history.exists)
                r = read_records(state, &history, err);
        if (r < 0)
                return r;
        *ret = history;
        history = (MigrationHistory){ 0 };
        return 0;
}

static int make_table(MigrateState *state, Error **err)
{
        static const char sql[] =
                "BEGIN; CREATE SCHEMA IF NOT EXISTS berth; CREATE TABLE IF NOT EXISTS berth.migrations (state_table "
                "text NOT NULL, version bigint NOT NULL, name text NOT NULL, checksum text, applied_at timestamptz NOT "
                "NULL DEFAULT now(), adopted boolean NOT NULL DEFAULT false, PRIMARY KEY (state_table, version)); "
                "COMMIT";
        _cleanup_error_ Error *error = NULL;
        int r = migrate_state_execute(state, sql, NULL, NULL, &error);

        if (r == 0)
                return 0;
        if (PQtransactionStatus(state->connection) != PQTRANS_IDLE)
                migrate_state_execute(state, "ROLLBACK", NULL, NULL, NULL);
        /* Not allowed, or another migrator was a moment faster: whoever looks next sees which. */
        if (startswith(error->sqlstate, "42") || startswith(error->sqlstate, "23"))
                return 0;
        return error_move(err, &error, r);
}

/* ---- steps ---- */

static char *insert(MigrateState *state, uint64_t version, const char *name, const char *checksum, bool adopted)
{
        _cleanup_free_ char *key = migrate_state_quote_literal(state, state->quoted);
        _cleanup_free_ char *name_text = migrate_state_quote_literal(state, name);

        return xasprintf(
                "INSERT INTO berth.migrations AS m (state_table, version, name, checksum, applied_at, adopted) "
                "VALUES (%s, %" PRIu64 ", %s, %s%s%s, clock_timestamp(), %s) ON CONFLICT (state_table, version) "
                "DO UPDATE SET name = excluded.name, checksum = excluded.checksum, applied_at = "
                "excluded.applied_at, adopted = excluded.adopted;",
                key, version, name_text, checksum ? "'" : "", checksum ? checksum : "NULL", checksum ? "'" : "",
                adopted ? "true" : "false");
}

char *migration_history_note(MigrateState *state, const MigrationHistory *history, const MigrateStep *step,
                             const char *checksum)
{
        _cleanup_free_ char *key = NULL;

        if (!history->writable)
                return NULL;
        if (step->up)
                return insert(state, step->version, step->name, checksum, false);
        key = migrate_state_quote_literal(state, state->quoted);
        return xasprintf("DELETE FROM berth.migrations WHERE state_table = %s AND version >= %" PRIu64 ";", key,
                         step->version);
}

static int adopt(MigrateState *state, const MigrationSource *source, const Migration *migration, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_free_ char *checksum = NULL, *sql = NULL;

        if (migration->up.file) {
                int r = migration_source_read(source, migration->up.file, &text, err);
                if (r < 0)
                        return r;
                checksum = migration_checksum(&text);
        }
        sql = insert(state, migration->version, migration->up.file ? migration->up.name : "<empty>", checksum, true);
        return migrate_state_execute(state, sql, NULL, NULL, err);
}

static bool is_stale(const MigrationHistory *history, int64_t current)
{
        const MigrationRecord *last =
                history->records.length ? &history->records.items[history->records.length - 1] : NULL;

        return last && (current < 0 || last->version > (uint64_t)current);
}

static int catch_up(MigrateState *state, const MigrationSource *source, int64_t current, MigrationHistory *history,
                    Error **err)
{
        _cleanup_free_ char *key = migrate_state_quote_literal(state, state->quoted), *sql = NULL;
        int64_t known = history->records.length ? (int64_t)history->records.items[history->records.length - 1].version
                                                : MIGRATE_NIL_VERSION;
        bool changed = is_stale(history, current);
        int r = 0;

        if (changed) {
                sql = xasprintf("DELETE FROM berth.migrations WHERE state_table = %s AND version > %" PRId64, key,
                                current);
                r = migrate_state_execute(state, sql, NULL, NULL, err);
        }
        VECTOR_FOREACH(migration, &source->migrations) {
                if (r < 0 || (int64_t)migration->version <= known || (int64_t)migration->version > current)
                        continue;
                r = adopt(state, source, migration, err);
                changed = true;
        }
        if (r < 0 || !changed)
                return r;
        migration_history_done(history);
        return migration_history_load(state, history, err);
}

int migration_history_open(MigrateState *state, const MigrationSource *source, int64_t current, bool make,
                           MigrationHistory *ret, Error **err)
{
        _cleanup_migration_history_ MigrationHistory history = { 0 };
        int r = migration_history_load(state, &history, err);

        if (r == 0 && !history.exists && make) {
                r = make_table(state, err);
                if (r == 0)
                        r = migration_history_load(state, &history, err);
        }
        if (r == 0 && history.writable)
                r = catch_up(state, source, current, &history, err);
        if (r < 0)
                return error_prefix(err, r, "history of migrations");
        *ret = history;
        history = (MigrationHistory){ 0 };
        return 0;
}
