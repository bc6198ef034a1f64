/* postgres:<major> of the host's packages, with the configuration of the official image. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/process.h"
#include "base/strv.h"
#include "image/host.h"
#include "state/document.h"

#define MAJORS_FOLDER               "/usr/lib/postgresql"
#define POSTGRES_ID                 999
#define FIRST_MAJOR_WITH_NEW_LAYOUT 18

static char *server_path(const char *major)
{
        return xasprintf(MAJORS_FOLDER "/%s/bin/postgres", major);
}

static bool has_server(const char *major)
{
        _cleanup_free_ char *path = server_path(major);

        return access(path, X_OK) == 0;
}

static char **installed_majors(void)
{
        _cleanup_strv_ char **names = NULL;
        char **majors = NULL;

        fs_list_directory(AT_FDCWD, MAJORS_FOLDER, &names, NULL);
        STRV_FOREACH(name, names)
                if (strspn(*name, "0123456789.") == strlen(*name) && has_server(*name))
                        strv_add(&majors, *name);
        return majors;
}

/* The major that a tag asks for: all of "16", the start of "16.4" or "16-alpine"; NULL for other tags. */
static char *major_of_tag(const char *tag, ImagePolicy policy)
{
        size_t length = strspn(tag, "0123456789");

        if (length == 0 || length > 2 || (tag[length] && tag[length] != '.' && tag[length] != '-'))
                return NULL;
        if (tag[length] && policy != IMAGES_HOST)
                return NULL;
        return xstrndup(tag, length);
}

static int missing_major(const char *major, Error **err)
{
        _cleanup_strv_ char **majors = installed_majors();
        _cleanup_free_ char *list = strv_join(majors, ", ");
        int r;

        if (!majors)
                r = error_set(err, ERROR_NOT_FOUND,
                              "image \"postgres:%s\" is not in the store, and this machine has no PostgreSQL packages",
                              major);
        else
                r = error_set(err, ERROR_NOT_FOUND,
                              "image \"postgres:%s\" is not in the store, and this machine's packages have PostgreSQL "
                              "%s only",
                              major, list);
        return error_hint(
                err, r,
                "Install the package postgresql-%s (apt.postgresql.org has every major; this machine has %s), or "
                "take the image from a registry.",
                major, majors ? list : "none");
}

int host_postgres_match(const Reference *reference, ImagePolicy policy, HostRecipe *recipe, Error **err)
{
        _cleanup_free_ char *major = NULL, *server = NULL, *server_key = NULL;

        if (!streq(reference->registry, REFERENCE_DEFAULT_REGISTRY) ||
            !streq(reference->repository, "library/postgres") || reference->digest)
                return -ERROR_UNSUPPORTED;
        major = major_of_tag(reference->tag, policy);
        if (!major)
                return -ERROR_UNSUPPORTED;
        if (!has_server(major))
                return missing_major(major, err);
        server = server_path(major);
        server_key = host_file_key(server);
        recipe->name = xasprintf("docker.io/library/postgres:%s", major);
        recipe->cache_name = xasprintf("postgres-%s", major);
        recipe->key = TAKE_PTR(server_key);
        recipe->wants_locale = true;
        return 0;
}

/* "15.20-0+deb12u1" by the package manager, or "15.20" by the server itself. */
static int package_version(const char *major, char **ret, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        _cleanup_free_ char *package = xasprintf("postgresql-%s", major), *server = server_path(major);
        const char *query[] = { "dpkg-query", "-W", "-f", "${Version}", package, NULL };
        const char *ask[] = { server, "-V", NULL };
        ProcessRun run = PROCESS_RUN_INIT;
        const char *last;
        int r;

        run.spec.argv = (char *const *)query;
        run.timeout_ms = 10000;
        if (process_run_checked(&run, &result, NULL) == 0 && result.output.length > 0) {
                *ret = xstrdup(strbuf_text(&result.output));
                return 0;
        }
        process_result_done(&result);
        result = (ProcessResult){ 0 };
        run.spec.argv = (char *const *)ask;
        r = process_run_checked(&run, &result, err);
        if (r < 0)
                return r;
        /* "postgres (PostgreSQL) 15.20 (Debian …)" */
        last = strchr(strbuf_text(&result.output), ')');
        last = last ? last + 1 + strspn(last + 1, " ") : major;
        *ret = xstrndup(last, strcspn(last, " \n"));
        return 0;
}

static json_t *make_config(const char *major, const char *version, bool has_locale)
{
        bool new_layout = atoi(major) >= FIRST_MAJOR_WITH_NEW_LAYOUT;
        _cleanup_free_ char *data =
                new_layout ? xasprintf("/var/lib/postgresql/%s/docker", major) : xstrdup("/var/lib/postgresql/data");
        const char *volume = new_layout ? "/var/lib/postgresql" : "/var/lib/postgresql/data";
        _cleanup_strv_ char **environment = NULL;

        strv_addf(&environment,
                  "PATH=" MAJORS_FOLDER "/%s/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", major);
        strv_addf(&environment, "LANG=%s", has_locale ? "en_US.utf8" : "C.UTF-8");
        strv_addf(&environment, "PG_MAJOR=%s", major);
        strv_addf(&environment, "PG_VERSION=%s", version);
        strv_addf(&environment, "PGDATA=%s", data);
        return json_pack("{s:o, s:[s], s:[s], s:s, s:{s:{}}, s:{s:{}}}", "Env", json_from_strv(environment),
                         "Entrypoint", "docker-entrypoint.sh", "Cmd", "postgres", "StopSignal", "SIGINT", "Volumes",
                         volume, "ExposedPorts", "5432/tcp");
}

static void add_folders(HostRecipe *recipe, bool new_layout)
{
        static const HostFolder old_layout_folders[] = {
                { "docker-entrypoint-initdb.d", 0755, 0 },
                { "var/lib/postgresql", 01777, POSTGRES_ID },
                { "var/lib/postgresql/data", 01777, POSTGRES_ID },
                { "run/postgresql", 03777, POSTGRES_ID },
        };
        static const HostFolder new_layout_folders[] = {
                { "docker-entrypoint-initdb.d", 0755, 0 },
                { "var/lib/postgresql", 01777, POSTGRES_ID },
                { "run/postgresql", 03777, POSTGRES_ID },
        };

        recipe->folders = new_layout ? xmemdup(new_layout_folders, sizeof(new_layout_folders))
                                     : xmemdup(old_layout_folders, sizeof(old_layout_folders));
        recipe->n_folders = new_layout ? ARRAY_SIZE(new_layout_folders) : ARRAY_SIZE(old_layout_folders);
}

int host_postgres_describe(HostRecipe *recipe, Error **err)
{
        const char *major = strrchr(recipe->name, ':') + 1;
        int r;

        r = package_version(major, &recipe->version, err);
        if (r < 0)
                return error_prefix(err, r, "version of PostgreSQL %s", major);
        recipe->source_line = xasprintf("postgres:%s from this machine's packages (%s)", major, recipe->version);
        recipe->user_name = xstrdup("postgres");
        recipe->config = make_config(major, recipe->version, recipe->has_locale);
        recipe->binds = json_pack("[{s:s, s:s}, {s:s, s:s}]", "source", "libexec:berth-entrypoint", "target",
                                  "/usr/local/bin/berth-entrypoint", "source", "libexec:entrypoint-functions.sh",
                                  "target", "/usr/local/bin/entrypoint-functions.sh");
        add_folders(recipe, atoi(major) >= FIRST_MAJOR_WITH_NEW_LAYOUT);
        return 0;
}
