#include "operate/login.h"

#include "base/mem.h"
#include "base/strv.h"
#include "operate/data_folder.h"

void database_login_done(DatabaseLogin *login)
{
        free(login->user);
        free(login->database);
        free(login->port);
        free_secretp(&login->password);
        *login = (DatabaseLogin){ 0 };
}

char *container_variable(const ContainerInfo *info, const char *name, const char *fallback)
{
        _cleanup_free_ char *file_name = xasprintf("%s_FILE", name);
        _cleanup_(free_secretp) char *content = NULL;
        const char *value = info->spec ? strv_env_get(info->spec->environment, name) : NULL, *path;

        if (!isempty(value))
                return xstrdup(value);
        path = info->spec ? strv_env_get(info->spec->environment, file_name) : NULL;
        content = isempty(path) ? NULL : data_folder_read_file(info->spec, path);
        return xstrdup(isempty(content) ? fallback : content);
}

void database_login_of(const ContainerInfo *info, DatabaseLogin *ret)
{
        char *user = container_variable(info, "POSTGRES_USER", "postgres");

        *ret = (DatabaseLogin){
                .user = user,
                .database = container_variable(info, "POSTGRES_DB", user),
                .port = container_variable(info, "PGPORT", "5432"),
                .password = container_variable(info, "POSTGRES_PASSWORD", ""),
        };
}

/* Defaults only: what the arguments say wins. The files of secrets are read inside, where they are. */
static const char client_script[] =
        "value() { eval \"v=\\${$1:-}\"; eval \"f=\\${$1_FILE:-}\"; [ -n \"$v\" ] || [ -z \"$f\" ] || v=$(cat \"$f\"); "
        "printf %s \"$v\"; }\n"
        "PGUSER=$(value POSTGRES_USER) PGPASSWORD=$(value POSTGRES_PASSWORD) PGDATABASE=$(value POSTGRES_DB)\n"
        "PGUSER=${PGUSER:-postgres}\n"
        "PGDATABASE=${PGDATABASE:-$PGUSER}\n"
        "export PGUSER PGPASSWORD PGDATABASE\n"
        "exec \"$@\"\n";

char **database_client(char *const *command)
{
        char **argv = strv_new("sh", "-c", client_script, "sh", NULL);

        strv_add_all(&argv, command);
        return argv;
}
