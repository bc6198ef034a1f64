#include "postgres/data_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

DataFolderKind data_folder_kind(const char *path)
{
        static const char *const empty[] = { "pg_dynshmem",  "pg_notify",   "pg_replslot", "pg_serial",
                                             "pg_snapshots", "pg_stat_tmp", "pg_subtrans" };

        if (streq(path, "pg_wal"))
                return DATA_FOLDER_WAL;
        if (streq(path, "pg_tblspc"))
                return DATA_FOLDER_TABLESPACES;
        for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
                if (streq(path, empty[i]))
                        return DATA_FOLDER_EMPTY;
        return DATA_FOLDER_PLAIN;
}

/* A plain number, and where it ends; NULL where there is none. */
static const char *skip_number(const char *text, uint32_t *ret)
{
        unsigned long long value;
        char *end;

        if (*text < '0' || *text > '9')
                return NULL;
        value = strtoull(text, &end, 10);
        *ret = (uint32_t)value;
        return value > UINT32_MAX ? NULL : end;
}

static bool is_number(const char *text)
{
        uint32_t value;
        const char *end = skip_number(text, &value);

        return end && !*end;
}

bool data_folder_has_relations(const char *path)
{
        const char *rest = startswith(path, "base/");

        if (!rest && (rest = startswith(path, "pg_tblspc/"))) {
                rest = strchr(rest, '/'); /* behind the tablespace, then behind its version */
                rest = rest ? strchr(rest + 1, '/') : NULL;
                rest = rest ? rest + 1 : "";
        }
        return rest ? is_number(rest) : streq(path, "global");
}

bool data_file_is_left_out(const char *name)
{
        static const char *const names[] = {
                "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label",    "tablespace_map",
                "backup_manifest",          "postmaster.pid",       "postmaster.opts", ".DS_Store"
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(name, names[i]))
                        return true;
        return startswith(name, "pgsql_tmp") || startswith(name, "pg_internal.init");
}

bool relation_file_parse(const char *name, RelationFile *ret)
{
        static const char *const forks[] = { [FORK_FSM] = "_fsm", [FORK_VM] = "_vm", [FORK_INIT] = "_init" };
        uint32_t process;

        *ret = (RelationFile){ .temporary = *name == 't' };
        if (ret->temporary) {
                name = skip_number(name + 1, &process);
                if (!name || *name++ != '_')
                        return false;
        }
        name = skip_number(name, &ret->number);
        for (int fork = FORK_FSM; name && fork <= FORK_INIT; fork++)
                if (startswith(name, forks[fork])) {
                        ret->fork = fork;
                        name += strlen(forks[fork]);
                        break;
                }
        if (name && *name == '.')
                name = skip_number(name + 1, &ret->segment);
        return name && !*name;
}
