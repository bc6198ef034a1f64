#include "repository/repair_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/aside.h"
#include "repository/describe.h"
#include "repository/file_list.h"

#define STAGE ".repair" /* a name that listings pass over */

void repair_report_done(RepairReport *report)
{
        report->mended = strv_free(report->mended);
        report->failed = strv_free(report->failed);
        free_and_replace(&report->kept, NULL);
}

void repair_note_mended(Repair *repair, const char *object)
{
        if (!strv_contains(repair->report->mended, object))
                strv_add(&repair->report->mended, object);
}

int repair_note_failed(Repair *repair, const char *object, Error **failure, Error **err)
{
        ErrorKind kind = (*failure)->kind;

        if (kind != ERROR_NOT_FOUND && kind != ERROR_CORRUPT && kind != ERROR_INVALID && kind != ERROR_UNSUPPORTED)
                return error_move(err, failure, -(int)kind);
        strv_addf(&repair->report->failed, "%s: %s", object, (*failure)->message);
        error_free(TAKE_PTR(*failure));
        return 0;
}

/* ---- objects ---- */

/* "<repository>/damaged/<time>/<key>", with its folder made. */
static int make_place_aside(Repair *repair, const char *key, char **ret, Error **err)
{
        _cleanup_free_ char *path = xasprintf("%s/%s/%s", repair->repository->path, repair->aside, key);
        _cleanup_free_ char *parent = path_dirname(path);
        int r = fs_make_directories(parent, 0700, err);

        if (r == 0)
                *ret = TAKE_PTR(path);
        return r;
}

int repair_set_aside(Repair *repair, const char *key, Error **err)
{
        Storage *storage = repair->repository->storage;
        _cleanup_free_ char *path = NULL, *parent = NULL, *aside = NULL;
        int r;

        if (!repair->repository->path)
                return storage->operations->remove(storage, key, err);
        path = path_join(repair->repository->path, key);
        if (!fs_exists(path))
                return 0;
        r = make_place_aside(repair, key, &aside, err);
        if (r < 0)
                return r;
        if (rename(path, aside) < 0)
                return error_set_errno(err, errno, "set \"%s\" aside", path);
        if (!repair->report->kept)
                repair->report->kept = xstrdup(repair->aside);
        parent = path_dirname(path);
        return fs_sync_directory(AT_FDCWD, parent, err);
}

int repair_fetch(Repair *repair, const char *key, Error **err)
{
        return repair->stage.storage
                       ? transfer_object(&repair->transfer, repair->source->storage, repair->stage.storage, key, err)
                       : 0;
}

/* What goes elsewhere is looked at where it is. */
Repository *repair_fetched(Repair *repair)
{
        return repair->stage.storage ? &repair->stage : repair->source;
}

/* Here it comes from the stage, whole and synced. */
static int put_here(Repair *repair, const char *key, int64_t modified_ns, Error **err)
{
        _cleanup_free_ char *path = path_join(repair->repository->path, key),
                            *staged = path_join(repair->stage_path, key);
        _cleanup_free_ char *parent = path_dirname(path);
        struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
                                     { modified_ns / NSEC_PER_SEC, modified_ns % NSEC_PER_SEC } };
        int r = repair_set_aside(repair, key, err);

        if (r == 0)
                r = fs_make_directories(parent, 0700, err);
        if (r < 0)
                return r;
        if (modified_ns && utimensat(AT_FDCWD, staged, times, 0) < 0)
                return error_set_errno(err, errno, "set the time of \"%s\"", staged);
        if (rename(staged, path) < 0)
                return error_set_errno(err, errno, "put \"%s\" into its place", path);
        return fs_sync_directory(AT_FDCWD, parent, err);
}

int repair_put(Repair *repair, const char *key, int64_t modified_ns, Error **err)
{
        int r = repair->stage.storage ? put_here(repair, key, modified_ns, err)
                                      : transfer_object(&repair->transfer, repair->source->storage,
                                                        repair->repository->storage, key, err);

        if (r == 0)
                repair_note_mended(repair, key);
        return r;
}

int repair_object(Repair *repair, const char *key, RepairCheck check, const void *what, int64_t modified_ns,
                  Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        int r = repair_fetch(repair, key, &failure);

        if (r == 0)
                r = check(repair_fetched(repair), what, &failure);
        if (r < 0)
                return repair_note_failed(repair, key, &failure, err);
        return repair_put(repair, key, modified_ns, err);
}

/* ---- records and lists of files ---- */

static int check_backup(Repository *repository, const char *id, Error **err)
{
        _cleanup_(backup_record_freep) BackupRecord *record = NULL;
        _cleanup_file_list_ FileList files = { 0 };
        int r = backup_record_load(repository, id, &record, err);

        return r < 0 ? r : file_list_read(repository, id, record->files_sha256, &files, err);
}

/* Both together: a list is judged by its record. The record comes last, as always. */
static int mend_backup(Repair *repair, const char *id, Error **err)
{
        _cleanup_free_ char *list = xasprintf("backups/%s/files.zst", id),
                            *record = xasprintf("backups/%s/backup.json", id);
        _cleanup_error_ Error *failure = NULL;
        int r = repair_fetch(repair, list, &failure);

        if (r == 0)
                r = repair_fetch(repair, record, &failure);
        if (r == 0)
                r = check_backup(repair_fetched(repair), id, &failure);
        if (r < 0)
                return repair_note_failed(repair, record, &failure, err);
        r = repair_put(repair, list, 0, err);
        return r < 0 ? r : repair_put(repair, record, 0, err);
}

static char *id_of(const char *key)
{
        const char *rest = startswith(key, "backups/");
        size_t length = rest ? strcspn(rest, "/") : 0;

        return length && rest[length] ? xstrndup(rest, length) : NULL;
}

static bool has_record(const StorageList *list, const char *id)
{
        _cleanup_free_ char *key = xasprintf("backups/%s/backup.json", id);

        VECTOR_FOREACH(entry, &list->entries)
                if (streq(entry->key, key))
                        return true;
        return false;
}

/* Backups whose record or list is damaged, and lists whose record is gone, where the other repository has one: here nobody
 * is at work on a backup. */
static int find_backups(Repair *repair, char ***ret, Error **err)
{
        _cleanup_storage_list_ StorageList here = { 0 }, there = { 0 };
        Storage *storage = repair->repository->storage, *source = repair->source->storage;
        int r = storage->operations->list(storage, "backups", &here, err);

        if (r == 0)
                r = source->operations->list(source, "backups", &there, err);
        VECTOR_FOREACH(fault, &repair->verification->report->faults) {
                _cleanup_free_ char *id = id_of(fault->object);
                if (id && !strv_contains(*ret, id))
                        strv_add(ret, id);
        }
        VECTOR_FOREACH(entry, &here.entries) {
                _cleanup_free_ char *id = id_of(entry->key);
                if (id && !strv_contains(*ret, id) && !has_record(&here, id) && has_record(&there, id))
                        strv_add(ret, id);
        }
        return r;
}

static int repair_backups(Repair *repair, Error **err)
{
        _cleanup_strv_ char **ids = NULL;
        int r = find_backups(repair, &ids, err);

        STRV_FOREACH(id, ids)
                if (r == 0)
                        r = mend_backup(repair, *id, err);
        return r;
}

/* ---- all ---- */

static int open_stage(Repair *repair, Error **err)
{
        const Repository *repository = repair->repository;
        int r;

        if (!repository->path)
                return 0;
        repair->stage_path = path_join(repository->path, STAGE);
        r = fs_remove_tree(AT_FDCWD, repair->stage_path, err); /* what a killed one left */
        repair->stage = (Repository){ .system_identifier = repository->system_identifier,
                                      .chunk_bytes = repository->chunk_bytes };
        return r < 0 ? r : storage_folder_create(repair->stage_path, &repair->stage.storage, err);
}

static void repair_done(Repair *repair)
{
        if (repair->stage_path)
                fs_remove_tree(AT_FDCWD, repair->stage_path, NULL);
        storage_free(repair->stage.storage);
        free(repair->stage_path);
        free(repair->aside);
}

/* Nothing needs to be fetched for it. */
static int repair_description(Repair *repair, Error **err)
{
        _cleanup_free_ char *kept = NULL;
        int r = repository_describe_anew(repair->repository, &kept, err);

        if (r == 0)
                strv_add(&repair->report->mended, REPOSITORY_DESCRIPTION);
        if (r == 0 && kept && !repair->report->kept)
                repair->report->kept = xstrdup(kept + strlen(repair->repository->path) + 1);
        return r;
}

/* Lists before packs: they say which chunks are needed. */
static int mend(Repair *repair, Error **err)
{
        int r = open_stage(repair, err);

        if (r == 0 && repair->repository->undescribed)
                r = repair_description(repair, err);
        if (r == 0)
                r = repair_backups(repair, err);
        if (r == 0)
                r = repair_log(repair, err);
        return r < 0 ? r : repair_packs(repair, err);
}

static int look_and_mend(Repair *repair, unsigned threads, VerifyReport *found, Error **err)
{
        _cleanup_verification_ Verification verification;
        _cleanup_backup_list_ BackupList backups = { 0 };
        int r;

        verification_init(&verification, repair->repository, threads, repair->progress, found);
        repair->verification = &verification;
        repair->backups = &backups;
        r = verify_look(&verification, &backups, err);
        return r < 0 ? r : mend(repair, err);
}

int repository_repair(Repository *repository, Repository *source, unsigned threads, const WorkProgress *progress,
                      RepairReport *ret, VerifyReport *ret_after, Error **err)
{
        _cleanup_(repair_done) Repair repair = { .repository = repository,
                                                 .source = source,
                                                 .progress = progress,
                                                 .report = ret,
                                                 .aside = aside_name(),
                                                 .transfer = { .progress = progress } };
        _cleanup_verify_report_ VerifyReport found = { 0 };
        int r;

        if (repository->system_identifier != source->system_identifier ||
            repository->chunk_bytes != source->chunk_bytes)
                return error_set(err, ERROR_CONFLICT, "the copy is one of another cluster's repository");
        r = look_and_mend(&repair, threads, &found, err);
        ret->bytes += repair.transfer.bytes;
        if (r < 0)
                return error_prefix(err, r, "repair");
        if (ret->mended)
                return verify_run(repository, threads, progress, ret_after, err);
        *ret_after = found;
        found = (VerifyReport){ 0 };
        return 0;
}
