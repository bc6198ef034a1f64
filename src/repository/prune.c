#include "repository/prune.h"

#include "base/mem.h"
#include "base/strv.h"
#include "repository/aside.h"

void prune_report_done(PruneReport *report)
{
        report->backups = strv_free(report->backups);
}

/* ---- expiry ---- */

static int remove_backups(Repository *repository, const Retention *retention, bool dry_run, PruneReport *report,
                          Error **err)
{
        VECTOR_FOREACH(backup, &retention->backups) {
                int r;

                if (backup->reason != RETENTION_EXPIRED)
                        continue;
                r = dry_run ? 0 : backup_remove(repository, backup->record->id, err);
                if (r < 0)
                        return r;
                strv_add(&report->backups, backup->record->id);
        }
        return 0;
}

static int remove_segments(Repository *repository, const Retention *retention, const WalList *wal,
                           uint32_t segment_bytes, bool dry_run, PruneReport *report, Error **err)
{
        VECTOR_FOREACH(segment, &wal->segments) {
                int r;

                if (retention_needs_segment(retention, segment, segment_bytes))
                        continue;
                r = dry_run ? 0 : wal_segment_remove(repository, wal, segment, err);
                if (r < 0)
                        return r;
                report->segments++;
                report->freed_bytes += segment->stored_bytes;
        }
        return 0;
}

static int expire(Repository *repository, const PruneOptions *options, PruneReport *report, Error **err)
{
        _cleanup_retention_ Retention retention = { 0 };
        _cleanup_backup_list_ BackupList list = { 0 };
        _cleanup_wal_list_ WalList wal = { 0 };
        uint32_t segment_bytes;
        int r = backup_list_load(repository, &list, err);

        if (r < 0 || !list.records.length)
                return r;
        segment_bytes = list.records.items[list.records.length - 1]->segment_bytes;
        r = wal_list_load(repository, segment_bytes, &wal, err);
        if (r == 0)
                r = retention_load(repository, &list, &wal, options->damaged, &retention, err);
        if (r < 0)
                return r;
        retention.backup_follows = options->backup_follows;
        retention_decide(&retention, &options->policy, options->now_ns);
        r = remove_backups(repository, &retention, options->dry_run, report, err);
        return r < 0 ? r : remove_segments(repository, &retention, &wal, segment_bytes, options->dry_run, report, err);
}

int prune_run(Repository *repository, const PruneOptions *options, const WorkProgress *progress, PruneReport *report,
              Error **err)
{
        int r = expire(repository, options, report, err);

        if (r == 0 && !options->dry_run && repository->path)
                r = aside_prune(repository->path, options->now_ns, &report->leftovers, &report->freed_bytes, err);
        return r < 0 || options->dry_run ? r : prune_chunks(repository, progress, report, err);
}
