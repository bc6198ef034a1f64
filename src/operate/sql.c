#include "operate/sql.h"

#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/login.h"
#include "postgres/scram.h"

#define OUTPUT_LIMIT  ((size_t)4 * 1024 * 1024)
#define NO_CONNECTION 2 /* psql's exit status */

static char *read_back(int fd)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        lseek(fd, 0, SEEK_SET);
        fs_read_fd(fd, OUTPUT_LIMIT, &text, NULL);
        return strbuf_take(&text);
}

/* "psql:<stdin>:3: ERROR:  …" and the like: the first line, from its level on. */
static char *reason_of(const char *errors)
{
        const char *line = errors, *start;

        for (const char *next = errors; next && *next; next = strchr(next, '\n') ? strchr(next, '\n') + 1 : NULL)
                if (strstr(next, "ERROR:") || strstr(next, "FATAL:")) {
                        line = next;
                        break;
                }
        start = strstr(line, "ERROR:");
        if (!start || start > line + strcspn(line, "\n"))
                start = strstr(line, "FATAL:");
        if (!start || start > line + strcspn(line, "\n"))
                start = line;
        else
                start += strlen("ERROR:") + strspn(start + strlen("ERROR:"), " ");
        return xstrndup(start, strcspn(start, "\n"));
}

static char **client_environment(const DatabaseLogin *login, const SqlRequest *request, const char *host)
{
        char **environment = NULL;

        strv_env_set(&environment, "PGUSER", login->user);
        strv_env_set(&environment, "PGPORT", login->port);
        strv_env_set(&environment, "PGDATABASE", request->database ? request->database : login->database);
        if (host) {
                strv_env_set(&environment, "PGHOST", host);
                strv_env_set(&environment, "PGPASSWORD", request->password ? request->password : login->password);
        }
        strv_env_set(&environment, "PGCONNECT_TIMEOUT", "10");
        strv_env_set(&environment, "LC_ALL", "C");
        return environment;
}

static int run_psql(Engine *engine, const ContainerInfo *container, const SqlRequest *request, char *const *environment,
                    const char *script, int *ret_code, char **ret, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("psql", "-XAtqw", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-", NULL);
        _cleanup_close_ int input = fs_memory_file("sql", script, strlen(script), err), output = -1, errors = -1;
        ExecSpec spec = { .argv = argv, .environment = environment, .timeout_ms = request->timeout_ms };
        int r;

        if (input < 0)
                return input;
        output = fs_memory_file("output", NULL, 0, err);
        if (output < 0)
                return output;
        errors = fs_memory_file("errors", NULL, 0, err);
        if (errors < 0)
                return errors;
        spec.stdin_fd = input;
        spec.stdout_fd = output;
        spec.stderr_fd = errors;
        r = engine->operations->exec_stdio(engine, container->id, &spec, ret_code, err);
        if (r >= 0)
                *ret = read_back(*ret_code == 0 ? output : errors);
        return r;
}

/* By the host that is asked for, else by the socket, and where that lets nobody in, over loopback. *ret_environment:
 * the way that was taken. */
static int run_by_some_way(Engine *engine, const ContainerInfo *container, const SqlRequest *request,
                           const char *script, char ***ret_environment, char **ret, Error **err)
{
        const char *const ways[] = { request->host, request->host ? NULL : "127.0.0.1" };
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_free_ char *text = NULL, *reason = NULL;
        int code = 0, r = 0;

        database_login_of(container, &login);
        for (size_t i = 0; i < (request->host ? 1 : ARRAY_SIZE(ways)); i++) {
                free_and_replace(&text, NULL);
                strv_free(*ret_environment);
                *ret_environment = client_environment(&login, request, ways[i]);
                r = run_psql(engine, container, request, *ret_environment, script, &code, &text, err);
                if (r < 0)
                        return r;
                if (code != NO_CONNECTION)
                        break;
        }
        if (code == 0) {
                if (ret)
                        *ret = TAKE_PTR(text);
                return 0;
        }
        reason = reason_of(text);
        return error_set(err, code == NO_CONNECTION ? ERROR_UNAVAILABLE : ERROR_FAILED, "%s", reason);
}

int sql_ask(Engine *engine, const ContainerInfo *container, const SqlRequest *request, const char *script, char **ret,
            Error **err)
{
        _cleanup_strv_ char **environment = NULL;

        return run_by_some_way(engine, container, request, script, &environment, ret, err);
}

int sql_run(Engine *engine, const ContainerInfo *container, const char *database, const char *script, char **ret,
            Error **err)
{
        const SqlRequest request = { .database = database };

        return error_prefix(err, sql_ask(engine, container, &request, script, ret, err), "database of %s",
                            container->name);
}

int sql_find_way(Engine *engine, const ContainerInfo *container, const char *database, char ***ret, Error **err)
{
        const SqlRequest request = { .database = database };

        return error_prefix(err, run_by_some_way(engine, container, &request, "SELECT 1;\n", ret, NULL, err),
                            "database of %s", container->name);
}

void sql_add_literal(Strbuf *sql, const char *text)
{
        strbuf_adds(sql, strchr(text, '\\') ? " E'" : "'");
        for (; *text; text++) {
                if (*text == '\'' || *text == '\\')
                        strbuf_addc(sql, *text);
                strbuf_addc(sql, *text);
        }
        strbuf_addc(sql, '\'');
}

void sql_add_identifier(Strbuf *sql, const char *name)
{
        strbuf_addc(sql, '"');
        for (; *name; name++) {
                if (*name == '"')
                        strbuf_addc(sql, '"');
                strbuf_addc(sql, *name);
        }
        strbuf_addc(sql, '"');
}

char *sql_identifier(const char *name)
{
        Strbuf text = STRBUF_INIT;

        sql_add_identifier(&text, name);
        return strbuf_take(&text);
}

int sql_add_password(Strbuf *sql, const char *role, const char *password, Error **err)
{
        static const char quiet[] =
                "SET log_statement = 'none';\nSET log_min_duration_statement = -1;\nSET log_duration = off;\n"
                "SET log_min_error_statement = 'panic';\nSET pg_stat_statements.track = 'none';\n"
                "SET password_encryption = 'scram-sha-256';\n";
        _cleanup_free_ char *verifier = NULL;
        int r = 0;

        if (scram_is_plain(password))
                r = scram_build_verifier(password, NULL, SCRAM_DEFAULT_ITERATIONS, &verifier, err);
        else
                strbuf_adds(sql, quiet);
        if (r < 0)
                return r;
        strbuf_adds(sql, "ALTER ROLE ");
        sql_add_identifier(sql, role);
        strbuf_adds(sql, " PASSWORD ");
        sql_add_literal(sql, verifier ? verifier : password);
        strbuf_adds(sql, ";\n");
        return 0;
}
