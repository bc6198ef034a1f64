#include "repository/verify.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "repository/file_list.h"
#include "repository/verify_private.h"
#include "state/document.h"

#define VERIFY_FORMAT 1
#define VERIFY_KEY    "verify.json"
#define VERIFY_LIMIT  (16u << 20)

void verify_report_done(VerifyReport *report)
{
        VECTOR_FOREACH(fault, &report->faults) {
                free(fault->object);
                free(fault->message);
        }
        vector_done(&report->faults);
        report->damaged = strv_free(report->damaged);
}

void verification_init(Verification *verification, Repository *repository, unsigned threads,
                       const WorkProgress *progress, VerifyReport *report)
{
        *verification = (Verification){ .repository = repository, .progress = progress, .report = report };
        verification->threads = threads ? threads : (unsigned)parallel_processors();
        pthread_mutex_init(&verification->lock, NULL);
}

void verification_done(Verification *verification)
{
        strv_free(verification->missing);
        chunk_index_done(&verification->good);
        error_free(verification->failure);
        pthread_mutex_destroy(&verification->lock);
}

/* ---- for all parts ---- */

void verify_fault(Verification *verification, const char *object, const char *format, ...)
{
        va_list arguments;
        char *message;

        va_start(arguments, format);
        message = xvasprintf(format, arguments);
        va_end(arguments);
        pthread_mutex_lock(&verification->lock);
        vector_add(&verification->report->faults, (VerifyFault){ xstrdup(object), message });
        pthread_mutex_unlock(&verification->lock);
}

int verify_judge(Verification *verification, const char *object, Error **failure)
{
        ErrorKind kind = (*failure)->kind;
        bool damage =
                kind == ERROR_CORRUPT || kind == ERROR_NOT_FOUND || kind == ERROR_INVALID || kind == ERROR_UNSUPPORTED;

        if (damage) {
                verify_fault(verification, object, "%s", (*failure)->message);
                error_free(TAKE_PTR(*failure));
                return 0;
        }
        pthread_mutex_lock(&verification->lock);
        if (!verification->failure)
                verification->failure = TAKE_PTR(*failure);
        error_free(TAKE_PTR(*failure));
        pthread_mutex_unlock(&verification->lock);
        return -(int)kind;
}

bool verify_stopped(Verification *verification)
{
        bool stopped;

        pthread_mutex_lock(&verification->lock);
        if (!verification->failure && progress_cancelled(verification->progress))
                error_set(&verification->failure, ERROR_CANCELLED, "the verification was cancelled");
        stopped = verification->failure != NULL;
        pthread_mutex_unlock(&verification->lock);
        return stopped;
}

void verify_count_bytes(Verification *verification, uint64_t bytes)
{
        pthread_mutex_lock(&verification->lock);
        verification->report->bytes += bytes;
        progress_bytes(verification->progress, "verify", verification->report->bytes, verification->bytes_total);
        pthread_mutex_unlock(&verification->lock);
}

/* ---- backups ---- */

static void mark_damaged(Verification *verification, const char *id)
{
        if (!strv_contains(verification->report->damaged, id))
                strv_add(&verification->report->damaged, id);
}

static uint64_t count_missing(const Verification *verification, const ListedFile *file)
{
        uint64_t missing = 0;

        for (size_t i = 0; i < file->n_chunks; i++)
                missing += !chunk_index_find(&verification->good, &file->chunks[i]);
        return missing;
}

static void check_files(Verification *verification, const BackupRecord *record, const FileList *files)
{
        _cleanup_free_ char *object = xasprintf("backups/%s", record->id);
        const char *first = NULL;
        uint64_t damaged_files = 0;

        VECTOR_FOREACH(file, &files->files) {
                if (!count_missing(verification, *file))
                        continue;
                damaged_files++;
                if (!first)
                        first = (*file)->path;
        }
        if (!damaged_files)
                return;
        verify_fault(verification, object, "%" PRIu64 " of its files cannot be restored, the first is \"%s\"",
                     damaged_files, first);
        mark_damaged(verification, record->id);
}

static int check_backup(Verification *verification, const BackupRecord *record, Error **err)
{
        _cleanup_free_ char *object = xasprintf("backups/%s/files.zst", record->id);
        _cleanup_file_list_ FileList files = { 0 };
        _cleanup_error_ Error *failure = NULL;

        verification->report->backups++;
        if (file_list_read(verification->repository, record->id, record->files_sha256, &files, &failure) == 0) {
                check_files(verification, record, &files);
                return 0;
        }
        mark_damaged(verification, record->id);
        return verify_judge(verification, object, &failure);
}

static int check_backups(Verification *verification, const BackupList *list, Error **err)
{
        int r = 0;

        STRV_FOREACH(id, list->damaged) {
                _cleanup_free_ char *object = xasprintf("backups/%s/backup.json", *id);
                verify_fault(verification, object, "the record is damaged");
                mark_damaged(verification, *id);
        }
        for (size_t i = 0; r == 0 && i < list->records.length; i++)
                r = check_backup(verification, list->records.items[i], err);
        return r;
}

/* ---- all ---- */

static int compare_faults(const void *left, const void *right)
{
        const VerifyFault *a = left, *b = right;
        int order = strcmp(a->object, b->object);

        return order ? order : strcmp(a->message, b->message);
}

static int measure(Verification *verification, Error **err)
{
        static const char *const folders[] = { "packs", "wal" };
        Storage *storage = verification->repository->storage;

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                _cleanup_storage_list_ StorageList list = { 0 };
                int r = storage->operations->list(storage, folders[i], &list, err);
                if (r < 0)
                        return r;
                VECTOR_FOREACH(entry, &list.entries)
                        verification->bytes_total += entry->size_bytes;
        }
        return 0;
}

int verify_look(Verification *verification, BackupList *list, Error **err)
{
        VerifyReport *report = verification->report;
        int r = backup_list_load(verification->repository, list,
                                 err); /* before the packs: a backup that ends meanwhile has some more */

        if (verification->repository->undescribed)
                verify_fault(verification, REPOSITORY_DESCRIPTION, "%s", verification->repository->undescribed);
        if (r == 0)
                r = measure(verification, err);
        if (r == 0)
                r = verify_packs(verification, err);
        if (r == 0)
                r = check_backups(verification, list, err);
        if (r == 0)
                r = verify_log(verification, list, err);
        if (verification->failure)
                r = error_move(err, &verification->failure, -(int)verification->failure->kind);
        if (r < 0)
                return error_prefix(err, r, "verify");
        if (report->faults.length)
                qsort(report->faults.items, report->faults.length, sizeof(VerifyFault), compare_faults);
        report->finished_ns = clock_realtime_ns();
        return 0;
}

int verify_run(Repository *repository, unsigned threads, const WorkProgress *progress, VerifyReport *ret, Error **err)
{
        _cleanup_verify_report_ VerifyReport report = { 0 };
        _cleanup_verification_ Verification verification;
        _cleanup_backup_list_ BackupList list = { 0 };
        int r;

        verification_init(&verification, repository, threads, progress, &report);
        r = verify_look(&verification, &list, err);
        if (r < 0)
                return r;
        *ret = report;
        report = (VerifyReport){ 0 };
        return 0;
}

/* ---- verify.json ---- */

json_t *verify_report_to_json(const VerifyReport *report)
{
        json_t *faults = json_array();

        VECTOR_FOREACH(fault, &report->faults)
                json_array_append_new(faults,
                                      json_pack("{s:s, s:s}", "object", fault->object, "message", fault->message));
        return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "finished_ns", (json_int_t)report->finished_ns,
                         "backups", (json_int_t)report->backups, "packs", (json_int_t)report->packs, "chunks",
                         (json_int_t)report->chunks, "segments", (json_int_t)report->segments, "bytes",
                         (json_int_t)report->bytes, "damaged", json_from_strv(report->damaged), "faults", faults);
}

int verify_report_save(Repository *repository, const VerifyReport *report, Error **err)
{
        _cleanup_json_ json_t *document = verify_report_to_json(report);

        return storage_put_document(repository->storage, VERIFY_KEY, VERIFY_FORMAT, document, err);
}

static void read_faults(const json_t *faults, VerifyReport *ret)
{
        const json_t *item;
        size_t i;

        json_array_foreach(faults, i, item)
                vector_add(&ret->faults, (VerifyFault){ xstrdup(json_get_string(item, "object", "")),
                                                        xstrdup(json_get_string(item, "message", "")) });
}

int verify_report_load(Repository *repository, VerifyReport *ret, Error **err)
{
        _cleanup_json_ json_t *document = NULL;
        int r = storage_get_document(repository->storage, VERIFY_KEY, VERIFY_FORMAT, VERIFY_LIMIT, &document, err);

        if (r < 0)
                return r;
        *ret = (VerifyReport){
                .finished_ns = json_get_int(document, "finished_ns", 0),
                .backups = (uint64_t)json_get_int(document, "backups", 0),
                .packs = (uint64_t)json_get_int(document, "packs", 0),
                .chunks = (uint64_t)json_get_int(document, "chunks", 0),
                .segments = (uint64_t)json_get_int(document, "segments", 0),
                .bytes = (uint64_t)json_get_int(document, "bytes", 0),
                .damaged = json_get_strv(document, "damaged"),
        };
        read_faults(json_object_get(document, "faults"), ret);
        return 0;
}

char **verify_damaged_packs(Storage *storage)
{
        _cleanup_json_ json_t *document = NULL;
        const json_t *item;
        char **packs = NULL;
        size_t i;

        if (storage_get_document(storage, VERIFY_KEY, VERIFY_FORMAT, VERIFY_LIMIT, &document, NULL) < 0)
                return NULL;
        json_array_foreach(json_object_get(document, "faults"), i, item) {
                const char *rest = startswith(json_get_string(item, "object", ""), "packs/");
                _cleanup_free_ char *id = rest ? xstrndup(rest, strcspn(rest, ".")) : NULL;

                if (id && !strv_contains(packs, id))
                        strv_add(&packs, id);
        }
        return packs;
}
