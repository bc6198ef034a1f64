#include "operate/backup.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "operate/backup_direct.h"
#include "operate/backup_files.h"
#include "operate/backup_prior.h"
#include "operate/backup_work.h"
#include "state/document.h"

#define DEFAULT_LEVEL          (-1) /* of zstd: a third faster than 1 for a tenth more, on indexes less */
#define APPLICATION            "berth backup"
#define GENTLE_NICE            10
#define WAIT_MS                200
#define TELL_ROUNDS            50 /* of waiting: every ten seconds */
#define FIRST_WITH_INCREMENTAL 170000
/* linux/ioprio.h: the last of the best-effort class */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_GENTLE      (2 << 13 | 7)

typedef struct Backup {
        const BackupOptions *options;
        const WorkProgress *progress;
        PGconn *connection;
        ServerIdentity identity;
        Repository *repository;
        ChunkIndex index;
        PriorBackup *prior; /* an incremental backup refers to it; NULL: a full one */
        PackWriter *writer;
        ChunkPipeline *pipeline;
        BackupFiles files;
        BackupRecord *record;
        int lock_fd;
} Backup;

static void backup_done(Backup *backup)
{
        chunk_pipeline_free(backup->pipeline); /* its threads use all of the rest */
        pack_writer_free(backup->writer);
        backup_files_done(&backup->files);
        prior_backup_free(backup->prior);
        chunk_index_done(&backup->index);
        backup_record_free(backup->record);
        fs_close(backup->lock_fd);
        repository_free(backup->repository);
        PQfinish(backup->connection);
}
#define _cleanup_backup_ _cleanup_(backup_done)

static void be_gentle(void)
{
        setpriority(PRIO_PROCESS, 0, GENTLE_NICE);
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_GENTLE);
}

/* What the other one is, where it is a backup; the caller's. */
static char *text_of_other(const Backup *backup)
{
        _cleanup_json_ json_t *other = backup->options->noted_at ? backup_work_look(backup->options->noted_at) : NULL;
        _cleanup_free_ char *text = other ? backup_work_text(other) : NULL, *since = NULL;

        if (!other)
                return NULL;
        since = clock_format_ago(MAX(clock_realtime_ns() - json_get_int(other, "started_ns", 0), INT64_C(0)));
        return xasprintf("backup %s (%s, began %s ago: %s)", json_get_string(other, "id", ""),
                         json_get_string(other, "kind", ""), since, text);
}

static int refuse(const Backup *backup, Error **busy, Error **err)
{
        _cleanup_free_ char *other = text_of_other(backup);
        int r;

        if (!other)
                return error_move(err, busy, -ERROR_CONFLICT);
        r = error_set(err, ERROR_CONFLICT, "%s of service \"%s\" is at work", other, backup->options->service);
        return error_hint(err, r, "Without --no-wait this waits for it.");
}

static void tell_wait(const Backup *backup)
{
        _cleanup_free_ char *other = text_of_other(backup);
        _cleanup_free_ char *text = xasprintf("waiting for the %s; the first backup of a database is taken by itself",
                                              other ?: "backup, restore or removal that is at work");

        progress_status(backup->progress, text);
}

static int lock(Backup *backup, Error **err)
{
        for (int64_t i = 0;; i++) {
                _cleanup_error_ Error *busy = NULL;
                struct pollfd item = { .fd = backup->progress->cancel_fd, .events = POLLIN };
                int r = repository_lock(backup->repository, &backup->lock_fd, &busy);

                if (r != -ERROR_CONFLICT)
                        return error_move(err, &busy, r);
                if (!backup->options->wait)
                        return refuse(backup, &busy, err);
                if (i % TELL_ROUNDS == 0)
                        tell_wait(backup);
                if (poll(&item, 1, WAIT_MS) > 0)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
        }
}

static int open_all(Backup *backup, Error **err)
{
        const BackupOptions *options = backup->options;
        int r = postgres_connect(&options->target, CONNECT_REPLICATION, APPLICATION, &backup->connection, err);

        if (r == 0)
                r = replication_identify(backup->connection, &backup->identity, err);
        if (r == 0)
                r = repository_create(options->folder, options->project, options->service,
                                      backup->identity.system_identifier, &backup->repository, err);
        if (r == 0)
                r = lock(backup, err);
        if (r == 0)
                r = chunk_index_load_trusted(&backup->index, backup->repository->storage, err);
        if (r < 0)
                return r;
        return r;
}

/* Made anew where another way is taken: an incremental backup turns into a full one, or files come from the server. */
static void open_writer(Backup *backup)
{
        const BackupOptions *options = backup->options;

        backup->writer =
                pack_writer_create(backup->repository, &backup->index, options->level ? options->level : DEFAULT_LEVEL);
        backup_files_init(&backup->files, backup->writer, backup->prior, backup->repository->chunk_bytes,
                          backup->progress);
}

/* ---- incremental ---- */

/* Where the newest backup cannot be built upon, the next one is full: no reason to fail, but one to tell. */
static void find_prior(Backup *backup)
{
        _cleanup_error_ Error *failure = NULL;
        int r;

        if (backup->identity.version < FIRST_WITH_INCREMENTAL || backup->options->full)
                return;
        r = prior_backup_find(backup->repository, &backup->index, backup->identity.timeline, &backup->prior, &failure);
        if (r == 0 && backup->prior)
                r = base_backup_upload_manifest(backup->connection, strbuf_text(&backup->prior->manifest),
                                                backup->prior->manifest.length, &failure);
        if (r == 0)
                return;
        progress_warning(backup->progress, failure->message);
        prior_backup_free(TAKE_PTR(backup->prior));
}

/* The server refuses before it sends anything: it does not keep summaries of its log, or not of all since the prior backup; or
 * what the repository has of the prior backup is damaged. */
static bool may_be_full(const Backup *backup, int r)
{
        return backup->prior && r != -ERROR_CANCELLED && r != -ERROR_NO_SPACE && r != -ERROR_DENIED &&
               (!backup->files.begin.start_lsn || r == -ERROR_CORRUPT);
}

/* What lies in packs by now stays there and is used. */
static void clear(Backup *backup)
{
        chunk_pipeline_free(TAKE_PTR(backup->pipeline));
        pack_writer_free(TAKE_PTR(backup->writer));
        backup_files_done(&backup->files);
        backup->files = (BackupFiles){ 0 };
}

static int begin_again_as_full(Backup *backup, Error **err)
{
        int r;

        clear(backup);
        prior_backup_free(TAKE_PTR(backup->prior));
        chunk_index_done(&backup->index);
        PQfinish(TAKE_PTR(backup->connection));
        r = postgres_connect(&backup->options->target, CONNECT_REPLICATION, APPLICATION, &backup->connection, err);
        return r < 0 ? r : chunk_index_load_trusted(&backup->index, backup->repository->storage, err);
}

static const char *checkpoint_status(const BackupOptions *options)
{
        return options->spread ? "waiting for a checkpoint" : "making a checkpoint";
}

static int receive(Backup *backup, Error **err)
{
        const BackupOptions *options = backup->options;
        BackupRecord *record = backup->record;
        _cleanup_free_ char *label = xasprintf("berth %s", record->id);
        BaseBackupOptions base = { .label = label,
                                   .fast_checkpoint = !options->spread,
                                   .max_rate_kib = options->max_rate_kib,
                                   .incremental = backup->prior != NULL };
        BaseBackupSink sink = backup_files_sink(&backup->files);
        int r = chunk_pipeline_create(backup->writer, options->threads, backup->repository->chunk_bytes,
                                      &backup->pipeline, err);

        if (r < 0)
                return r;
        record->streamed = true;
        backup->files.pipeline = backup->pipeline;
        progress_status(backup->progress, checkpoint_status(options));
        r = base_backup_run(backup->connection, &base, &sink, backup->progress->cancel_fd, &record->stop_lsn,
                            &record->timeline, err);
        return r < 0 ? r : backup_files_finish(&backup->files, err);
}

/* Without the server's help, where its files are to be seen: ERROR_UNSUPPORTED where they are not. */
static int read_directly(Backup *backup, Error **err)
{
        const BackupOptions *options = backup->options;
        _cleanup_free_ char *label = xasprintf("berth %s", backup->record->id);
        const BackupDirect direct = { .target = &options->target,
                                      .identity = &backup->identity,
                                      .label = label,
                                      .application = APPLICATION,
                                      .spread = options->spread,
                                      .max_rate_kib = options->max_rate_kib,
                                      .threads = options->threads };
        int r;

        progress_status(backup->progress, checkpoint_status(options));
        r = backup_direct_run(&direct, &backup->files, &backup->record->stop_lsn, err);
        backup->record->timeline = backup->files.begin.timeline;
        backup->record->streamed = false;
        return r;
}

/* Packs and the list wait for the disk beside each other. */
typedef struct Finishing {
        Backup *backup;
        PackTotals totals;
        int results[2];
        Error *errors[2];
} Finishing;

static void finish_step(void *context, size_t i)
{
        Finishing *finishing = context;
        Backup *backup = finishing->backup;
        Error **err = &finishing->errors[i];

        finishing->results[i] = i == 0 ? pack_writer_finish(backup->writer, &finishing->totals, err)
                                       : file_list_write(backup->repository, backup->record->id, &backup->files.list,
                                                         &backup->record->files_sha256, err);
}

static int finish(Backup *backup, PackTotals *ret, Error **err)
{
        Finishing finishing = { .backup = backup };
        int r = 0;

        parallel_run(2, 2, finish_step, &finishing);
        for (size_t i = 0; i < 2; i++) {
                _cleanup_error_ Error *failure = finishing.errors[i];

                if (r == 0)
                        r = error_move(err, &failure, finishing.results[i]);
        }
        *ret = finishing.totals;
        return r;
}

/* Chunks and the list, then the record: whatever is interrupted is no backup. */
static int complete(Backup *backup, Error **err)
{
        BackupRecord *record = backup->record;
        PackTotals totals;
        int r = finish(backup, &totals, err);

        if (r < 0)
                return r;
        record->finished_ns = clock_realtime_ns();
        record->start_lsn = backup->files.begin.start_lsn;
        record->files = backup->files.in_work.length;
        record->size_bytes = 0;
        VECTOR_FOREACH(file, &backup->files.list.files)
                record->size_bytes += (*file)->size_bytes;
        record->new_bytes = totals.new_stored_bytes;
        return backup_record_save(backup->repository, record, err);
}

static int run_directly_or_not(Backup *backup, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = -ERROR_UNSUPPORTED;

        if (!backup->prior && !backup->options->streamed)
                r = read_directly(backup, &reason);
        if (r != -ERROR_UNSUPPORTED)
                return error_move(err, &reason, r);
        clear(backup);
        open_writer(backup);
        return receive(backup, err);
}

static int run_once(Backup *backup, Error **err)
{
        int r;

        open_writer(backup);
        free_and_replace(&backup->record->kind, xstrdup(backup->prior ? "incremental" : "full"));
        r = run_directly_or_not(backup, err);
        if (r == -ERROR_CORRUPT)
                return error_hint(
                        err, r,
                        "Pages of the running database are damaged: the warnings name the files. Earlier backups "
                        "are kept.");
        return r < 0 ? r : complete(backup, err);
}

static int run_whichever(Backup *backup, Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        int r;

        find_prior(backup);
        r = run_once(backup, &failure);
        if (r == 0 || !may_be_full(backup, r))
                return error_move(err, &failure, r);
        progress_warning(backup->progress, failure->message);
        progress_status(backup->progress, "taking a full backup instead of what has changed");
        r = begin_again_as_full(backup, err);
        return r < 0 ? r : run_once(backup, err);
}

int backup_run(const BackupOptions *options, const WorkProgress *progress, BackupRecord **ret, Error **err)
{
        _cleanup_backup_ Backup backup = { .options = options, .progress = progress, .lock_fd = -1 };
        BackupWork work;
        int64_t now_ns = clock_realtime_ns();
        int r;

        if (options->gentle)
                be_gentle();
        r = open_all(&backup, err);
        if (r < 0)
                return r;
        backup.record = xnew(BackupRecord);
        *backup.record = (BackupRecord){
                .id = backup_id_new(backup.repository, now_ns),
                .started_ns = now_ns,
                .server_version = backup.identity.version,
                .segment_bytes = backup.identity.segment_bytes,
                .data_checksums = backup.identity.data_checksums,
        };
        backup_work_begin(&work, options->noted_at, backup.record, progress);
        backup.progress = &work.progress;
        r = run_whichever(&backup, err);
        backup_work_done(&work);
        if (r == 0)
                *ret = TAKE_PTR(backup.record);
        return r;
}
