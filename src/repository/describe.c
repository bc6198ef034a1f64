#include "repository/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "repository/aside.h"
#include "repository/storage_sealed.h"
#include "state/document.h"

#define INDEX_ENDING ".index"
#define INDEX_LIMIT  ((size_t)256 << 20)
#define RECORD_LIMIT ((size_t)1 << 20)
#define PAGE_BYTES   8192

/* ---- what there is ---- */

/* Torn or not: what says that it is of another time is not ours to replace. */
static bool says_newer_format(const Strbuf *text)
{
        const char *found = strstr(strbuf_text(text), "\"format\"");

        found = found ? found + strlen("\"format\"") : "";
        found += strspn(found, " \t\r\n");
        return *found == ':' && strtoll(found + 1, NULL, 10) > REPOSITORY_FORMAT;
}

static bool file_says_newer_format(const char *file)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return fs_read_file(AT_FDCWD, file, INDEX_LIMIT, &text, NULL) == 0 && says_newer_format(&text);
}

static bool has_newer_records(const char *path)
{
        _cleanup_free_ char *folder = path_join(path, "backups");
        _cleanup_strv_ char **ids = NULL;

        fs_list_directory(AT_FDCWD, folder, &ids, NULL);
        STRV_FOREACH(id, ids) {
                _cleanup_free_ char *record = xasprintf("%s/%s/backup.json", folder, *id);
                _cleanup_json_ json_t *document = NULL;

                if (document_load(record, REPOSITORY_FORMAT, &document, NULL) == -ERROR_UNSUPPORTED)
                        return true;
        }
        return false;
}

/* The fourth word of a line: "<SHA-256> <offset> <stored bytes> <bytes> <CRC-32C>". */
static uint32_t chunk_bytes_of(const char *line)
{
        for (int i = 0; i < 3; i++) {
                line += strcspn(line, " \n");
                line += *line == ' ';
        }
        return (uint32_t)strtoul(line, NULL, 10);
}

/* The longest chunk is as long as they all are but a file's last one. */
static uint32_t find_chunk_bytes(const char *path)
{
        _cleanup_free_ char *folder = path_join(path, "packs");
        _cleanup_strv_ char **names = NULL;
        uint32_t longest = 0;

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *file = path_join(folder, *name);
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                if (!endswith(*name, INDEX_ENDING) || fs_read_file(AT_FDCWD, file, INDEX_LIMIT, &text, NULL) < 0)
                        continue;
                for (const char *line = strbuf_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n')
                        longest = MAX(longest, chunk_bytes_of(line));
        }
        return longest >= PAGE_BYTES && longest <= 16 << 20 && longest % PAGE_BYTES == 0 ? longest
                                                                                         : REPOSITORY_CHUNK_BYTES;
}

bool repository_known_by_folder(const char *path, Repository *ret)
{
        _cleanup_free_ char *file = path_join(path, REPOSITORY_DESCRIPTION), *backups = path_join(path, "backups");
        _cleanup_free_ char *log = path_join(path, "wal"), *service = path_dirname(path),
                            *project = path_dirname(service);
        const char *name = path_basename(path);

        if (!*name || strspn(name, "0123456789") != strlen(name) ||
            sscanf(name, "%" SCNu64, &ret->system_identifier) != 1 ||
            (!fs_is_directory(backups) && !fs_is_directory(log)) || file_says_newer_format(file) ||
            has_newer_records(path))
                return false;
        ret->chunk_bytes = find_chunk_bytes(path);
        ret->project = xstrdup(path_basename(project));
        ret->service = xstrdup(path_basename(service));
        return true;
}

/* ---- writing it ---- */

static int set_aside(const Repository *repository, const char *file, char **ret_kept, Error **err)
{
        _cleanup_free_ char *name = aside_name(), *folder = path_join(repository->path, name);
        _cleanup_free_ char *kept = path_join(folder, REPOSITORY_DESCRIPTION);
        int r;

        if (!fs_exists(file))
                return 0;
        r = fs_make_directories(folder, 0700, err);
        if (r == 0 && link(file, kept) < 0 && errno != EEXIST)
                r = error_set_errno(err, errno, "keep \"%s\"", file);
        if (r == 0)
                *ret_kept = TAKE_PTR(folder);
        return r;
}

int repository_describe_anew(Repository *repository, char **ret_kept, Error **err)
{
        _cleanup_free_ char *file = path_join(repository->path, REPOSITORY_DESCRIPTION);
        int r = set_aside(repository, file, ret_kept, err);

        if (r == 0)
                r = repository_describe(repository, err);
        if (r == 0)
                free_and_replace(&repository->undescribed, NULL);
        return r;
}

/* ---- a copy elsewhere ---- */

/* Some small object of it, which says by its first bytes whether it is sealed. *ret_any false: there is none. */
static int read_record(Storage *storage, bool *ret_any, Strbuf *ret, Error **err)
{
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = storage->operations->list(storage, "backups", &list, err);

        *ret_any = false;
        VECTOR_FOREACH(entry, &list.entries)
                if (r == 0 && !*ret_any && endswith(entry->key, "/backup.json")) {
                        r = storage_get(storage, entry->key, RECORD_LIMIT, ret, err);
                        *ret_any = r == 0;
                }
        return r;
}

static int refuse_key(const char *id, const BackupKey *key, Error **err)
{
        int r = error_set(err, ERROR_DENIED, "the copy is encrypted with the key %s, and %s%s", id,
                          key ? "this is the key " : "no key was given", key ? key->id_text : "");

        return error_hint(err, r,
                          REPOSITORY_DESCRIPTION
                          " of the copy is damaged. To write it anew give the key file whose id is %s.",
                          id);
}

int repository_describe_elsewhere(Storage *storage, const BackupKey *key, const Repository *repository,
                                  bool *ret_written, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, record = STRBUF_INIT;
        _cleanup_json_ json_t *document = NULL;
        _cleanup_error_ Error *damage = NULL;
        char id[2 * BACKUP_KEY_ID_SIZE + 1];
        bool any, sealed;
        int r = storage_get_document(storage, REPOSITORY_DESCRIPTION, REPOSITORY_FORMAT, RECORD_LIMIT, &document,
                                     &damage);

        *ret_written = false;
        if (r != -ERROR_CORRUPT && r != -ERROR_NOT_FOUND)
                return r < 0 ? error_move(err, &damage, r) : 0;
        storage_get(storage, REPOSITORY_DESCRIPTION, RECORD_LIMIT, &text, NULL);
        if (says_newer_format(&text))
                return error_move(err, &damage, r);
        r = read_record(storage, &any, &record, err);
        if (r < 0 || !any)
                return r; /* no copy, or one that was not complete yet */
        sealed = sealed_by(strbuf_text(&record), record.length, id);
        if (sealed && (!key || !streq(key->id_text, id)))
                return refuse_key(id, key, err);
        r = repository_begin_elsewhere(storage, sealed ? key : NULL, repository, err);
        *ret_written = r == 0;
        return r;
}
