#include "operate/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "operate/init_templates.h"
#include "postgres/password.h"
#include "postgres/tls.h"
#include "postgres/tune.h"

#define POSTGRES_UID     999
#define COMPOSE_NAME     "compose.yaml"
#define CERTIFICATE_DAYS 365
#define AUTHORITY_DAYS   3650

static const char *const passwords[] = { "postgres", "owner", "app", "readonly", "monitor" };

typedef struct Init {
        const InitOptions *options;
        char *staging; /* beside the directory, renamed onto it at the end */
        char *project;
        const char *database;
        InitResult *result;
} Init;

void init_result_done(InitResult *result)
{
        for (size_t i = 0; i < result->length; i++) {
                free(result->files[i].path);
                free(result->files[i].purpose);
        }
        free(result->files);
        *result = (InitResult){ 0 };
}

/* A folder's name as a project's: lower case, what is not allowed left out. */
static char *project_name(const char *directory)
{
        _cleanup_free_ char *clean = path_clean("/", directory);
        Strbuf name = STRBUF_INIT;

        for (const char *c = path_basename(clean); *c; c++) {
                char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
                if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ||
                    (name.length && (lower == '-' || lower == '_')))
                        strbuf_addc(&name, lower);
        }
        strbuf_truncate(&name, 63);
        if (!name.length)
                strbuf_adds(&name, "database");
        return strbuf_take(&name);
}

static int write_file(Init *init, const char *path, const char *text, unsigned mode, const char *purpose, Error **err)
{
        _cleanup_free_ char *full = path_join(init->staging, path), *folder = path_dirname(full);
        InitResult *result = init->result;
        int r = fs_make_directories(folder, endswith(folder, "/secrets") ? 0700 : 0755, err);

        if (r == 0)
                r = fs_write_file(AT_FDCWD, full, text, strlen(text), mode, err);
        if (r < 0)
                return r;
        result->files = xreallocarray(result->files, result->length + 1, sizeof(InitFile));
        result->files[result->length++] = (InitFile){ xstrdup(path), xstrdup(purpose), mode };
        return 0;
}

static int tuned_settings(const Init *init, char **ret, Error **err)
{
        _cleanup_tune_result_ TuneResult result = { 0 };
        TuneFacts facts;
        int r = tune_facts_of_machine(init->staging, init->options->major, &facts, err);

        if (r < 0)
                return r;
        tune(&facts, &result);
        *ret = tune_to_configuration(&result);
        return 0;
}

static char *fill_in(const char *text, const char *const (*values)[2], size_t n_values)
{
        Strbuf filled = STRBUF_INIT;

        while (*text) {
                size_t i, length = 0;
                for (i = 0; i < n_values; i++) {
                        length = strlen(values[i][0]);
                        if (strncmp(text, values[i][0], length) == 0)
                                break;
                }
                if (i < n_values) {
                        strbuf_adds(&filled, values[i][1]);
                        text += length;
                } else
                        strbuf_addc(&filled, *text++);
        }
        return strbuf_take(&filled);
}

static int write_templates(Init *init, Error **err)
{
        _cleanup_free_ char *settings = NULL, *major = xasprintf("%d", init->options->major),
                            *port = xasprintf("%d", init->options->host_port ? init->options->host_port : 5432);
        int r = tuned_settings(init, &settings, err);
        const char *const values[][2] = {
                { "@PROJECT@", init->project },
                { "@DATABASE@", init->database },
                { "@MAJOR@", major },
                { "@PORT@", port },
                /* From 18 on the image keeps its data one level below the mount. */
                { "@DATA_TARGET@", init->options->major >= 18 ? "/var/lib/postgresql" : "/var/lib/postgresql/data" },
                { "@SETTINGS@", settings },
        };

        for (const InitTemplate *template = init_templates; r == 0 && template->path; template ++) {
                _cleanup_free_ char *text = fill_in(template->text, values, ARRAY_SIZE(values));
                r = write_file(init, template->path, text, template->mode, template->purpose, err);
        }
        return r;
}

/* docker compose binds secrets with their owner outside: the server must be able to read them, and refuses a key of
 * somebody else's. Berth gives them to whom the compose file says. */
static bool give_to_server(const Init *init, const char *path)
{
        _cleanup_free_ char *full = path_join(init->staging, path);

        return chown(full, POSTGRES_UID, POSTGRES_UID) == 0;
}

static int write_passwords(Init *init, Error **err)
{
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(passwords) && r == 0; i++) {
                _cleanup_(free_secretp) char *password = password_generate();
                _cleanup_free_ char *path = xasprintf("secrets/%s_password", passwords[i]),
                                    *purpose = xasprintf("generated password of %s", passwords[i]);
                r = write_file(init, path, password, 0600, purpose, err);
                if (r == 0)
                        give_to_server(init, path);
        }
        return r;
}

static int write_certificates(Init *init, Error **err)
{
        _cleanup_tls_certificate_ TlsCertificate authority = { 0 }, server = { 0 };
        _cleanup_free_ char *container = xasprintf("%s-db-1", init->project);
        _cleanup_strv_ char **dns = strv_new("db", "localhost", container, NULL);
        _cleanup_strv_ char **addresses = strv_new("127.0.0.1", "::1", NULL);
        _cleanup_free_ char *name = xasprintf("certificate authority of %s", init->project);
        TlsNames names = { NULL, addresses };
        char host[256] = "";
        int r;

        if (gethostname(host, sizeof(host) - 1) == 0 && *host && !streq(host, "localhost"))
                strv_add(&dns, host);
        names.dns = dns;
        r = tls_make_authority(name, AUTHORITY_DAYS, &authority, err);
        if (r == 0)
                r = tls_make_server(&authority, "db", &names, CERTIFICATE_DAYS, NULL, &server, err);
        if (r == 0)
                r = write_file(init, "tls/ca.crt", authority.certificate, 0644, "certificate authority: for clients",
                               err);
        if (r == 0)
                r = write_file(init, "tls/ca.key", authority.key, 0600, "its key: keep it safe", err);
        if (r == 0)
                r = write_file(init, "tls/server.crt", server.certificate, 0644, "the server's certificate, for a year",
                               err);
        if (r == 0)
                r = write_file(init, "tls/server.key", server.key, 0600, "its key", err);
        init->result->owner_set = r == 0 && give_to_server(init, "tls/server.key");
        return r;
}

static int check_empty(const char *directory, Error **err)
{
        _cleanup_strv_ char **names = NULL;
        _cleanup_error_ Error *missing = NULL;
        int r = fs_list_directory(AT_FDCWD, directory, &names, &missing);

        if (r == -ERROR_NOT_FOUND)
                return 0;
        if (r < 0)
                return error_move(err, &missing, r);
        if (!names || !names[0])
                return 0;
        r = error_set(err, ERROR_EXISTS, "folder \"%s\" is not empty: it holds %s", directory, names[0]);
        return error_hint(err, r, "Name a new folder, or an empty one.");
}

static int move_entry(const char *from, const char *to, const char *name, Error **err)
{
        _cleanup_free_ char *source = path_join(from, name), *target = path_join(to, name);

        return rename(source, target) < 0 ? error_set_errno(err, errno, "move \"%s\" to \"%s\"", source, target) : 0;
}

/* Into a folder that is there, which stays the same one: somebody's shell may stand in it. The compose file comes last; after a
 * failure nothing is in it. */
static int fill_folder(const Init *init, Error **err)
{
        const char *directory = init->options->directory;
        _cleanup_strv_ char **names = NULL;
        int r = fs_list_directory(AT_FDCWD, init->staging, &names, err);
        size_t moved = 0;

        if (r < 0)
                return r;
        strv_remove(names, COMPOSE_NAME);
        strv_add(&names, COMPOSE_NAME);
        for (; r == 0 && names[moved]; moved += r == 0)
                r = move_entry(init->staging, directory, names[moved], err);
        if (r == 0)
                r = fs_sync_directory(AT_FDCWD, directory, err);
        while (r < 0 && moved > 0)
                move_entry(directory, init->staging, names[--moved], NULL);
        if (r == 0)
                rmdir(init->staging);
        return r;
}

/* Moves the finished folder into place. */
static int put_in_place(const Init *init, Error **err)
{
        _cleanup_free_ char *parent = path_dirname(init->staging);
        int r = 0;

        if (fs_is_directory(init->options->directory))
                r = fill_folder(init, err);
        else if (rename(init->staging, init->options->directory) < 0)
                r = error_set_errno(err, errno, "move into \"%s\"", init->options->directory);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, parent, err);
}

int init_deployment(const InitOptions *options, InitResult *ret, Error **err)
{
        _cleanup_free_ char *here = getcwd(NULL, 0), *target = path_clean(here ? here : "/", options->directory),
                            *parent = path_dirname(target), *project = project_name(target),
                            *staging = xasprintf("%s/.%s.berth-init.%d", parent, path_basename(target), (int)getpid());
        InitOptions resolved = *options;
        Init init = { &resolved, staging, project, options->database ? options->database : "app", ret };
        int r;

        *ret = (InitResult){ 0 };
        resolved.directory = target;
        r = check_empty(target, err);
        if (r == 0)
                r = fs_make_directories(staging, 0755, err);
        if (r == 0)
                r = write_templates(&init, err);
        if (r == 0)
                r = write_passwords(&init, err);
        if (r == 0)
                r = write_certificates(&init, err);
        if (r == 0)
                r = put_in_place(&init, err);
        if (r < 0)
                fs_remove_tree(AT_FDCWD, staging, NULL);
        return r;
}
