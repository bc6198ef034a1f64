/* Parts of a backup: a database or tables are taken out of a restored copy by its pg_dump and brought into the running server in
 * one transaction. Nothing that exists there is touched unless clean is set, and then only once the new is whole. */
#ifndef BERTH_OPERATE_PART_H
#define BERTH_OPERATE_PART_H

#include "operate/restore_service.h"

typedef struct Part {
        ServiceRestore restore; /* into: throwaway_volume(…, PART_SUFFIX) */
        char *const *databases; /* with tables: at most one, which they are in (none: POSTGRES_DB) */
        char *const *tables;    /* as SQL names them: "schema.table"; NULL: whole databases */
        const char *as_table;   /* the one table gets this name; its schema is the table's where none is said; NULL */
        const char *into;       /* the database that the tables, or the one database, go to; NULL: of the same name */
        bool clean;             /* replaces what exists */
} Part;

/* Before anything is restored: the service runs, and nothing is in the way. ERROR_EXISTS names what is. */
int part_check(const Part *part, Error **err);
/* *ret: {"backup", "parts": [{"name", "tables", "rows", "of"?, "foreign_keys_left_out"?, "children_left_out"?,
 * "publications_left_out"?}]}. The copy is thrown away, however it ends. */
int part_restore(const Part *part, const EngineProgress *progress, json_t **ret, Error **err);

#endif
