#include "operate/tls_serve.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/data_folder.h"
#include "state/document.h"
#include "state/worker.h"

#define MOUNT_FOLDER "/run/berth/tls"

void tls_files_done(TlsFiles *files)
{
        free(files->authority);
        free(files->authority_key);
        free(files->certificate);
        free(files->key);
        *files = (TlsFiles){ 0 };
}

static char *folder_of(const Project *project, const XTls *settings)
{
        return path_clean(project->working_dir, settings->path ? settings->path : "tls");
}

static void beside(TlsFiles *files, const char *folder)
{
        files->authority = path_join(folder, "ca.crt");
        files->authority_key = path_join(folder, "ca.key");
}

/* ---- the service's own settings ---- */

/* "ssl_cert_file = '/etc/…'" of a configuration, or "-c ssl_cert_file=…" of a command; the last one counts. NULL. */
static char *setting_in_text(const char *text, const char *name)
{
        char *found = NULL;

        for (const char *line = text; line; line = strchr(line, '\n')) {
                const char *rest;

                line += strspn(line, " \t\r\n");
                rest = startswith(line, name);
                if (!rest || !*rest || !strchr(" \t=", *rest))
                        continue;
                rest += strspn(rest, " \t=");
                rest += strspn(rest, "'");
                free(found);
                found = xstrndup(rest, strcspn(rest, "' \t\r\n#"));
        }
        return found;
}

static char *setting_of(const ContainerSpec *spec, const char *name)
{
        _cleanup_free_ char *command = strv_join(spec->argv, "\n"), *path = setting_in_text(command, "config_file"),
                            *text = NULL;
        char *found = setting_in_text(command, name);

        if (found || !path)
                return found;
        text = data_folder_read_file(spec, path);
        return text ? setting_in_text(text, name) : NULL;
}

/* The file on this machine that the container has at path; NULL. */
static char *host_file(const ContainerSpec *spec, const char *path)
{
        for (size_t i = 0; path && i < spec->n_files; i++)
                if (streq(spec->files[i].target, path) && spec->files[i].host_path)
                        return xstrdup(spec->files[i].host_path);
        for (size_t i = 0; path && i < spec->n_mounts; i++)
                if (spec->mounts[i].kind == SPEC_MOUNT_BIND && streq(spec->mounts[i].target, path))
                        return xstrdup(spec->mounts[i].source);
        return NULL;
}

bool tls_files_find(const Project *project, const Service *service, const XTls *settings, const ContainerSpec *spec,
                    TlsFiles *ret)
{
        _cleanup_free_ char *folder = folder_of(project, settings), *own_folder = NULL,
                            *own = spec ? setting_of(spec, "ssl_cert_file") : NULL,
                            *own_key = spec ? setting_of(spec, "ssl_key_file") : NULL;

        *ret = (TlsFiles){ 0 };
        if (!own) {
                beside(ret, folder);
                ret->certificate = xasprintf("%s/%s.crt", folder, service->name);
                ret->key = xasprintf("%s/%s.key", folder, service->name);
                return true;
        }
        ret->own_settings = true;
        ret->certificate = host_file(spec, own);
        ret->key = host_file(spec, own_key);
        if (!ret->certificate || !ret->key)
                return false;
        own_folder = path_dirname(ret->certificate);
        beside(ret, own_folder);
        return true;
}

/* ---- making and renewing ---- */

static json_t *files_to_json(const TlsFiles *files)
{
        return json_pack("{s:s, s:s, s:s, s:s}", "authority", files->authority, "authority_key", files->authority_key,
                         "certificate", files->certificate, "key", files->key);
}

static int run_job(const Layout *layout, const json_t *params, json_t **ret, Error **err)
{
        WorkerRun run = { .job = "certificate", .params = params, .input_fd = -1, .cancel_fd = -1 };

        return worker_run(layout, &run, ret, err);
}

int tls_ensure(const Layout *layout, const Project *project, const Service *service, const XTls *settings,
               const TlsFiles *files, json_t *params, json_t **ret, Error **err)
{
        _cleanup_json_ json_t *all = files_to_json(files), *result = NULL;
        _cleanup_strv_ char **dns = NULL, **addresses = NULL;
        int r;

        tls_names_of(project, service, settings, &dns, &addresses);
        json_object_set_new(all, "common_name", json_string(service->name));
        json_object_set_new(all, "dns", json_from_strv(dns));
        json_object_set_new(all, "addresses", json_from_strv(addresses));
        json_object_set_new(all, "days", json_integer(settings->days));
        json_object_set_new(all, "now_s", json_integer(clock_realtime_ns() / NSEC_PER_SEC));
        if (params)
                json_object_update(all, params);
        r = run_job(layout, all, &result, err);
        if (r < 0)
                return error_prefix(err, r, "service \"%s\"", service->name);
        if (ret)
                *ret = TAKE_PTR(result);
        return 0;
}

int tls_renew_container(const Layout *layout, const ContainerInfo *info, int64_t now_s, bool *ret_renewed, Error **err)
{
        const char *text = info->spec ? strv_env_get(info->spec->annotations, ANNOTATION_TLS) : NULL;
        _cleanup_json_ json_t *params = text ? json_loads(text, 0, NULL) : NULL, *result = NULL;
        int r;

        *ret_renewed = false;
        if (!params)
                return 0;
        json_object_set_new(params, "common_name", json_string(info->service ? info->service : info->name));
        json_object_set_new(params, "days", json_integer(json_get_int(params, "days", 365)));
        json_object_set_new(params, "now_s", json_integer(now_s));
        json_object_set_new(params, "renew_only", json_true());
        r = run_job(layout, params, &result, err);
        *ret_renewed = json_get_bool(result, "changed", false);
        return r;
}

/* ---- serving ---- */

static void add_file(ContainerSpec *spec, const char *name, const char *host_path, int64_t mode)
{
        SpecFile *files = arena_new_array(spec->arena, SpecFile, spec->n_files + 1);

        for (size_t i = 0; i < spec->n_files; i++)
                files[i] = spec->files[i];
        spec->files = files;
        files[spec->n_files++] = (SpecFile){
                .target = arena_printf(spec->arena, MOUNT_FOLDER "/%s", name),
                .host_path = arena_strdup(spec->arena, host_path),
                .uid = -1,
                .gid = -1,
                .mode = mode,
                .owner = arena_strdup(spec->arena, spec->user ? spec->user : "postgres"),
                .secret = true,
                .in_memory = true,
        };
}

static void add_files(ContainerSpec *spec, const TlsFiles *tls, bool has_authority)
{
        add_file(spec, "server.crt", tls->certificate, 0444);
        add_file(spec, "server.key", tls->key, 0400);
        if (has_authority)
                add_file(spec, "ca.crt", tls->authority, 0444);
}

static void spec_add_options(ContainerSpec *spec, const char *const *options)
{
        _cleanup_strv_ char **argv = strv_copy(spec->argv);

        for (; *options; options++) {
                strv_add(&argv, "-c");
                strv_add(&argv, *options);
        }
        spec->argv = arena_strv(spec->arena, argv);
}

static bool spec_takes_options(const ContainerSpec *spec)
{
        STRV_FOREACH(word, spec->argv) {
                const char *name = path_basename(*word);
                if (streq(name, "sh") || streq(name, "bash") || streq(name, "ash") || streq(name, "dash"))
                        return false;
        }
        return true;
}

static void annotate(ContainerSpec *spec, const TlsFiles *files)
{
        _cleanup_json_ json_t *paths = files_to_json(files);
        _cleanup_free_ char *text = json_dumps(paths, JSON_COMPACT);
        _cleanup_strv_ char **annotations = strv_copy(spec->annotations);

        strv_env_set(&annotations, ANNOTATION_TLS, text);
        spec->annotations = arena_strv(spec->arena, annotations);
}

int tls_attach(ContainerSpec *spec, const TlsFiles *files, Error **err)
{
        static const char *const options[] = {
                "ssl=on",
                "ssl_cert_file=" MOUNT_FOLDER "/server.crt",
                "ssl_key_file=" MOUNT_FOLDER "/server.key",
                "ssl_min_protocol_version=TLSv1.2",
                NULL,
        };
        static const char *const client_options[] = { "ssl_ca_file=" MOUNT_FOLDER "/ca.crt", NULL };
        bool has_authority = fs_exists(files->authority);
        int r;

        annotate(spec, files);
        if (files->own_settings)
                return 0;
        if (!spec_takes_options(spec)) {
                r = error_set(err, ERROR_UNSUPPORTED,
                              "service \"%s\": its command is a shell's, so TLS cannot be switched on from here",
                              spec->service);
                return error_hint(
                        err, r,
                        "Let the command be the server's options alone, or name ssl, ssl_cert_file and ssl_key_file "
                        "in its configuration; x-berth: {tls: off} leaves it as it is.");
        }
        add_files(spec, files, has_authority);
        spec_add_options(spec, options);
        if (has_authority)
                spec_add_options(spec, client_options);
        return 0;
}

void tls_attach_rules(ContainerSpec *spec, const char *host_path)
{
        static const char *const options[] = { "hba_file=" MOUNT_FOLDER "/pg_hba.conf", NULL };

        add_file(spec, "pg_hba.conf", host_path, 0400);
        spec_add_options(spec, options);
}
