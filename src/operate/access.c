#include "operate/access.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "operate/sql.h"
#include "state/document.h"

#define FILE_LIMIT ((size_t)1024 * 1024)

static const char head[] = "# Written by berth from x-berth; what is changed here is lost.\n"
                           "# Inside the container, as in the official image:\n"
                           "local all all trust\nlocal replication all trust\n"
                           "host all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n"
                           "host replication all 127.0.0.1/32 trust\nhost replication all ::1/128 trust\n"
                           "# By network, encrypted; nobody else:\n";

/* ---- the plan ---- */

/* "10.0.0.0/8", "fd00::/8", "10.1.2.3"; *ret is what pg_hba.conf takes. */
static char *address_text(const char *text)
{
        _cleanup_free_ char *address = xstrndup(text, strcspn(text, "/"));
        const char *slash = strchr(text, '/');
        bool six = strchr(address, ':') != NULL;
        unsigned char bytes[16];
        int64_t bits = six ? 128 : 32;

        if (inet_pton(six ? AF_INET6 : AF_INET, address, bytes) != 1 ||
            (slash && !parse_int64(slash + 1, 0, bits, &bits)))
                return NULL;
        return xasprintf("%s/%d", address, (int)bits);
}

static bool is_host_name(const char *text)
{
        return strchr(text, '.') &&
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(text) &&
               strspn(text, "0123456789.") != strlen(text);
}

static int add_place(const Project *project, const char *text, json_t *networks, json_t *addresses, Error **err)
{
        const Network *network = project_find_network(project, text);
        _cleanup_free_ char *address = address_text(text);

        if (network)
                json_array_append_new(networks, json_string(network->name));
        else if (address || is_host_name(text) || streq(text, "all"))
                json_array_append_new(addresses, json_string(address ? address : text));
        else
                return error_hint(err,
                                  error_set(err, ERROR_INVALID,
                                            "access: \"%s\" is neither a network of the project nor an address", text),
                                  "Name a network that a service uses, or addresses like 10.0.0.0/8.");
        return 0;
}

static int plan_rule(const Project *project, const XAccess *access, json_t **ret, Error **err)
{
        _cleanup_(json_decrefp_) json_t *networks = json_array(), *addresses = json_array();
        int r = 0;

        if (!access->networks)
                json_array_append_new(addresses, json_string("all"));
        STRV_FOREACH(text, access->networks)
                r = r < 0 ? r : add_place(project, *text, networks, addresses, err);
        if (r < 0)
                return r;
        *ret = json_pack("{s:o, s:o, s:O, s:O, s:s}", "databases", json_from_strv(access->databases), "roles",
                         json_from_strv(access->roles), "networks", networks, "addresses", addresses, "method",
                         access->method);
        return 0;
}

int access_plan(const Layout *layout, const Project *project, const Service *service, const XSecurity *wanted,
                json_t **ret, Error **err)
{
        static const XAccess everybody = { .method = (char *)"scram-sha-256" };
        _cleanup_(json_decrefp_) json_t *rules = json_array();
        _cleanup_free_ char *path = layout_data(layout, "projects/%s/access/%s.conf", project->name, service->name);
        size_t n = wanted->n_access ? wanted->n_access : 1;

        *ret = NULL;
        if (wanted->tls.mode == X_TLS_OFF || (!wanted->n_access && wanted->tls.mode != X_TLS_REQUIRED))
                return 0;
        for (size_t i = 0; i < n; i++) {
                json_t *rule = NULL;
                int r = plan_rule(project, wanted->n_access ? &wanted->access[i] : &everybody, &rule, err);

                if (r < 0)
                        return error_prefix(err, r, "service \"%s\": x-berth", service->name);
                json_array_append_new(rules, rule);
        }
        *ret = json_pack("{s:s, s:O}", "path", path, "rules", rules);
        return 0;
}

/* ---- the file ---- */

/* Names in quotes are names; the words of pg_hba.conf stand without. */
static void add_names(Strbuf *line, const json_t *names)
{
        static const char *const words[] = { "all", "replication", "sameuser", "samerole" };
        const json_t *name;
        size_t i;

        if (json_array_size(names) == 0)
                strbuf_adds(line, " all");
        json_array_foreach(names, i, name) {
                const char *text = json_string_value(name);
                bool is_word = false;

                for (size_t k = 0; k < ARRAY_SIZE(words); k++)
                        is_word |= streq(text, words[k]);
                strbuf_adds(line, i ? "," : " ");
                if (is_word)
                        strbuf_adds(line, text);
                else
                        sql_add_identifier(line, text);
        }
}

static void add_line(Strbuf *file, const json_t *rule, const char *address)
{
        strbuf_adds(file, "hostssl");
        add_names(file, json_object_get(rule, "databases"));
        add_names(file, json_object_get(rule, "roles"));
        strbuf_addf(file, " %s %s\n", address, json_get_string(rule, "method", "reject"));
}

static int add_rule(Engine *engine, Strbuf *file, const json_t *rule, Error **err)
{
        const json_t *item;
        size_t i;

        json_array_foreach(json_object_get(rule, "addresses"), i, item)
                add_line(file, rule, json_string_value(item));
        json_array_foreach(json_object_get(rule, "networks"), i, item) {
                _cleanup_(network_info_freep) NetworkInfo *network = NULL;
                int r = engine->operations->network_inspect(engine, json_string_value(item), &network, err);

                if (r < 0)
                        return r;
                if (network->subnet)
                        add_line(file, rule, network->subnet);
                if (network->subnet6)
                        add_line(file, rule, network->subnet6);
        }
        return 0;
}

static int write_rules(const char *path, const char *text, Error **err)
{
        _cleanup_free_ char *folder = path_dirname(path);
        int r = fs_make_directories(folder, 0700, err);

        return r < 0 ? r : fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, err);
}

int access_prepare(const json_t *plan, Error **err)
{
        const char *path = json_get_string(plan, "path", "");

        return fs_exists(path) ? 0 : write_rules(path, head, err);
}

/* ---- applying ---- */

static int reload(Engine *engine, const ContainerInfo *container, Error **err)
{
        return engine->operations->container_kill(engine, container->id, SIGHUP, err);
}

/* The server reads the file as it would when loading it, and loads nothing. */
static int check(Engine *engine, const ContainerInfo *container, Error **err)
{
        _cleanup_free_ char *faults = NULL;
        int r = sql_run(
                engine, container, NULL,
                "SELECT 'line ' || line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL;\n",
                &faults, err);

        if (r < 0 || !*faults)
                return r;
        faults[strcspn(faults, "\n")] = '\0';
        return error_set(err, ERROR_INVALID, "the server does not take the rules: %s", faults);
}

static int refresh(Engine *engine, const ContainerInfo *container, Error **err)
{
        return engine->operations->container_refresh ? engine->operations->container_refresh(engine, container->id, err)
                                                     : 0;
}

static int replace(Engine *engine, const ContainerInfo *container, const char *path, const char *text,
                   const char *former, Error **err)
{
        _cleanup_error_ Error *error = NULL;
        int r = write_rules(path, text, &error);

        if (r == 0)
                r = refresh(engine, container, &error);
        if (r == 0)
                r = check(engine, container, &error);
        if (r == 0)
                return reload(engine, container, err);
        if (write_rules(path, former, NULL) == 0)
                refresh(engine, container, NULL);
        return error_move(err, &error, r);
}

int access_apply(Engine *engine, const ContainerInfo *container, const json_t *plan, bool *ret_changed, Error **err)
{
        const char *path = json_get_string(plan, "path", "");
        _cleanup_strbuf_ Strbuf file = STRBUF_INIT, former = STRBUF_INIT, loaded = STRBUF_INIT;
        _cleanup_free_ char *mark_path = xasprintf("%s.loaded", path), *mark = NULL;
        const json_t *rule;
        size_t i;
        int r = 0;

        *ret_changed = false;
        strbuf_adds(&file, head);
        json_array_foreach(json_object_get(plan, "rules"), i, rule)
                r = r < 0 ? r : add_rule(engine, &file, rule, err);
        if (r < 0)
                return r;
        mark = sha256_hex(strbuf_text(&file), file.length);
        fs_read_file(AT_FDCWD, mark_path, FILE_LIMIT, &loaded, NULL);
        if (fs_read_file(AT_FDCWD, path, FILE_LIMIT, &former, NULL) < 0)
                strbuf_adds(&former, head);
        if (streq(strbuf_text(&former), strbuf_text(&file)) && streq(strbuf_text(&loaded), mark))
                return 0;
        r = replace(engine, container, path, strbuf_text(&file), strbuf_text(&former), err);
        if (r == 0)
                r = fs_write_file(AT_FDCWD, mark_path, mark, strlen(mark), 0600, err);
        *ret_changed = r == 0;
        return r;
}
