#include "operate/sql.h"

#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/login.h"
#include "postgres/scram.h"

#define OUTPUT_LIMIT ((size_t)4 * 1024 * 1024)
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

static int run_psql(Engine *engine, const ContainerInfo *container, const DatabaseLogin *login, const char *database,
                    const char *host, const char *script, int *ret_code, char **ret, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", login->user, "-d", database,
                                              "-p", login->port, "-f", "-", NULL);
        _cleanup_strv_ char **environment = NULL;
        _cleanup_close_ int input = fs_memory_file("sql", script, strlen(script), err), output = -1, errors = -1;
        ExecSpec spec = { .timeout_ms = -1 };
        int r;

        if (input < 0)
                return input;
        output = fs_memory_file("output", NULL, 0, err);
        if (output < 0)
                return output;
        errors = fs_memory_file("errors", NULL, 0, err);
        if (errors < 0)
                return errors;
        if (host) {
                strv_add(&argv, "-h");
                strv_add(&argv, host);
                strv_env_set(&environment, "PGPASSWORD", login->password);
        }
        strv_env_set(&environment, "PGCONNECT_TIMEOUT", "10");
        strv_env_set(&environment, "LC_ALL", "C");
        spec.argv = argv;
        spec.environment = environment;
        spec.stdin_fd = input;
        spec.stdout_fd = output;
        spec.stderr_fd = errors;
        r = engine->operations->exec_stdio(engine, container->id, &spec, ret_code, err);
        if (r >= 0)
                *ret = read_back(*ret_code == 0 ? output : errors);
        return r;
}

int sql_run(Engine *engine, const ContainerInfo *container, const char *database, const char *script, char **ret, Error **err)
{
        static const char *const hosts[] = { NULL, "127.0.0.1" };
        _cleanup_database_login_ DatabaseLogin login = { 0 };
        _cleanup_free_ char *text = NULL, *reason = NULL;
        int code = 0, r = 0;

        database_login_of(container, &login);
        for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
                free_and_replace(&text, NULL);
                r = run_psql(engine, container, &login, database ? database : login.database, hosts[i], script, &code, &text, err);
                if (r < 0)
                        return error_prefix(err, r, "database of %s", container->name);
                if (code != NO_CONNECTION)
                        break;
        }
        if (code == 0) {
                if (ret)
                        *ret = TAKE_PTR(text);
                return 0;
        }
        reason = reason_of(text);
        return error_set(err, code == NO_CONNECTION ? ERROR_UNAVAILABLE : ERROR_FAILED, "database of %s: %s", container->name, reason);
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
        static const char quiet[] = "SET log_statement = 'none';\nSET log_min_duration_statement = -1;\nSET log_duration = off;\n"
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
