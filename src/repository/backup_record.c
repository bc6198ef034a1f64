#include "repository/backup_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "state/document.h"

#define RECORD_LIMIT (1u << 20)

void backup_record_free(BackupRecord *record)
{
        if (!record)
                return;
        free(record->id);
        free(record->kind);
        free(record->files_sha256);
        free(record);
}

void backup_list_done(BackupList *list)
{
        VECTOR_FOREACH(record, &list->records)
                backup_record_free(*record);
        vector_done(&list->records);
        list->damaged = strv_free(list->damaged);
}

bool backup_id_is_valid(const char *id)
{
        size_t length = strlen(id);

        return length >= 16 && length < BACKUP_ID_SIZE && strspn(id, "0123456789TZ-") == length;
}

static char *record_key(const char *id)
{
        return xasprintf("backups/%s/backup.json", id);
}

char *backup_id_new(Repository *repository, int64_t now_ns)
{
        time_t seconds = (time_t)(now_ns / NSEC_PER_SEC);
        char text[BACKUP_ID_SIZE];
        struct tm utc;

        gmtime_r(&seconds, &utc);
        strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &utc);
        for (int n = 1;; n++) {
                _cleanup_free_ char *id = n == 1 ? xstrdup(text) : xasprintf("%s-%d", text, n);
                _cleanup_free_ char *folder = xasprintf("backups/%s", id);
                _cleanup_storage_list_ StorageList list = { 0 };

                if (repository->storage->operations->list(repository->storage, folder, &list, NULL) < 0 ||
                    !list.entries.length)
                        return TAKE_PTR(id);
        }
}

json_t *backup_record_to_json(const BackupRecord *record)
{
        char start[LSN_TEXT_SIZE], stop[LSN_TEXT_SIZE];

        return json_pack("{s:s, s:s, s:b, s:I, s:I, s:i, s:i, s:s, s:s, s:i, s:b, s:I, s:I, s:I, s:s}", "id",
                         record->id, "kind", record->kind, "streamed", record->streamed, "started_ns",
                         (json_int_t)record->started_ns, "finished_ns", (json_int_t)record->finished_ns,
                         "server_version", record->server_version, "timeline", (int)record->timeline, "start_lsn",
                         lsn_format(record->start_lsn, start), "stop_lsn", lsn_format(record->stop_lsn, stop),
                         "segment_bytes", (int)record->segment_bytes, "data_checksums", record->data_checksums, "files",
                         (json_int_t)record->files, "size_bytes", (json_int_t)record->size_bytes, "new_bytes",
                         (json_int_t)record->new_bytes, "files_sha256", record->files_sha256);
}

int backup_record_save(Repository *repository, const BackupRecord *record, Error **err)
{
        _cleanup_json_ json_t *document = backup_record_to_json(record);
        _cleanup_free_ char *key = record_key(record->id);

        return storage_put_document(repository->storage, key, BACKUP_FORMAT, document, err);
}

static bool record_is_sound(const BackupRecord *record, const char *id)
{
        return record->timeline && record->start_lsn && record->stop_lsn >= record->start_lsn &&
               record->segment_bytes >= 1u << 20 && !(record->segment_bytes & (record->segment_bytes - 1)) &&
               record->files_sha256 && streq_ptr(record->id, id);
}

static int parse_record(const char *id, const json_t *document, BackupRecord **ret, Error **err)
{
        _cleanup_(backup_record_freep) BackupRecord *record = xnew(BackupRecord);

        *record = (BackupRecord){
                .id = xstrdup(json_get_string(document, "id", NULL)),
                .kind = xstrdup(json_get_string(document, "kind", "full")),
                .streamed = json_get_bool(document, "streamed", true),
                .started_ns = json_get_int(document, "started_ns", 0),
                .finished_ns = json_get_int(document, "finished_ns", 0),
                .server_version = (int)json_get_int(document, "server_version", 0),
                .timeline = (uint32_t)json_get_int(document, "timeline", 0),
                .segment_bytes = (uint32_t)json_get_int(document, "segment_bytes", 0),
                .data_checksums = json_get_bool(document, "data_checksums", false),
                .files = (uint64_t)json_get_int(document, "files", 0),
                .size_bytes = (uint64_t)json_get_int(document, "size_bytes", 0),
                .new_bytes = (uint64_t)json_get_int(document, "new_bytes", 0),
                .files_sha256 = xstrdup(json_get_string(document, "files_sha256", NULL)),
        };
        if (!lsn_parse(json_get_string(document, "start_lsn", ""), &record->start_lsn) ||
            !lsn_parse(json_get_string(document, "stop_lsn", ""), &record->stop_lsn) || !record_is_sound(record, id))
                return error_set(err, ERROR_CORRUPT, "it does not describe a backup");
        *ret = TAKE_PTR(record);
        return 0;
}

int backup_record_load(Repository *repository, const char *id, BackupRecord **ret, Error **err)
{
        _cleanup_free_ char *key = record_key(id);
        _cleanup_json_ json_t *document = NULL;
        int r;

        if (!backup_id_is_valid(id))
                return error_set(err, ERROR_USAGE, "\"%s\" is not the name of a backup", id);
        r = storage_get_document(repository->storage, key, BACKUP_FORMAT, RECORD_LIMIT, &document, err);
        if (r == 0)
                r = parse_record(id, document, ret, err);
        return error_prefix(err, r, "backup %s", id);
}

int backup_record_compare(const BackupRecord *a, const BackupRecord *b)
{
        if (a->timeline != b->timeline)
                return a->timeline < b->timeline ? -1 : 1;
        if (a->start_lsn != b->start_lsn)
                return a->start_lsn < b->start_lsn ? -1 : 1;
        if (a->started_ns != b->started_ns)
                return a->started_ns < b->started_ns ? -1 : 1;
        return strcmp(a->id, b->id);
}

static int compare_records(const void *left, const void *right)
{
        return backup_record_compare(*(BackupRecord *const *)left, *(BackupRecord *const *)right);
}

int backup_list_load(Repository *repository, BackupList *ret, Error **err)
{
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = repository->storage->operations->list(repository->storage, "backups", &list, err);

        if (r < 0)
                return r;
        VECTOR_FOREACH(entry, &list.entries) {
                _cleanup_(backup_record_freep) BackupRecord *record = NULL;
                _cleanup_error_ Error *failure = NULL;
                _cleanup_free_ char *id = NULL;

                if (!endswith(entry->key, "/backup.json"))
                        continue;
                id = xstrndup(entry->key + strlen("backups/"), strlen(entry->key) - strlen("backups//backup.json"));
                r = backup_record_load(repository, id, &record, &failure);
                if (r == 0)
                        vector_add(&ret->records, TAKE_PTR(record));
                else if (r == -ERROR_UNAVAILABLE || r == -ERROR_DENIED || r == -ERROR_IO || r == -ERROR_CANCELLED)
                        return error_move(err, &failure, r); /* that says nothing about the record */
                else if (r != -ERROR_NOT_FOUND)              /* else it was removed meanwhile */
                        strv_add(&ret->damaged, id);
        }
        if (ret->records.length)
                qsort(ret->records.items, ret->records.length, sizeof(ret->records.items[0]), compare_records);
        return 0;
}

int backup_remove(Repository *repository, const char *id, Error **err)
{
        Storage *storage = repository->storage;
        _cleanup_free_ char *record = record_key(id), *files = xasprintf("backups/%s/files.zst", id);
        int r;

        if (!backup_id_is_valid(id))
                return error_set(err, ERROR_USAGE, "\"%s\" is not the name of a backup", id);
        if (!storage_has(storage, record) && !storage_has(storage, files))
                return error_set(err, ERROR_NOT_FOUND, "there is no backup %s", id);
        r = storage->operations->remove(storage, record, err);
        return r < 0 ? r : storage->operations->remove(storage, files, err);
}
