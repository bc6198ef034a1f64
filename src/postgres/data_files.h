/* Which files of a cluster's data folder belong to a base backup, by their names alone: the rules of PostgreSQL's
 * src/backend/backup/basebackup.c, so that what we read by ourselves is what BASE_BACKUP would have sent. libc only. */
#ifndef BERTH_POSTGRES_DATA_FILES_H
#define BERTH_POSTGRES_DATA_FILES_H

#include "base/macros.h"

typedef enum DataFolderKind {
        DATA_FOLDER_PLAIN,       /* taken with what is in it */
        DATA_FOLDER_EMPTY,       /* taken without: the server fills it at its start */
        DATA_FOLDER_WAL,         /* pg_wal: its files are taken after the backup's end, by their numbers */
        DATA_FOLDER_TABLESPACES, /* pg_tblspc: links */
} DataFolderKind;

/* path: below the data folder. */
DataFolderKind data_folder_kind(const char *path);
/* Whether folders at path hold relations: "global", "base/5", "pg_tblspc/16400/PG_15_202209061/5". */
bool data_folder_has_relations(const char *path);
/* Never taken, wherever it lies. */
bool data_file_is_left_out(const char *name);

typedef struct RelationFile {
        uint32_t number; /* of the relation's files, not of the relation */
        enum { FORK_MAIN, FORK_FSM, FORK_VM, FORK_INIT } fork;
        uint32_t segment;
        bool temporary; /* of a session */
} RelationFile;

/* false where the name is not one of a relation's file. */
bool relation_file_parse(const char *name, RelationFile *ret);

#endif
