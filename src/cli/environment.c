#include "cli/environment.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"

#define FILE_LIMIT ((size_t)1 << 20)

static int add_variable(const char *text, char ***environment, Error **err)
{
        const char *equals = strchr(text, '='), *value;
        _cleanup_free_ char *key = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);

        if (isempty(key))
                return error_set(err, ERROR_USAGE, "--env: \"%s\" has no name", text);
        value = equals ? equals + 1 : getenv(key);
        if (value)
                strv_env_set(environment, key, value);
        return 0;
}

static int add_file(const char *path, char ***environment, Error **err)
{
        _cleanup_strbuf_ Strbuf content = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        int r;

        r = fs_read_file(AT_FDCWD, path, FILE_LIMIT, &content, err);
        if (r < 0)
                return error_prefix(err, r, "--env-from-file");
        lines = strv_split(strbuf_text(&content), '\n');
        STRV_FOREACH(line, lines) {
                if (!**line || **line == '#')
                        continue;
                r = add_variable(*line, environment, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int environment_options(const Invocation *invocation, char ***ret, Error **err)
{
        _cleanup_strv_ char **files = invocation_list(invocation, "env-from-file"),
                            **given = invocation_list(invocation, "env");
        _cleanup_strv_ char **environment = NULL;

        STRV_FOREACH(file, files) {
                int r = add_file(*file, &environment, err);

                if (r < 0)
                        return r;
        }
        STRV_FOREACH(variable, given) {
                int r = add_variable(*variable, &environment, err);

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(environment);
        return 0;
}
