#include "compose/discover.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "compose/dotenv.h"
#include "compose/interpolate.h"
#include "compose/source.h"
#include "compose/yaml_tree.h"

static const char *const file_names[] = { "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml",
                                          NULL };
static const char *const override_names[] = {
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yml",
        "docker-compose.override.yaml",
        NULL,
};

void discovered_done(Discovered *discovered)
{
        strv_free(discovered->files);
        strv_free(discovered->profiles);
        free(discovered->working_dir);
}

static const char *variable_value(const Loader *loader, const char *name)
{
        const Variable *variable = variables_get(&loader->variables, name);

        return variable ? variable->value : NULL;
}

static void load_environment(Loader *loader)
{
        STRV_FOREACH(pair, loader->options->environment) {
                const char *equals = strchr(*pair, '=');
                _cleanup_free_ char *name = equals ? xstrndup(*pair, (size_t)(equals - *pair)) : NULL;

                if (name)
                        variables_set(loader, &loader->variables, name, equals + 1, "the environment");
        }
        if (!variable_value(loader, "PWD"))
                variables_set(loader, &loader->variables, "PWD", loader->working_dir, "the working folder");
        loader->home = variable_value(loader, "HOME");
}

/* The project's folder as far as it is known. */
static char *project_folder(const Loader *loader, char *const *files)
{
        if (!isempty(loader->options->project_dir))
                return path_clean(loader->working_dir, loader->options->project_dir);
        STRV_FOREACH(file, files) {
                _cleanup_free_ char *path = NULL;

                if (streq(*file, "-"))
                        continue;
                path = path_clean(loader->working_dir, *file);
                return path_dirname(path);
        }
        return xstrdup(loader->working_dir);
}

static bool default_env_file_disabled(const Loader *loader)
{
        const char *value = strv_env_get(loader->options->environment, "COMPOSE_DISABLE_ENV_FILE");
        bool disabled = false;

        return value && parse_bool(value, &disabled) && disabled;
}

/* --env-file, COMPOSE_ENV_FILES, or the folder's .env; nothing that is set already is changed. */
static int load_env_files(Loader *loader, char *const *files, Error **err)
{
        const char *listed = strv_env_get(loader->options->environment, "COMPOSE_ENV_FILES");
        _cleanup_(variables_done) Variables read = { 0 };
        _cleanup_strv_ char **env_files = NULL;
        int r;

        strv_add_all(&env_files, loader->options->env_files);
        if (!env_files && !isempty(listed)) {
                _cleanup_strv_ char **parts = strv_split(listed, ',');

                STRV_FOREACH(part, parts)
                        if (**part)
                                strv_add(&env_files, *part);
        }
        if (!env_files && !default_env_file_disabled(loader)) {
                _cleanup_free_ char *folder = project_folder(loader, files);
                char *path = path_join(folder, ".env");

                if (access(path, F_OK) == 0 && !fs_is_directory(path))
                        strv_take(&env_files, path);
                else
                        free(path);
        }
        r = dotenv_read_files(loader, env_files, &loader->variables, &read, err);
        if (r < 0)
                return r;
        STRMAP_FOREACH(entry, &read.map)
                if (!strmap_has(&loader->variables.map, entry->key))
                        strmap_set(&loader->variables.map, entry->key, entry->value);
        return 0;
}

static int files_from_variable(Loader *loader, char ***files, Error **err)
{
        const char *value = variable_value(loader, "COMPOSE_FILE"),
                   *separator = variable_value(loader, "COMPOSE_PATH_SEPARATOR");
        size_t length;

        if (*files || !value)
                return 0;
        if (isempty(separator))
                separator = ":";
        length = strlen(separator);
        for (;;) {
                const char *end = strstr(value, separator);
                _cleanup_free_ char *part = end ? xstrndup(value, (size_t)(end - value)) : xstrdup(value);
                char *path = streq(part, "-") ? xstrdup(part) : path_clean(loader->working_dir, part);

                if (!streq(path, "-") && access(path, F_OK) < 0) {
                        int r = error_set(err, ERROR_NOT_FOUND, "stat %s: %s", path, strerror(errno));

                        free(path);
                        return error_hint(err, r, "COMPOSE_FILE names it.");
                }
                strv_take(files, path);
                if (!end)
                        return 0;
                value = end + length;
        }
}

static char **find_names(const char *folder, const char *const *names)
{
        char **found = NULL;

        for (; *names; names++) {
                char *path = path_join(folder, *names);

                if (access(path, F_OK) == 0)
                        strv_take(&found, path);
                else
                        free(path);
        }
        return found;
}

static void add_first(Loader *loader, char ***files, char *const *found, const char *kind)
{
        if (!found)
                return;
        if (strv_length(found) > 1) {
                _cleanup_free_ char *all = strv_join(found, ", ");

                loader_warn(loader, "Found multiple %s files with supported names: %s", kind, all);
                loader_warn(loader, "Using %s", found[0]);
        }
        strv_add(files, found[0]);
}

static void search_files(Loader *loader, char ***files)
{
        _cleanup_free_ char *folder = project_folder(loader, *files);

        while (!*files) {
                _cleanup_strv_ char **found = find_names(folder, file_names), **overrides = NULL;
                char *parent;

                if (found) {
                        overrides = find_names(folder, override_names);
                        add_first(loader, files, found, "config");
                        add_first(loader, files, overrides, "override");
                        return;
                }
                if (streq(folder, "/"))
                        return;
                parent = path_dirname(folder);
                free_and_replace(&folder, parent);
        }
}

static void find_profiles(const Loader *loader, Discovered *discovered)
{
        const char *listed = variable_value(loader, "COMPOSE_PROFILES");

        strv_add_all(&discovered->profiles, loader->options->profiles);
        if (discovered->profiles || isempty(listed))
                return;
        for (;;) {
                size_t length = strcspn(listed, ","), start = strspn(listed, " \t\n");
                size_t end = length;

                while (end > start && isspace((unsigned char)listed[end - 1]))
                        end--;
                if (start < end)
                        strv_take(&discovered->profiles, xstrndup(listed + start, end - start));
                if (!listed[length])
                        return;
                listed += length + 1;
        }
}

int discover(Loader *loader, Discovered *ret, Error **err)
{
        _cleanup_strv_ char **files = NULL;
        int r;

        load_environment(loader);
        STRV_FOREACH(file, loader->options->files) {
                if (source_is_remote(*file)) {
                        source_fail_remote(loader, NULL, *file);
                        return -ERROR_INVALID;
                }
                if (streq(*file, "-"))
                        strv_add(&files, "-");
                else
                        strv_take(&files, path_clean(loader->working_dir, *file));
        }
        r = load_env_files(loader, files, err);
        if (r < 0)
                return r;
        r = files_from_variable(loader, &files, err);
        if (r < 0)
                return r;
        if (!files)
                search_files(loader, &files);
        r = load_env_files(loader, files, err);
        if (r < 0)
                return r;
        if (!files) {
                _cleanup_free_ char *folder = project_folder(loader, NULL);

                if (access(folder, R_OK | X_OK) < 0 && errno == EACCES)
                        return error_set_errno(err, errno, "look for a compose file in \"%s\"", folder);
                r = error_set(err, ERROR_NOT_FOUND, "no configuration file provided: not found");
                return error_hint(err, r, "Name a compose file with -f, or change to the folder of one.");
        }
        find_profiles(loader, ret);
        ret->working_dir = project_folder(loader, files);
        ret->files = TAKE_PTR(files);
        return 0;
}

static char *normalize_name(const char *name)
{
        Strbuf out = STRBUF_INIT;

        for (; *name; name++) {
                char c = (char)tolower((unsigned char)*name);

                if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || ((c == '_' || c == '-') && out.length > 0))
                        strbuf_addc(&out, c);
        }
        return strbuf_take(&out);
}

static int set_name_exactly(Loader *loader, const char *name, Error **err)
{
        _cleanup_free_ char *normal = normalize_name(name);

        if (!streq(normal, name))
                return error_set(err, ERROR_INVALID,
                                 "invalid project name \"%s\": must consist only of lowercase alphanumeric characters, "
                                 "hyphens, and underscores as well as start with a letter or number",
                                 name);
        loader->project_name = arena_strdup(loader->arena, name);
        loader->name_given = true;
        return 0;
}

/* The last `name:` of the files; "" where there is none. *ret_named: one of the first documents has one. */
static const char *name_in_files(Loader *loader, char *const *files, bool *ret_named)
{
        const char *name = "";

        STRV_FOREACH(file, files) {
                const YamlDocuments *documents = source_documents(loader, *file, NULL);

                for (size_t i = 0; documents && i < documents->length; i++) {
                        const Node *node = node_get(documents->roots[i], "name");
                        const char *text = node && node->kind <= NODE_STRING && node->kind != NODE_NULL
                                                   ? node_scalar_text(loader->arena, node)
                                                   : NULL;

                        if (isempty(text))
                                continue;
                        name = text;
                        *ret_named |= i == 0;
                }
        }
        return name;
}

static void name_from_files(Loader *loader, const Discovered *discovered)
{
        _cleanup_free_ char *folder = normalize_name(path_basename(discovered->working_dir)), *normal = NULL;
        const char *name, *text = "", *why = NULL;
        bool named = false;

        name = name_in_files(loader, discovered->files, &named);
        text = name;
        if (!loader->options->no_interpolate && !interpolate_text(loader, name, &loader->variables, &text, &why))
                text = ""; /* said with its place when the files are interpolated */
        normal = loader->options->no_normalize ? xstrdup(text) : normalize_name(text);
        loader->project_name = arena_strdup(loader->arena, *normal ? normal : named ? "" : folder);
        loader->name_given = *normal;
}

int discover_name(Loader *loader, const Discovered *discovered, Error **err)
{
        const char *variable = variable_value(loader, "COMPOSE_PROJECT_NAME");
        int r = 0;

        if (!isempty(loader->options->project_name))
                r = set_name_exactly(loader, loader->options->project_name, err);
        else if (!isempty(variable))
                r = set_name_exactly(loader, variable, err);
        else
                name_from_files(loader, discovered);
        if (r < 0)
                return r;
        variables_set(loader, &loader->variables, "COMPOSE_PROJECT_NAME", loader->project_name, "the project's name");
        return 0;
}
