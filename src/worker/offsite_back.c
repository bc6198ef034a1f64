/* The way back from a copy elsewhere, and its key.
 *
 * offsite-look {"copy", "key"?, "project"?} → {"projects", "lines": [{"project", "service", "folder", "encrypted",
 * "changed_ns", "backups", "newest_ns", "oldest_ns", "bundle"?}], "manifest"?, "folder"?, "bundle"?} offsite-unpack {"copy", "key"?,
 * "folder", "bundle", "into"} → {"kept"} offsite-claim {"copy", "key"?, "repository", "folder"} backup-key {"path",
 * "make"?} → {"path", "id", "name", "created_ns", "made"} */
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/bundle.h"
#include "state/document.h"
#include "worker/copy_private.h"

/* ---- looking ---- */

/* "<project>/<service>/<number>/repository.json": a repository of a copy. */
static bool is_description(const char *key, char ***ret_parts)
{
        _cleanup_strv_ char **parts = strv_split(key, '/');

        if (strv_length(parts) != 4 || !streq(parts[3], "repository.json") ||
            strspn(parts[2], "0123456789") != strlen(parts[2]))
                return false;
        *ret_parts = TAKE_PTR(parts);
        return true;
}

/* What the names of its objects tell. */
static void look_at_names(const StorageList *list, const char *folder, json_t *line)
{
        _cleanup_free_ char *bundles = xasprintf("%s/%s/", folder, BUNDLE_FOLDER);
        int64_t changed_ns = 0;

        VECTOR_FOREACH(entry, &list->entries) {
                const char *rest = startswith(entry->key, folder);

                if (!rest || *rest != '/')
                        continue;
                changed_ns = MAX(changed_ns, entry->modified_ns);
                if (startswith(entry->key, bundles) && endswith(entry->key, BUNDLE_ENDING))
                        json_set_string(line, "bundle", rest + 1); /* the newest comes last */
        }
        json_object_set_new(line, "changed_ns", json_integer(changed_ns));
}

static int look_at_line(const Job *job, const StorageList *list, char *const *parts, json_t **ret, Error **err)
{
        _cleanup_free_ char *folder = xasprintf("%s/%s/%s", parts[0], parts[1], parts[2]);
        _cleanup_backup_list_ BackupList backups = { 0 };
        _cleanup_opened_ Opened opened = { 0 };
        size_t n;
        int r = job_open_copy(job, folder, &opened, err);

        if (r == 0)
                r = backup_list_load(opened.repository, &backups, err);
        if (r < 0)
                return r;
        n = backups.records.length;
        *ret = json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:I}", "project", parts[0], "service", parts[1], "folder",
                         folder, "encrypted", (int)opened.repository->encrypted, "backups", (json_int_t)n, "newest_ns",
                         (json_int_t)(n ? backups.records.items[n - 1]->finished_ns : 0), "oldest_ns",
                         (json_int_t)(n ? backups.records.items[0]->finished_ns : 0));
        look_at_names(list, folder, *ret);
        return 0;
}

static int load_bundle(const Job *job, const char *folder, const char *name, Strbuf *ret, bool *ret_sealed, Error **err)
{
        _cleanup_opened_ Opened opened = { 0 };
        int r = job_open_copy(job, folder, &opened, err);

        if (r < 0)
                return r;
        *ret_sealed = opened.repository->encrypted;
        return storage_get(opened.repository->storage, name, BUNDLE_LIMIT, ret, err);
}

/* Of the line whose files were stored last. */
static int look_at_bundle(const Job *job, json_t *result, Error **err)
{
        const json_t *lines = json_object_get(result, "lines"), *newest = NULL;
        Strbuf archive = STRBUF_INIT;
        json_t *line, *manifest = NULL;
        bool sealed;
        size_t i;
        int r;

        json_array_foreach(lines, i, line)
                if (json_get_string(line, "bundle", NULL) &&
                    (!newest || strcmp(json_get_string(line, "bundle", ""), json_get_string(newest, "bundle", "")) > 0))
                        newest = line;
        if (!newest)
                return 0;
        r = load_bundle(job, json_get_string(newest, "folder", ""), json_get_string(newest, "bundle", ""), &archive,
                        &sealed, err);
        if (r == 0)
                r = bundle_read_manifest(strbuf_text(&archive), archive.length, &manifest, err);
        strbuf_erase(&archive);
        strbuf_done(&archive);
        if (r < 0)
                return r;
        json_object_set_new(result, "manifest", manifest);
        json_set_string(result, "folder", json_get_string(newest, "folder", ""));
        json_set_string(result, "bundle", json_get_string(newest, "bundle", ""));
        return 0;
}

static void add_project(json_t *projects, const char *name)
{
        json_t *item;
        size_t i;

        json_array_foreach(projects, i, item)
                if (streq(json_string_value(item), name))
                        return;
        json_array_append_new(projects, json_string(name));
}

int job_offsite_look(const Job *job, json_t **ret, Error **err)
{
        const char *project = json_get_string(job->params, "project", NULL);
        _cleanup_json_ json_t *result = json_pack("{s:[], s:[]}", "projects", "lines");
        _cleanup_(storage_freep) Storage *storage = NULL;
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = job_open_storage(job, "", &storage, err);

        if (r == 0)
                r = storage->operations->list(storage, "", &list, err);
        VECTOR_FOREACH(entry, &list.entries) {
                _cleanup_strv_ char **parts = NULL;
                json_t *line = NULL;

                if (r < 0 || !is_description(entry->key, &parts))
                        continue;
                add_project(json_object_get(result, "projects"), parts[0]);
                if (!project || !streq(project, parts[0]))
                        continue;
                r = look_at_line(job, &list, parts, &line, err);
                if (r == 0)
                        json_array_append_new(json_object_get(result, "lines"), line);
        }
        if (r == 0)
                r = look_at_bundle(job, result, err);
        if (r == 0)
                *ret = TAKE_PTR(result);
        return r;
}

int job_offsite_unpack(const Job *job, json_t **ret, Error **err)
{
        const char *folder, *name, *into;
        _cleanup_strv_ char **kept = NULL;
        Strbuf archive = STRBUF_INIT;
        bool sealed = false;
        int r = job_require(job, "folder", &folder, err);

        if (r == 0)
                r = job_require(job, "bundle", &name, err);
        if (r == 0)
                r = job_require(job, "into", &into, err);
        if (r == 0)
                r = load_bundle(job, folder, name, &archive, &sealed, err);
        if (r == 0)
                r = bundle_unpack(strbuf_text(&archive), archive.length, into, sealed, &kept, err);
        strbuf_erase(&archive);
        strbuf_done(&archive);
        if (r == 0)
                *ret = json_pack("{s:o}", "kept", json_from_strv(kept));
        return r;
}

/* ---- the key ---- */

int job_backup_key(const Job *job, json_t **ret, Error **err)
{
        _cleanup_(backup_key_freep) BackupKey *key = NULL;
        _cleanup_free_ char *name = NULL;
        const char *path;
        bool made = false;
        int r = job_require(job, "path", &path, err);

        if (r < 0)
                return r;
        if (!fs_exists(path) && json_get_bool(job->params, "make", false)) {
                name = xstrndup(path_basename(path), strcspn(path_basename(path), "."));
                r = backup_key_create(path, name, &key, err);
                made = true;
        } else {
                r = backup_key_load(path, &key, err);
        }
        if (r == 0)
                *ret = json_pack("{s:s, s:s, s:s, s:I, s:b}", "path", path, "id", key->id_text, "name", key->name,
                                 "created_ns", (json_int_t)key->created_ns, "made", (int)made);
        return r;
}

/* ---- taking over ---- */

int job_offsite_claim(const Job *job, json_t **ret, Error **err)
{
        _cleanup_opened_ Opened to = { 0 };
        const char *folder;
        int r = job_require(job, "folder", &folder, err);

        if (r == 0)
                r = job_open_copy(job, folder, &to, err);
        return r < 0 ? r : copy_claim(job, to.repository, true, err);
}
