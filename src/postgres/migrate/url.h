/* Database URLs as golang-migrate takes them, turned into connection parameters of libpq. */
#ifndef BERTH_POSTGRES_MIGRATE_URL_H
#define BERTH_POSTGRES_MIGRATE_URL_H

#include "base/error.h"

typedef struct DatabaseUrl {
        char **keywords, **values;    /* for PQconnectdbParams; the password among them */
        char *lock_name;              /* the path with its leading slash: part of the lock's number; "" where none */
        char *table;                  /* x-migrations-table; NULL: schema_migrations */
        bool table_quoted;            /* x-migrations-table-quoted: "schema"."table" */
        int64_t statement_timeout_ms; /* x-statement-timeout; 0: none */
        bool multi_statement;         /* x-multi-statement: a statement at a time, without the implicit transaction */
        bool password_was_decoded;    /* it held a %: a wrong password may be an unencoded one */
} DatabaseUrl;

void database_url_done(DatabaseUrl *url);
#define _cleanup_database_url_ _cleanup_(database_url_done)

/* What stands before the first colon; *ret is the caller's. "URL cannot be empty", "no scheme". */
int url_scheme(const char *url, char **ret, Error **err);
/* ERROR_INVALID with a message that never holds the password; where one seems to hold characters that a URL must have
 * encoded, the message says which. */
int database_url_parse(const char *text, DatabaseUrl *ret, Error **err);

/* What came by another way than the URL. An empty password is none. */
void database_url_set_user(DatabaseUrl *url, const char *user);
void database_url_set_password(DatabaseUrl *url, const char *password);

#endif
