#include "operate/collations.h"

#include "base/mem.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "operate/sql.h"

/* Rows are differences. Collations of the libc may be of locales that are not installed, so they are left out where the libc is
 * the same; what the server cannot tell the version of is an error, and no agreement. */
#define OF_ICU \
        "SELECT 1 FROM pg_collation WHERE collprovider = 'i' AND collversion IS DISTINCT FROM pg_collation_actual_version(oid);\n"
#define OF_ALL "SELECT 1 FROM pg_collation WHERE collversion IS DISTINCT FROM pg_collation_actual_version(oid);\n"
#define OF_DATABASES \
        "SELECT 1 FROM pg_database WHERE datallowconn AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid);\n"
#define HAS_DATABASES "SELECT current_setting('server_version_num')::int >= 150000;\n"
#define NAMES         "SELECT datname FROM pg_database WHERE datallowconn AND strpos(datname, chr(10)) = 0;\n"

typedef struct Server {
        Engine *engine;
        const ContainerInfo *info;
} Server;

static bool agrees(const Server *server, const char *database, const char *query)
{
        _cleanup_free_ char *text = NULL;

        return sql_run(server->engine, server->info, database, query, &text, NULL) == 0 && !*text;
}

static bool all_agree(const Server *server, bool same_libc)
{
        _cleanup_free_ char *text = NULL, *has_databases = NULL;
        _cleanup_strv_ char **names = NULL;

        if (sql_run(server->engine, server->info, NULL, HAS_DATABASES, &has_databases, NULL) < 0 ||
            sql_run(server->engine, server->info, NULL, NAMES, &text, NULL) < 0)
                return false;
        if (*has_databases == 't' ? !agrees(server, NULL, OF_DATABASES) : !same_libc)
                return false;
        names = strv_split(text, '\n');
        STRV_FOREACH(name, names)
                if (**name && !agrees(server, *name, same_libc ? OF_ICU : OF_ALL))
                        return false;
        return true;
}

/* The part of a note that names the libraries: "postgres:15, glibc 2.36, ICU 72"; NULL. */
static const char *libraries_in(const char *note)
{
        const char *found = strstr(note, ", glibc ");

        if (!found)
                found = strstr(note, ", musl ");
        return found ? found + 2 : NULL;
}

static const char *after_part(const char *text)
{
        const char *comma = strstr(text, ", ");

        return comma ? comma + 2 : "";
}

/* What stands behind the libraries stays. */
static char *updated_note(const char *earlier, const char *then, const char *now)
{
        const char *rest = after_part(then);

        if (startswith(rest, "ICU "))
                rest = after_part(rest);
        return xasprintf("%.*s%s%s%s", (int)(then - earlier), earlier, now, *rest ? ", " : "", rest);
}

static char *find_note(Engine *engine, const ContainerInfo *info, const char *libraries, char **ret_volume)
{
        _cleanup_(volume_info_freep) VolumeInfo *volume = NULL;
        _cleanup_free_ char *folder = NULL, *text = NULL;
        const char *path = data_folder_of_spec(info->spec), *then;
        const Server server = { engine, info };
        const SpecMount *mount = NULL;
        size_t libc = strcspn(libraries, ",");
        bool is_new;

        folder = path ? data_folder_on_host(engine, info->spec, path, &mount, &is_new) : NULL;
        if (!folder || !mount || mount->kind != SPEC_MOUNT_VOLUME ||
            engine->operations->volume_inspect(engine, mount->source, false, &volume, NULL) < 0 || !volume->written_by)
                return NULL;
        then = libraries_in(volume->written_by);
        /* From one kind of libc to another nothing agrees, whatever the versions say. */
        if (!then || strncmp(then, libraries, strcspn(libraries, " ")) != 0)
                return NULL;
        text = updated_note(volume->written_by, then, libraries);
        if (streq(text, volume->written_by) ||
            !all_agree(&server, strncmp(then, libraries, libc) == 0 && (!then[libc] || then[libc] == ',')))
                return NULL;
        *ret_volume = xstrdup(mount->source);
        return TAKE_PTR(text);
}

char *collations_note(Engine *engine, const char *container, const char *libraries, char **ret_volume)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;

        if (!libraries || engine->operations->container_inspect(engine, container, &info, NULL) < 0 ||
            info->state != CONTAINER_RUNNING)
                return NULL;
        return find_note(engine, info, libraries, ret_volume);
}
