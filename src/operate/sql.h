/* SQL for a database in a running container, by the container's own psql: over the server's socket, else over loopback
 * with the password that the container was given. Statements travel on standard input, never on a command line. */
#ifndef BERTH_OPERATE_SQL_H
#define BERTH_OPERATE_SQL_H

#include "base/strbuf.h"
#include "engine/engine.h"

/* Runs a script as the container's superuser; the first statement that fails ends it. database NULL: POSTGRES_DB.
 * *ret (NULL: not wanted): rows without headings, columns separated by tabs; the caller's. ERROR_UNAVAILABLE: no server
 * answered; ERROR_FAILED: what the server said. */
int sql_run(Engine *engine, const ContainerInfo *container, const char *database, const char *script, char **ret,
            Error **err);

typedef struct SqlRequest {
        const char *database; /* NULL: POSTGRES_DB */
        const char *host;     /* by TCP, with the password; NULL: by the socket, else over loopback */
        const char *password; /* NULL: the container's own */
        int timeout_ms;       /* past it ERROR_TIMEOUT; 0: none */
} SqlRequest;

/* The same by a certain way; errors are the server's words alone. */
int sql_ask(Engine *engine, const ContainerInfo *container, const SqlRequest *request, const char *script, char **ret,
            Error **err);
/* For other programs of PostgreSQL in the container: the environment (PGUSER, PGDATABASE, …) by which the server lets
 * them in. *ret, which is NULL before, is the caller's. */
int sql_find_way(Engine *engine, const ContainerInfo *container, const char *database, char ***ret, Error **err);

/* Reads all of the plain tables and filled materialized views c, in schema n, of the user's for which the condition holds, and prints
 * "TABLES ROWS". Each in a transaction of its own: the locks of all of them may be more than the server has room for. */
#define SQL_COUNT_ROWS(condition)                                                                                          \
        "DO $$ DECLARE t regclass; n bigint; tables bigint := 0; rows numeric := 0; BEGIN\n"                               \
        " FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm')\n" \
        "  AND relispopulated AND nspname <> 'information_schema' AND nspname !~ '^pg_' AND " condition " LOOP\n"          \
        "  EXECUTE format('SELECT count(*) FROM %s', t) INTO n; tables := tables + 1; rows := rows + n; COMMIT;\n"         \
        " END LOOP; PERFORM set_config('berth.rows', tables || ' ' || rows, false); END $$;\n"                             \
        "SELECT current_setting('berth.rows');\n"

/* 'text' and "text" for any text. */
void sql_add_literal(Strbuf *sql, const char *text);
void sql_add_identifier(Strbuf *sql, const char *name);
char *sql_identifier(const char *name); /* the caller's */

/* "ALTER ROLE … PASSWORD …" that leaves no password in the server's log: a SCRAM verifier computed here, or, for the
 * few texts that would have to be normalised first, the text itself with all logging of this session off. */
int sql_add_password(Strbuf *sql, const char *role, const char *password, Error **err);

#endif
