#include "repository/repository.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/describe.h"
#include "repository/storage_sealed.h"
#include "state/document.h"

#define DESCRIPTION_LIMIT (1u << 20)
#define CIPHER            "aes-256-gcm"

void repository_free(Repository *repository)
{
        if (!repository)
                return;
        storage_free(repository->storage);
        free(repository->path);
        free(repository->project);
        free(repository->service);
        free(repository->undescribed);
        free(repository);
}

static json_t *describe(const char *project, const char *service, uint64_t system_identifier, uint32_t chunk_bytes)
{
        _cleanup_free_ char *number = xasprintf("%" PRIu64, system_identifier);

        return json_pack("{s:s, s:s, s:s, s:i, s:I}", "system_identifier", number, "project", project, "service",
                         service, "chunk_bytes", (int)chunk_bytes, "created_ns", (json_int_t)clock_realtime_ns());
}

int repository_describe(const Repository *repository, Error **err)
{
        _cleanup_free_ char *file = path_join(repository->path, REPOSITORY_DESCRIPTION),
                            *parent = path_dirname(repository->path);
        _cleanup_json_ json_t *document = describe(repository->project, repository->service,
                                                   repository->system_identifier, repository->chunk_bytes);
        int r = fs_make_directories(repository->path, 0700, err);

        if (r == 0)
                r = document_save(file, REPOSITORY_FORMAT, document, err);
        return r < 0 ? r : fs_sync_directory(AT_FDCWD, parent, err);
}

int repository_create(const char *folder, const char *project, const char *service, uint64_t system_identifier,
                      Repository **ret, Error **err)
{
        _cleanup_free_ char *path = xasprintf("%s/%" PRIu64, folder, system_identifier);
        _cleanup_(repository_freep) Repository *repository = NULL;
        _cleanup_error_ Error *missing = NULL;
        int r = repository_open(path, &repository, &missing);

        if (r == -ERROR_NOT_FOUND) {
                const Repository fresh = { .path = path,
                                           .project = (char *)project,
                                           .service = (char *)service,
                                           .system_identifier = system_identifier,
                                           .chunk_bytes = REPOSITORY_CHUNK_BYTES };

                r = repository_describe(&fresh, err);
                if (r == 0)
                        r = repository_open(path, &repository, err);
        } else if (r < 0) {
                error_move(err, &missing, r);
        }
        if (r == 0 && repository->undescribed && system_identifier == repository->system_identifier) {
                _cleanup_free_ char *file = path_join(path, REPOSITORY_DESCRIPTION);

                if (!fs_exists(file)) /* nothing is replaced: what is damaged stays until somebody has it mended */
                        r = repository_describe(repository, err);
        }
        if (r < 0)
                return error_prefix(err, r, "repository of backups");
        if (repository->system_identifier != system_identifier)
                return error_set(err, ERROR_CORRUPT, "\"%s\" holds backups of the cluster %" PRIu64, path,
                                 repository->system_identifier);
        *ret = TAKE_PTR(repository);
        return 0;
}

static int read_description(const json_t *document, const char *file, Repository *ret, Error **err)
{
        const char *number = json_get_string(document, "system_identifier", "");
        int64_t chunk_bytes = json_get_int(document, "chunk_bytes", 0);

        if (sscanf(number, "%" SCNu64, &ret->system_identifier) != 1 || chunk_bytes < 8192 || chunk_bytes > 16 << 20 ||
            chunk_bytes % 8192)
                return error_set(err, ERROR_CORRUPT, "\"%s\" does not describe a repository", file);
        ret->chunk_bytes = (uint32_t)chunk_bytes;
        ret->project = xstrdup(json_get_string(document, "project", ""));
        ret->service = xstrdup(json_get_string(document, "service", ""));
        return 0;
}

/* The folder's name and what lies in it belong together: the log and the chunks of one cluster are nothing to another. */
static int check_folder(const char *path, const Repository *repository, Error **err)
{
        _cleanup_free_ char *number = xasprintf("%" PRIu64, repository->system_identifier);
        const char *name = path_basename(path);

        if (streq(name, number) || strspn(name, "0123456789") != strlen(name))
                return 0;
        return error_set(err, ERROR_CORRUPT, "\"%s\" is the repository of another cluster, %s", path, number);
}

int repository_open(const char *path, Repository **ret, Error **err)
{
        _cleanup_free_ char *file = path_join(path, REPOSITORY_DESCRIPTION);
        _cleanup_(repository_freep) Repository *repository = xnew(Repository);
        _cleanup_json_ json_t *document = NULL;
        _cleanup_error_ Error *damage = NULL;
        int r = document_load(file, REPOSITORY_FORMAT, &document, &damage);

        if (r == 0)
                r = read_description(document, file, repository, &damage);
        if (r == 0)
                r = check_folder(path, repository, err);
        else if ((r == -ERROR_CORRUPT || r == -ERROR_NOT_FOUND) && repository_known_by_folder(path, repository))
                repository->undescribed = xstrdup(damage->message), r = 0;
        else
                r = error_move(err, &damage, r);
        if (r == 0)
                r = storage_folder_create(path, &repository->storage, err);
        if (r < 0)
                return r;
        repository->path = xstrdup(path);
        *ret = TAKE_PTR(repository);
        return 0;
}

/* ---- elsewhere ---- */

static int needs_key(const json_t *encryption, const BackupKey *key, Error **err)
{
        const char *id = json_get_string(encryption, "key", ""), *name = json_get_string(encryption, "key_name", "");
        int r;

        if (!streq(json_get_string(encryption, "cipher", ""), CIPHER))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "the repository is encrypted in a way that this version does not know");
        if (key && streq(key->id_text, id))
                return 0;
        if (!key)
                r = error_set(err, ERROR_DENIED,
                              "the repository is encrypted with the key %s (\"%s\"), and no key was given", id, name);
        else
                r = error_set(err, ERROR_DENIED,
                              "the repository is encrypted with the key %s (\"%s\"), this is the key %s (\"%s\")", id,
                              name, key->id_text, key->name);
        return error_hint(err, r, "Nothing is damaged: give the key file whose id is %s.", id);
}

int repository_open_elsewhere(Storage *storage, const BackupKey *key, Repository **ret, Error **err)
{
        _cleanup_(repository_freep) Repository *repository = xnew(Repository);
        _cleanup_json_ json_t *document = NULL;
        const json_t *encryption;
        int r;

        repository->storage = storage;
        r = storage_get_document(storage, REPOSITORY_DESCRIPTION, REPOSITORY_FORMAT, DESCRIPTION_LIMIT, &document, err);
        if (r == 0)
                r = read_description(document, REPOSITORY_DESCRIPTION, repository, err);
        encryption = json_object_get(document, "encryption");
        if (r == 0 && encryption)
                r = needs_key(encryption, key, err);
        if (r < 0)
                return r;
        repository->encrypted = encryption;
        if (encryption)
                repository->storage = storage_sealed_create(storage, key);
        *ret = TAKE_PTR(repository);
        return 0;
}

int repository_begin_elsewhere(Storage *storage, const BackupKey *key, const Repository *repository, Error **err)
{
        _cleanup_json_ json_t *document = describe(repository->project, repository->service,
                                                   repository->system_identifier, repository->chunk_bytes);

        if (key)
                json_object_set_new(
                        document, "encryption",
                        json_pack("{s:s, s:s, s:s}", "cipher", CIPHER, "key", key->id_text, "key_name", key->name));
        return storage_put_document(storage, REPOSITORY_DESCRIPTION, REPOSITORY_FORMAT, document, err);
}

int repository_lock(const Repository *repository, int *ret_fd, Error **err)
{
        _cleanup_free_ char *path = path_join(repository->path, "lock");
        _cleanup_error_ Error *busy = NULL;
        int r = lock_file(path, 0, ret_fd, &busy);

        if (r != -ERROR_CONFLICT)
                return error_move(err, &busy, r);
        r = error_set(err, ERROR_CONFLICT, "another backup, restore or removal of service \"%s\" is at work",
                      repository->service);
        return error_hint(err, r, "Try again when it has ended.");
}

/* By when their log or their backups last changed. */
static int64_t last_change(const char *folder, const char *name)
{
        static const char *const places[] = { "wal", "backups", "packs", "repository.json" };
        int64_t last = 0;

        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s/%s", folder, name, places[i]);
                struct stat status;

                if (stat(path, &status) == 0)
                        last = MAX(last, status.st_mtim.tv_sec * INT64_C(1000000000) + status.st_mtim.tv_nsec);
        }
        return last;
}

/* One that is just being made has neither yet; where only the description is gone, that is damage, which shall be seen. */
static bool is_line(const char *folder, const char *name)
{
        _cleanup_free_ char *description = xasprintf("%s/%s/" REPOSITORY_DESCRIPTION, folder, name);
        _cleanup_free_ char *backups = xasprintf("%s/%s/backups", folder, name);

        return strspn(name, "0123456789") == strlen(name) && (fs_exists(description) || fs_exists(backups));
}

char **repository_lines(const char *folder)
{
        _cleanup_strv_ char **names = NULL;
        char **lines = NULL;

        if (fs_list_directory(AT_FDCWD, folder, &names, NULL) < 0)
                return NULL;
        STRV_FOREACH(name, names)
                if (is_line(folder, *name))
                        strv_add(&lines, *name);
        for (size_t i = 1; i < strv_length(lines); i++)
                for (size_t k = i; k > 0 && last_change(folder, lines[k - 1]) > last_change(folder, lines[k]); k--) {
                        char *swap = lines[k];
                        lines[k] = lines[k - 1];
                        lines[k - 1] = swap;
                }
        return lines;
}
