/* The database's side of migrations: the connection, the table of one row, the lock. Compatible with golang-migrate's
 * driver, so that both tools can be used on one database in turn or at once. */
#ifndef BERTH_POSTGRES_MIGRATE_STATE_H
#define BERTH_POSTGRES_MIGRATE_STATE_H

#include <libpq-fe.h>
#include <signal.h>

#include "postgres/migrate/url.h"

typedef struct MigrateState {
        PGconn *connection;
        char *schema, *table;     /* of the state table, unquoted */
        char *quoted;             /* "schema"."table" as SQL */
        char *synchronous_commit; /* the user's own setting */
        uint32_t lock_number;
        bool table_exists;
        bool locked;
        char *borrowed_role; /* the session is a superuser's that became this role by SET ROLE; NULL: it is its own */
        char *login_refusal; /* why the role could not log in itself; NULL with borrowed_role NULL */
        /* Not 0: a signal asked to stop. A lock is not waited for any longer; a statement is finished, unless a second
         * signal came. NULL: never. Borrowed. */
        const volatile sig_atomic_t *stop;
} MigrateState;

void migrate_state_done(MigrateState *state);
#define _cleanup_migrate_state_ _cleanup_(migrate_state_done)

/* CRC32-IEEE(schema \0 table \0 name) times 1486364155 mod 2^32; name is the URL's path with its leading slash. */
uint32_t migrate_lock_number(const char *schema, const char *table, const char *name);

/* Connects and finds the schema and the table; makes nothing yet. Messages start with "failed to open database". */
int migrate_state_open(const DatabaseUrl *url, MigrateState *ret, Error **err);
/* From here on by a connection of url's user; schema and table stay as they were found. On failure the old one stays. */
int migrate_state_log_in_again(MigrateState *state, const DatabaseUrl *url, Error **err);
/* Polls for the lock up to timeout_ms ("timeout: can't acquire database lock"). */
int migrate_state_lock(MigrateState *state, int timeout_ms, Error **err);
/* Under the lock: makes the table where it is absent. */
int migrate_state_make_table(MigrateState *state, Error **err);
int migrate_state_unlock(MigrateState *state, Error **err);
/* -1 where nothing has been applied. */
int migrate_state_version(MigrateState *state, int64_t *ret_version, bool *ret_dirty, Error **err);
/* One row, or none for version -1 and not dirty. Durable when clean; a dirty mark is ordered before what follows it in
 * the write-ahead log and is not waited for. also: SQL that becomes true with it, or NULL. */
int migrate_state_set(MigrateState *state, int64_t version, bool dirty, const char *also, Error **err);
/* set(done, clean, also) and set(next, dirty) at once: two transactions in one round trip. */
int migrate_state_advance(MigrateState *state, int64_t done, int64_t next, const char *also, Error **err);
/* Text as a literal of SQL; the caller's. */
char *migrate_state_quote_literal(MigrateState *state, const char *text);
/* Drops every base table of the current schema. */
int migrate_state_drop(MigrateState *state, Error **err);

/* Runs SQL to its end, or to its first error. *ret_completed (may be NULL) counts the statements that were completed.
 * *ret_result is the last result or the failed one, the caller's; NULL where ret_result is NULL. */
int migrate_state_execute(MigrateState *state, const char *sql, size_t *ret_completed, PGresult **ret_result,
                          Error **err);

#endif
