#include "operate/budget.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "state/document.h"

#define BACKUP_FORMAT 1
#define DISK_PART     20 /* per cent */

/* The newest backup of all: its record is the last by name in the repository that has it. */
static int64_t look_at_repository(const char *path, int64_t newest_ns, BudgetFacts *ret)
{
        _cleanup_free_ char *backups = path_join(path, "backups");
        _cleanup_strv_ char **ids = NULL;

        fs_list_directory(AT_FDCWD, backups, &ids, NULL);
        for (size_t i = strv_length(ids); i-- > 0;) {
                _cleanup_free_ char *file = xasprintf("%s/%s/backup.json", backups, ids[i]);
                _cleanup_json_ json_t *record = NULL;

                if (document_load(file, BACKUP_FORMAT, &record, NULL) < 0)
                        continue;
                if (json_get_int(record, "started_ns", 0) > newest_ns) {
                        newest_ns = json_get_int(record, "started_ns", 0);
                        ret->data_bytes = (uint64_t)json_get_int(record, "size_bytes", 0);
                }
                break;
        }
        return newest_ns;
}

static uint64_t log_since(const char *repository, int64_t since_ns)
{
        _cleanup_free_ char *wal = path_join(repository, "wal");
        _cleanup_strv_ char **timelines = NULL;
        uint64_t bytes = 0;

        fs_list_directory(AT_FDCWD, wal, &timelines, NULL);
        STRV_FOREACH(timeline, timelines) {
                _cleanup_free_ char *folder = path_join(wal, *timeline);
                _cleanup_strv_ char **segments = NULL;

                fs_list_directory(AT_FDCWD, folder, &segments, NULL);
                STRV_FOREACH(segment, segments) {
                        _cleanup_free_ char *file = path_join(folder, *segment);
                        struct stat status;

                        if (stat(file, &status) == 0 && status.st_mtim.tv_sec * NSEC_PER_SEC >= since_ns)
                                bytes += (uint64_t)status.st_blocks * 512;
                }
        }
        return bytes;
}

bool budget_look(const char *folder, BudgetFacts *ret)
{
        _cleanup_strv_ char **names = NULL;
        struct statvfs disk;
        int64_t newest_ns = 0;

        *ret = (BudgetFacts){ 0 };
        if (statvfs(folder, &disk) < 0 || fs_list_directory(AT_FDCWD, folder, &names, NULL) < 0)
                return false;
        ret->used_bytes = fs_disk_usage(folder);
        ret->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                newest_ns = look_at_repository(path, newest_ns, ret);
        }
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name);
                ret->log_bytes += log_since(path, newest_ns);
        }
        return true;
}

uint64_t budget_compute(const BudgetFacts *facts, const char *word, char **ret_rule)
{
        uint64_t part = facts->disk_bytes / 100 * DISK_PART, twice = 2 * facts->data_bytes;
        uint64_t least = facts->data_bytes + facts->log_bytes, budget;
        int64_t size;

        if (word && strchr(word, '%')) {
                *ret_rule = xasprintf("%s of the disk", word);
                return facts->disk_bytes / 100 * strtoull(word, NULL, 10);
        }
        if (word && parse_size(word, &size)) {
                *ret_rule = xstrdup(word);
                return (uint64_t)size;
        }
        budget = MIN(twice, part);
        *ret_rule = xstrdup(budget < least  ? "one backup and the log behind it"
                            : twice <= part ? "twice the data"
                                            : "20% of the disk");
        return MAX(budget, least);
}
