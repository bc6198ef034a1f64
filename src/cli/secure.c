/* secure: certificates for the project's databases and their clients. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/client.h"
#include "cli/database.h"
#include "cli/output/listing.h"
#include "cli/verbs.h"
#include "operate/tls_serve.h"
#include "state/document.h"

typedef struct Secure {
        Invocation *invocation;
        Scope scope;
        char **files; /* of --from: key, authority */
        json_t *rows;
} Secure;

static void secure_done(Secure *secure)
{
        scope_done(&secure->scope);
        strv_free(secure->files);
        json_decref(secure->rows);
}

/* The first argument may be a service; with --from the key and the authority follow. */
static int read_arguments(Secure *secure, Error **err)
{
        Invocation *invocation = secure->invocation;
        bool given = invocation_given(invocation, "from");
        char *names[] = { NULL, NULL };
        char **rest = invocation->arguments;
        int r = scope_open(invocation, names, SCOPE_NEEDS_MODEL, &secure->scope, err);

        if (r < 0)
                return r;
        if (rest && *rest && (!given || project_find_service(secure->scope.project, *rest))) {
                if (!project_find_service(secure->scope.project, *rest))
                        return error_set(err, ERROR_NOT_FOUND, "no such service: %s", *rest);
                strv_add(&secure->scope.services, *rest++);
        }
        for (; rest && *rest; rest++)
                strv_add(&secure->files, *rest);
        if (given ? strv_length(secure->files) < 1 || strv_length(secure->files) > 2 : secure->files != NULL)
                return error_hint(
                        err, error_set(err, ERROR_USAGE, given ? "--from: the key is missing" : "too many arguments"),
                        "berth secure [SERVICE] --from CERT KEY [CA]");
        return 0;
}

static bool has_database(const ContainerList *list, const char *service)
{
        for (size_t i = 0; i < list->length; i++)
                if (streq_ptr(list->items[i]->service, service) && container_is_database(list->items[i]))
                        return true;
        return false;
}

/* The services that are meant: the named one, or every database. */
static int find_services(Secure *secure, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        const Project *project = secure->scope.project;
        int r;

        if (secure->scope.services)
                return 0;
        r = scope_containers(&secure->scope, false, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < project->n_services; i++)
                if (service_looks_like_database(project, &project->services[i]) ||
                    has_database(&list, project->services[i].name))
                        strv_add(&secure->scope.services, project->services[i].name);
        if (secure->scope.services)
                return 0;
        return error_hint(err, error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no database", project->name),
                          "Name the service, or say x-berth: {postgres: true} in it.");
}

/* A container of the service, for what its own settings say; NULL. */
static ContainerInfo *find_container(const Secure *secure, const char *service)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        ContainerInfo *found = NULL;

        if (scope_containers(&secure->scope, false, &list, NULL) < 0)
                return NULL;
        for (size_t i = 0; i < list.length && !found; i++)
                if (streq_ptr(list.items[i]->service, service) && container_is_database(list.items[i])) {
                        found = list.items[i];
                        list.items[i] = list.items[--list.length];
                }
        return found;
}

static char *absolute(const char *path)
{
        _cleanup_free_ char *here = getcwd(NULL, 0);

        return path_clean(here ? here : "/", path);
}

static json_t *job_params(const Secure *secure)
{
        const Invocation *invocation = secure->invocation;
        json_t *params = json_object();

        if (invocation_given(invocation, "days"))
                json_object_set_new(params, "days", json_integer(invocation_number(invocation, "days", 365)));
        if (invocation_flag(invocation, "force"))
                json_object_set_new(params, "force", json_true());
        if (invocation_given(invocation, "from")) {
                _cleanup_free_ char *certificate = absolute(invocation_text(invocation, "from", "")),
                                    *key = absolute(secure->files[0]),
                                    *authority = secure->files[1] ? absolute(secure->files[1]) : NULL;
                json_set_string(params, "from_certificate", certificate);
                json_set_string(params, "from_key", key);
                json_set_string(params, "from_authority", authority);
        }
        return params;
}

static void add_row(Secure *secure, const char *service, const char *certificate, const char *key,
                    const char *authority, const json_t *result, const char *next)
{
        time_t end = (time_t)json_get_int(result, "not_after_s", 0);
        struct tm broken;
        char text[32];

        gmtime_r(&end, &broken);
        strftime(text, sizeof(text), "%Y-%m-%d", &broken);
        json_array_append_new(secure->rows,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "Service", service, "Certificate",
                                        certificate, "Key", key, "Authority", authority, "GoodUntil", text, "Changed",
                                        json_get_bool(result, "changed", false), "Why",
                                        json_get_string(result, "reason", "it is good"), "Next", next));
}

/* What runs and serves it already is told now; otherwise the next `up` makes a container that does. */
static int bring_over(Secure *secure, const ContainerInfo *info, bool changed, const char **ret_next, Error **err)
{
        bool serves = info && info->spec && strv_env_get(info->spec->annotations, ANNOTATION_TLS);

        *ret_next = serves ? "" : info ? "\"berth up -d\" restarts it with TLS" : "\"berth up -d\" starts it with TLS";
        if (!serves || !changed || info->state != CONTAINER_RUNNING)
                return 0;
        *ret_next = "reloaded";
        return client_request_quietly(secure->invocation, secure->scope.name, "refresh",
                                      json_pack("{s:[s]}", "services", info->service), NULL, err);
}

static int secure_service(Secure *secure, const char *name, Error **err)
{
        const Project *project = secure->scope.project;
        const Service *service = project_find_service(project, name);
        _cleanup_(container_info_freep) ContainerInfo *info = find_container(secure, name);
        _cleanup_json_ json_t *params = job_params(secure), *result = NULL;
        _cleanup_tls_files_ TlsFiles files = { 0 };
        const char *next = "";
        XSecurity wanted;
        int r;

        x_security_read(project, service, &wanted);
        if (!tls_files_find(project, service, &wanted.tls, info ? info->spec : NULL, &files))
                return error_set(
                        err, ERROR_UNSUPPORTED,
                        "service \"%s\": its settings name a certificate or key that is no file of this machine", name);
        r = tls_ensure(secure->invocation->layout, project, service, &wanted.tls, &files, params, &result, err);
        if (r == 0)
                r = bring_over(secure, info, json_get_bool(result, "changed", false), &next, err);
        if (r == 0)
                add_row(secure, name, files.certificate, files.key, files.authority, result, next);
        return r;
}

static int secure_client(Secure *secure, const char *client, Error **err)
{
        const Project *project = secure->scope.project;
        const Service *service = project_find_service(project, secure->scope.services[0]);
        _cleanup_json_ json_t *params = job_params(secure), *result = NULL;
        _cleanup_free_ char *folder = NULL, *clients = NULL;
        _cleanup_tls_files_ TlsFiles files = { 0 };
        XSecurity wanted;
        int r;

        if (!path_is_component(client))
                return error_set(err, ERROR_USAGE, "--client: \"%s\" cannot be a file's name", client);
        x_security_read(project, service, &wanted);
        tls_files_find(project, service, &wanted.tls, NULL, &files);
        folder = path_dirname(files.authority);
        clients = path_join(folder, "clients");
        free_and_replace(&files.certificate, xasprintf("%s/%s.crt", clients, client));
        free_and_replace(&files.key, xasprintf("%s/%s.key", clients, client));
        json_set_string(params, "client", client);
        r = tls_ensure(secure->invocation->layout, project, service, &wanted.tls, &files, params, &result, err);
        if (r == 0)
                add_row(secure, client, files.certificate, files.key, files.authority, result,
                        "sslcert=, sslkey= and sslrootcert= of the client");
        return r;
}

static const ListingColumn columns[] = {
        { "FOR", "Service", false },
        { "CERTIFICATE", "Certificate", true },
        { "GOOD UNTIL", "GoodUntil", false },
        { "NEW", "Changed", false },
        { "WHY", "Why", true },
        { "NEXT", "Next", true },
        { NULL, NULL, false },
};

static int run_secure(Invocation *invocation, Error **err)
{
        _cleanup_(secure_done) Secure secure = { .invocation = invocation, .rows = json_array() };
        const char *client = invocation_text(invocation, "client", NULL);
        int r = read_arguments(&secure, err);

        if (r == 0)
                r = find_services(&secure, err);
        if (r == 0 && client)
                r = secure_client(&secure, client, err);
        if (r == 0 && !client && invocation_given(invocation, "from") && strv_length(secure.scope.services) > 1)
                r = error_set(err, ERROR_USAGE, "--from: name the service that the certificate is for");
        if (r == 0 && !client)
                STRV_FOREACH(service, secure.scope.services)
                        r = r < 0 ? r : secure_service(&secure, *service, err);
        if (r < 0)
                return r;
        return listing_print(secure.rows, columns, invocation_text(invocation, "format", NULL), LISTING_ARRAY, err);
}

static const Option options[] = {
        { "from", 0, OPTION_TEXT, "CERT", "Take over a certificate that you have; its key and authority follow",
          .complete = COMPLETE_FILES },
        { "client", 0, OPTION_TEXT, "NAME", "Make a certificate for the client that connects as role NAME" },
        { "days", 0, OPTION_NUMBER, "N", "How long a new certificate is good for (default: 365)" },
        { "force", 0, OPTION_FLAG, NULL, "A new certificate even where the one there is good" },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json or a template" },
        { NULL },
};

const Command command_secure = {
        .name = "secure",
        .summary = "Give databases a certificate, and clients theirs",
        .arguments = "[SERVICE] [KEY [CA]]",
        .details =
                "Makes what is missing: a private certificate authority in the project's folder (tls/ca.crt, "
                "tls/ca.key) and a certificate for each database (tls/SERVICE.crt, tls/SERVICE.key) with all names "
                "under which it is reached. The compose file need not know of it: a service that has a certificate is "
                "started with TLS. Where the service's own settings name certificate and key, those files are looked "
                "after.\n\nA certificate that is about to expire is renewed, by the project's keeper too, and the "
                "server reloads it without a restart. With --from, a certificate, its key and, if you like, its "
                "authority are checked and taken over; they are yours to renew.\n\nClients verify the server with "
                "sslmode=verify-full sslrootcert=tls/ca.crt.",
        .examples =
                "berth secure\nberth secure db --from db.pem db.key company-ca.pem\nberth secure --client reporting",
        .group = GROUP_DATABASE,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = 3,
        .function = run_secure,
        .complete = COMPLETE_SERVICES,
};
