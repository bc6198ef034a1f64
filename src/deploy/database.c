#include "deploy/database.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"

/* Programs that run what follows them. */
static const char *const wrappers[] = {
        "docker-entrypoint.sh",
        "docker-ensure-initdb.sh",
        "berth-entrypoint",
        "tini",
        "dumb-init",
        "exec",
        "nice",
        "ionice",
};
/* The same, with a user in between. */
static const char *const user_wrappers[] = { "gosu", "su-exec", "setpriv" };

static bool is_one_of(const char *name, const char *const *names, size_t length)
{
        for (size_t i = 0; i < length; i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* "sh -c 'chown …; exec docker-entrypoint.sh -c x=y'": the shell becomes what its last exec names. */
static bool script_is_postgres(const char *script, char *const *environment)
{
        _cleanup_strv_ char **words = NULL;
        const char *last = NULL;

        for (const char *found = strstr(script, "exec "); found; found = strstr(found + 1, "exec "))
                if (found == script || strchr(" \t\n;&|(", found[-1]))
                        last = found + strlen("exec ");
        if (!last)
                return false;
        words = strv_split(last + strspn(last, " "), ' ');
        return argv_is_postgres(words, environment);
}

static bool is_shell(const char *name)
{
        return streq(name, "sh") || streq(name, "bash") || streq(name, "ash") || streq(name, "dash");
}

bool argv_is_postgres(char *const *argv, char *const *environment)
{
        bool through_entrypoint = false;

        for (; argv && *argv; argv++) {
                const char *name = path_basename(*argv);
                if (streq(*argv, "--"))
                        continue;
                if (**argv == '-') /* the image's entrypoint puts "postgres" before options */
                        return through_entrypoint &&
                               (strv_env_get(environment, "PG_MAJOR") || strv_env_get(environment, "PGDATA"));
                if (is_one_of(name, user_wrappers, ARRAY_SIZE(user_wrappers))) {
                        if (argv[1])
                                argv++;
                } else if (is_one_of(name, wrappers, ARRAY_SIZE(wrappers))) {
                        through_entrypoint |= startswith(name, "docker-") || streq(name, "berth-entrypoint");
                } else if (is_shell(name) && argv[1] && argv[2] && startswith(argv[1], "-") && endswith(argv[1], "c")) {
                        return script_is_postgres(argv[2], environment);
                } else {
                        return streq(name, "postgres") || streq(name, "postmaster");
                }
        }
        return false;
}
