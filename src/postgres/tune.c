#include "postgres/tune.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

void tune_result_done(TuneResult *result)
{
        for (size_t i = 0; i < result->length; i++) {
                free(result->settings[i].value);
                free(result->settings[i].reason);
        }
        free(result->settings);
        *result = (TuneResult){ 0 };
}

/* Takes value. */
static _printf_(4, 5) void add(TuneResult *result, const char *name, char *value, const char *format, ...)
{
        va_list arguments;
        char *reason;

        va_start(arguments, format);
        reason = xvasprintf(format, arguments);
        va_end(arguments);
        result->settings = xreallocarray(result->settings, result->length + 1, sizeof(TuneSetting));
        result->settings[result->length++] = (TuneSetting){ name, value, reason };
}

static char *memory_value(uint64_t bytes)
{
        if (bytes >= GIB && bytes % GIB == 0)
                return xasprintf("%lluGB", (unsigned long long)(bytes / GIB));
        if (bytes >= MIB)
                return xasprintf("%lluMB", (unsigned long long)(bytes / MIB));
        return xasprintf("%llukB", (unsigned long long)(bytes / KIB));
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
        return value < low ? low : value > high ? high : value;
}

static void tune_memory(const TuneFacts *facts, int connections, TuneResult *ret)
{
        _cleanup_free_ char *memory = memory_value(facts->memory_bytes / MIB * MIB);
        uint64_t buffers = clamp(facts->memory_bytes / 4, 32 * MIB, 16 * GIB);
        uint64_t left = facts->memory_bytes > buffers ? facts->memory_bytes - buffers : 0;

        add(ret, "max_connections", xasprintf("%d", connections),
            "each costs a process and a few MB; a pool in front serves more clients than a higher number");
        add(ret, "shared_buffers", memory_value(buffers), "a quarter of %s; the rest serves as the system's file cache",
            memory);
        add(ret, "effective_cache_size", memory_value(MAX(facts->memory_bytes / 4 * 3, 64 * MIB)),
            "what the planner may expect to be cached: shared buffers and file cache");
        add(ret, "work_mem", memory_value(clamp(left / (uint64_t)connections / 3, 2 * MIB, 256 * MIB)),
            "per sort or hash: three of them in each of %d connections fit beside the buffers", connections);
        add(ret, "maintenance_work_mem", memory_value(clamp(facts->memory_bytes / 16, 32 * MIB, 2 * GIB)),
            "VACUUM and CREATE INDEX, a sixteenth of the memory");
}

static void tune_wal(const TuneFacts *facts, TuneResult *ret)
{
        uint64_t most = clamp(facts->disk_free_bytes ? facts->disk_free_bytes / 20 : 4 * GIB, 256 * MIB, 8 * GIB);

        add(ret, "max_wal_size", memory_value(most / MIB * MIB),
            "checkpoints by time rather than by volume; at most a twentieth of the free disk");
        add(ret, "min_wal_size", memory_value(MAX(most / 4 / MIB * MIB, 80 * MIB)),
            "segments are reused, not made anew");
        add(ret, "checkpoint_timeout", xstrdup("15min"), "fewer full-page images; recovery stays within a few minutes");
        if (facts->major < 14)
                add(ret, "checkpoint_completion_target", xstrdup("0.9"), "spreads the writes; the default from 14 on");
        add(ret, "wal_compression", xstrdup(facts->major >= 15 ? "lz4" : "on"),
            "full-page images shrink for little work");
}

static void tune_disk(const TuneFacts *facts, TuneResult *ret)
{
        bool rotating = facts->disk == DISK_ROTATING;

        add(ret, "random_page_cost", xstrdup(rotating ? "4.0" : "1.1"),
            rotating ? "a rotating disk seeks" : "no seeks on this disk: an index costs little more than a scan");
        add(ret, "effective_io_concurrency", xstrdup(rotating ? "2" : "200"),
            rotating ? "one arm" : "the disk serves many requests at once");
}

static void tune_processors(const TuneFacts *facts, TuneResult *ret)
{
        int cores = MAX(facts->processors, 1), gather = MIN(MAX(cores / 2, 1), 4);

        if (cores < 4)
                return;
        add(ret, "max_worker_processes", xasprintf("%d", MAX(cores, 8)), "%d processors", cores);
        add(ret, "max_parallel_workers", xasprintf("%d", cores), "%d processors", cores);
        add(ret, "max_parallel_workers_per_gather", xasprintf("%d", gather),
            "half of the processors for one query, at most 4");
        add(ret, "max_parallel_maintenance_workers", xasprintf("%d", gather), "the same for CREATE INDEX");
}

static void tune_watching(TuneResult *ret)
{
        add(ret, "shared_preload_libraries", xstrdup("'pg_stat_statements'"), "calls, mean and total time per query");
        add(ret, "track_io_timing", xstrdup("on"), "shows time spent on the disk in EXPLAIN and statistics");
        add(ret, "log_min_duration_statement", xstrdup("1s"), "slow statements in the log");
        add(ret, "log_lock_waits", xstrdup("on"), "waits longer than deadlock_timeout in the log");
        add(ret, "log_temp_files", xstrdup("32MB"), "queries that outgrow work_mem in the log");
}

void tune(const TuneFacts *facts, TuneResult *ret)
{
        *ret = (TuneResult){ 0 };
        tune_memory(facts, facts->max_connections > 0 ? facts->max_connections : 100, ret);
        tune_wal(facts, ret);
        tune_disk(facts, ret);
        tune_processors(facts, ret);
        tune_watching(ret);
}

char *tune_to_configuration(const TuneResult *result)
{
        Strbuf text = STRBUF_INIT;

        for (size_t i = 0; i < result->length; i++) {
                const TuneSetting *setting = &result->settings[i];
                strbuf_addf(&text, "%s = %s", setting->name, setting->value);
                for (size_t width = strlen(setting->name) + 3 + strlen(setting->value); width < 46; width++)
                        strbuf_addc(&text, ' ');
                strbuf_addf(&text, " # %s\n", setting->reason);
        }
        return strbuf_take(&text);
}

static bool read_number(const char *path, uint64_t *ret)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int64_t value;

        if (fs_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
                return false;
        strbuf_truncate(&text, strcspn(strbuf_text(&text), "\n"));
        if (!parse_int64(strbuf_text(&text), 0, INT64_MAX, &value))
                return false;
        *ret = (uint64_t)value;
        return true;
}

static uint64_t memory_of_machine(void)
{
        static const char *const limits[] = { "/sys/fs/cgroup/memory.max",
                                              "/sys/fs/cgroup/memory/memory.limit_in_bytes" };
        struct sysinfo information;
        uint64_t memory = GIB, limit;

        if (sysinfo(&information) == 0)
                memory = (uint64_t)information.totalram * information.mem_unit;
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (read_number(limits[i], &limit))
                        memory = MIN(memory, limit);
        return memory;
}

/* The nearest part of path that exists. */
static char *existing_parent(const char *path)
{
        char *candidate = path_clean("/", path);

        while (!fs_exists(candidate))
                free_and_replace(&candidate, path_dirname(candidate));
        return candidate;
}

/* Virtual disks call themselves rotating whatever stands behind them. */
static bool disk_is_virtual(dev_t device)
{
        _cleanup_free_ char *path = xasprintf("/sys/dev/block/%u:%u", major(device), minor(device)), *target = NULL;

        return fs_read_link(path, &target, NULL) == 0 &&
               (startswith(path_basename(target), "vd") || startswith(path_basename(target), "xvd"));
}

/* The block device's queue says it; a partition's queue is its parent's. */
static DiskKind disk_kind(dev_t device)
{
        static const char *const parents[] = { "", "/.." };
        uint64_t rotating;

        if (disk_is_virtual(device))
                return DISK_UNKNOWN;
        for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
                _cleanup_free_ char *path =
                        xasprintf("/sys/dev/block/%u:%u%s/queue/rotational", major(device), minor(device), parents[i]);
                if (read_number(path, &rotating))
                        return rotating ? DISK_ROTATING : DISK_SOLID;
        }
        return DISK_UNKNOWN;
}

int tune_facts_of_machine(const char *path, int major, TuneFacts *ret, Error **err)
{
        _cleanup_free_ char *existing = existing_parent(path);
        struct statvfs space;
        struct stat status;

        *ret = (TuneFacts){ .major = major, .memory_bytes = memory_of_machine(), .processors = get_nprocs() };
        if (stat(existing, &status) < 0 || statvfs(existing, &space) < 0)
                return error_set(err, ERROR_IO, "look at the disk of \"%s\"", existing);
        ret->disk = disk_kind(status.st_dev);
        ret->disk_free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
        return 0;
}
