/* include: other projects' files as part of this one, each with its own folder and variables. */
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "compose/dotenv.h"
#include "compose/source_private.h"

typedef struct Include {
        char **paths; /* as written */
        char **env_files;
        const char *project_dir;
        const Node *at;
} Include;

static bool read_texts(Loader *loader, const Node *node, const char *what, char ***ret)
{
        if (!node || node->kind == NODE_NULL)
                return true;
        if (node->kind == NODE_STRING) {
                strv_add(ret, node->text);
                return true;
        }
        if (node->kind == NODE_LIST) {
                NODE_FOREACH_ITEM(item, node)
                {
                        if ((*item)->kind != NODE_STRING) {
                                loader_fail(loader, *item, NULL, "include.%s: must be a string, is a %s", what,
                                            node_kind_name((*item)->kind));
                                return false;
                        }
                        strv_add(ret, (*item)->text);
                }
                return true;
        }
        loader_fail(loader, node, NULL, "include.%s: must be a string or a list, is a %s", what,
                    node_kind_name(node->kind));
        return false;
}

static void include_done(Include *include)
{
        strv_free(include->paths);
        strv_free(include->env_files);
}

static bool read_include(Loader *loader, const Node *item, Include *ret)
{
        const Node *project_dir = node_get(item, "project_directory");

        *ret = (Include){ .at = item };
        if (item->kind == NODE_STRING) {
                strv_add(&ret->paths, item->text);
                return true;
        }
        if (item->kind != NODE_MAP) {
                loader_fail(loader, item, NULL, "include: must be a string or a mapping, is a %s",
                            node_kind_name(item->kind));
                return false;
        }
        if (!node_is_null(project_dir) && project_dir->kind != NODE_STRING) {
                loader_fail(loader, project_dir, NULL, "include.project_directory: must be a string");
                return false;
        }
        ret->project_dir = node_text(project_dir);
        return read_texts(loader, node_get(item, "path"), "path", &ret->paths) &&
               read_texts(loader, node_get(item, "env_file"), "env_file", &ret->env_files);
}

static bool include_has_cycle(const Source *source, const Include *include, const char *path)
{
        for (const SourceFiles *files = source->files; files; files = files->parent) {
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                if (!streq(files->file, path))
                        continue;
                for (const SourceFiles *step = source->files; step; step = step->parent)
                        strbuf_addf(&text, "%s%s", step == source->files ? "" : ", included by ", step->file);
                loader_fail(source->loader, include->at, NULL, "include cycle detected: %s, included by %s", path,
                            strbuf_text(&text));
                return true;
        }
        return false;
}

/* The variables of an included project: those of the including one, then its own .env or env_file. */
static bool include_variables(const Source *source, const Include *include, const char *project_dir, Variables *ret)
{
        Loader *loader = source->loader;
        _cleanup_(variables_done) Variables own = { 0 };
        _cleanup_strv_ char **files = NULL;
        Error *error = NULL;

        variables_copy(ret, source->options->variables);
        if (!include->env_files) {
                const char *file = arena_printf(loader->arena, "%s/.env", project_dir);

                if (access(file, F_OK) == 0 && !fs_is_directory(file))
                        strv_add(&files, file);
        }
        STRV_FOREACH(file, include->env_files)
                strv_add(&files, source_absolute_path(loader, source->options->project_dir, *file));
        if (dotenv_read_files(loader, files, source->options->variables, &own, &error) < 0) {
                loader_add_error(loader, &error);
                return false;
        }
        STRMAP_FOREACH(entry, &own.map)
                if (!strmap_has(&ret->map, entry->key))
                        strmap_set(&ret->map, entry->key, entry->value);
        return true;
}

static const char *include_folder(Loader *loader, const char *base, const char *folder)
{
        const char *path = source_absolute_path(loader, base, folder);

        return fs_is_directory(path) ? path : source_folder_of(loader, path);
}

static bool has_remote(Loader *loader, const Include *include)
{
        bool found = false;

        STRV_FOREACH(path, include->paths)
                if (source_is_remote(*path)) {
                        source_fail_remote(loader, include->at, *path);
                        found = true;
                }
        return found;
}

static Node *load_include(const Source *source, const Include *include)
{
        Loader *loader = source->loader;
        const SourceOptions *parent = source->options;
        _cleanup_(variables_done) Variables variables = { 0 };
        _cleanup_strv_ char **files = NULL;
        const char *project_dir, *first;
        SourceOptions options;

        if (has_remote(loader, include))
                return NULL;
        STRV_FOREACH(path, include->paths)
                strv_add(&files, source_absolute_path(loader, parent->project_dir, *path));
        if (!files)
                return NULL;
        first = arena_strdup(loader->arena, files[0]);
        if (include_has_cycle(source, include, first))
                return NULL;
        project_dir = isempty(include->project_dir)
                              ? source_folder_of(loader, first)
                              : source_absolute_path(loader, parent->project_dir, include->project_dir);
        if (!include_variables(source, include, project_dir, &variables))
                return NULL;
        options = (SourceOptions){
                .working_dir = !isempty(include->project_dir) && *include->project_dir == '/'
                                       ? include->project_dir
                                       : source_relative_to(loader, parent->project_dir,
                                                            isempty(include->project_dir)
                                                                    ? source_folder_of(loader, first)
                                                                    : include_folder(loader, parent->project_dir,
                                                                                     include->project_dir)),
                .project_dir = project_dir,
                .variables = &variables,
                .resolve_paths = true,
                .including = source->files,
                .at = include->at,
        };
        return source_load(loader, files, &options);
}

static void import_section(const Source *source, const Node *from, Node *to, const char *section)
{
        Loader *loader = source->loader;
        const Node *theirs = node_get(from, section);
        Node *ours = node_get(to, section);

        if (!node_is(theirs, NODE_MAP))
                return;
        if (node_is_null(ours)) {
                ours = node_new_map(loader->arena, theirs);
                node_set(loader->arena, to, section, ours);
        }
        if (ours->kind != NODE_MAP)
                return; /* validation will say so */
        NODE_FOREACH_ENTRY(entry, theirs)
        {
                const NodeEntry *present = node_find(ours, entry->key);

                if (!present)
                        node_set_at(loader->arena, ours, entry->key, entry->line, entry->column, entry->value);
                else if (!node_equal(present->value, entry->value))
                        loader_fail(loader, present->value, NULL, "%s.%s conflicts with imported resource of %s:%u",
                                    section, entry->key, node_file(entry->value) ?: "an included file",
                                    entry->value->line);
        }
}

void source_apply_includes(const Source *source, Node *dict)
{
        static const char *const sections[] = { "services", "volumes", "networks", "secrets", "configs", "models" };
        const Node *includes = node_get(dict, "include");

        if (node_is(includes, NODE_LIST))
                NODE_FOREACH_ITEM(item, includes)
                {
                        _cleanup_(include_done) Include include = { 0 };
                        Node *imported;

                        if (!read_include(source->loader, *item, &include)) {
                                source->loader->names_missing = true;
                                continue;
                        }
                        imported = load_include(source, &include);
                        if (!imported)
                                source->loader->names_missing = true;
                        for (size_t i = 0; imported && i < ARRAY_SIZE(sections); i++)
                                import_section(source, imported, dict, sections[i]);
                }
        else if (!node_is_null(includes))
                loader_fail(source->loader, includes, NULL, "include: must be a list, is a %s",
                            node_kind_name(includes->kind));
        node_remove(dict, "include");
}
