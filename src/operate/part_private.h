/* Parts of part.c. */
#ifndef BERTH_OPERATE_PART_PRIVATE_H
#define BERTH_OPERATE_PART_PRIVATE_H

#include "base/strbuf.h"
#include "operate/part.h"

typedef struct PartServers {
        const Part *part;
        Engine *engine;
        const ContainerInfo *running, *copy;
        const EngineProgress *progress;
} PartServers;

typedef struct PartStream {
        const char *from, *to; /* databases of the copy and of the running server */
        char *const *tables;   /* patterns of pg_dump; NULL: all */
        bool clean;
        const char *check; /* SQL that ends the transaction badly where something is missing; NULL */
} PartStream;

/* pg_dump of the copy into psql of the running server. Tables come in one transaction, committed once pg_dump has ended well; a whole
 * database, which is new and nobody's yet, does not: the locks of all its tables may be more than the server has room for. */
int part_stream(const PartServers *servers, const PartStream *stream, Error **err);
/* One whole database: made under another name, filled, counted, and then given its name. Adds to results. */
int part_restore_database(const PartServers *servers, const char *name, const char *target, json_t *results,
                          Error **err);
int part_restore_tables(const PartServers *servers, json_t *results, Error **err);

/* part_rename.c. In the copy: table and what is named after it get names of which nothing in the running database has one; its
 * foreign keys go (*ret_keys: so many). *ret: the new name as SQL has it. ERROR_NOT_FOUND: the running database has no such schema. */
int part_rename_table(const PartServers *servers, const PartStream *stream, const char *table, const char *as_table,
                      char **ret, int64_t *ret_keys, Error **err);
/* as_table with its schema, by text alone. */
int part_new_name(Engine *engine, const ContainerInfo *container, const char *database, const char *table,
                  const char *as_table, char **ret, Error **err);

/* part_extras.c. Statements that make the extended statistics of tables ("schema"."table", a strv, as the copy has them) are added to
 * script. */
int part_add_statistics(const PartServers *servers, const PartStream *stream, char *const *tables, Strbuf *script,
                        Error **err);
/* What does not come with table: row gets "children_left_out" (tables that inherit from it) and "publications_left_out". */
int part_note_left_out(const PartServers *servers, const PartStream *stream, const char *table, json_t *row,
                       Error **err);

/* Names that a query gives, a line each; the caller's. */
int part_ask(Engine *engine, const ContainerInfo *container, const char *database, const char *script, char **ret,
             Error **err);
bool part_database_exists(Engine *engine, const ContainerInfo *container, const char *name, int *ret_error,
                          Error **err);

#endif
