#include "operate/query.h"

#include "base/mem.h"
#include "base/strv.h"
#include "operate/login.h"

#define OUTPUT_LIMIT 65536
#define TIMEOUT_MS 20000

static char **query_argv(const DatabaseQuery *query)
{
        _cleanup_strv_ char **command = NULL;

        if (query->password) {
                strv_add(&command, "env");
                strv_addf(&command, "PGPASSWORD=%s", query->password);
        }
        strv_add(&command, "psql");
        strv_add(&command, "-XAtqw");
        strv_add(&command, "--set=ON_ERROR_STOP=1");
        if (query->host)
                strv_addf(&command, "--host=%s", query->host);
        strv_add(&command, "-c");
        strv_add(&command, query->sql);
        return database_client(command);
}

int database_query(Engine *engine, const ContainerInfo *info, const DatabaseQuery *query, char **ret_output, Error **err)
{
        _cleanup_strv_ char **argv = query_argv(query);
        ExecSpec spec = { .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .timeout_ms = TIMEOUT_MS,
                          .output_limit = OUTPUT_LIMIT };
        ExecResult result = { 0 };
        _cleanup_free_ char *output = NULL;
        int r = engine->operations->exec(engine, info->id, &spec, &result, err);

        output = result.output;
        if (r < 0)
                return r;
        if (result.timed_out)
                return error_set(err, ERROR_TIMEOUT, "container %s: no answer to a query", info->name);
        if (result.exit_code != 0)
                return error_set(err, ERROR_FAILED, "%.*s", (int)strcspn(output ? output : "", "\n"), output ? output : "");
        *ret_output = output ? TAKE_PTR(output) : xstrdup("");
        return 0;
}
