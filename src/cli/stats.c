/* stats: use of processor, memory, network and disk, read from the kernel's counters. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strmap.h"
#include "cli/describe.h"
#include "cli/interrupts.h"
#include "cli/output/color.h"
#include "cli/output/listing.h"
#include "cli/report.h"
#include "cli/scope.h"
#include "cli/verbs.h"
#include "state/document.h"

#define FIRST_INTERVAL_MS 250
#define INTERVAL_MS       1000

static const ListingColumn columns[] = {
        { "CONTAINER ID", "ID" },
        { "NAME", "Name", .flexible = true },
        { "CPU %", "CPUPerc" },
        { "MEM USAGE / LIMIT", "MemUsage" },
        { "MEM %", "MemPerc" },
        { "NET I/O", "NetIO" },
        { "BLOCK I/O", "BlockIO" },
        { "PIDS", "PIDs" },
        { NULL },
};

typedef struct Sample {
        uint64_t cpu_ns;
        int64_t time_ns;
} Sample;

static char *pair(uint64_t one, uint64_t other)
{
        _cleanup_free_ char *first = format_size(one), *second = format_size(other);

        return xasprintf("%s / %s", first, second);
}

/* As docker writes memory: four digits, binary units. */
static char *binary_size(uint64_t bytes)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
        double value = (double)bytes;
        size_t unit = 0;

        for (; value >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
                value /= 1024;
        return xasprintf("%.4g%s", value, units[unit]);
}

/* Share of one processor since the sample before, which is replaced. */
static double cpu_percent(Strmap *samples, const char *id, uint64_t cpu_ns)
{
        Sample *before = strmap_get(samples, id);
        int64_t now_ns = clock_monotonic_ns();
        double percent = 0;

        if (before && now_ns > before->time_ns && cpu_ns >= before->cpu_ns)
                percent = 100.0 * (double)(cpu_ns - before->cpu_ns) / (double)(now_ns - before->time_ns);
        if (!before) {
                before = xnew(Sample);
                strmap_set(samples, id, before);
        }
        *before = (Sample){ cpu_ns, now_ns };
        return percent;
}

static json_t *describe_stats(const ContainerInfo *info, const ContainerStats *stats, double percent)
{
        _cleanup_free_ char *id = xstrndup(info->id, 12), *cpu = xasprintf("%.2f%%", percent);
        _cleanup_free_ char *used = binary_size(stats->memory_bytes), *limit = binary_size(stats->memory_limit_bytes);
        _cleanup_free_ char *memory = xasprintf("%s / %s", used, limit);
        _cleanup_free_ char *network = pair(stats->net_rx_bytes, stats->net_tx_bytes);
        _cleanup_free_ char *block = pair(stats->block_read_bytes, stats->block_write_bytes);
        _cleanup_free_ char *pids = xasprintf("%llu", (unsigned long long)stats->pids);
        double share = stats->memory_limit_bytes > 0
                               ? 100.0 * (double)stats->memory_bytes / (double)stats->memory_limit_bytes
                               : 0;
        _cleanup_free_ char *memory_percent = xasprintf("%.2f%%", share);

        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Container", info->name, "ID", id, "Name",
                         info->name, "CPUPerc", cpu, "MemUsage", memory, "MemPerc", memory_percent, "NetIO", network,
                         "BlockIO", block, "PIDs", pids);
}

static int sample(const Scope *scope, bool all, Strmap *samples, json_t **ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_json_ json_t *rows = json_array();
        int r;

        r = scope_containers(scope, true, &list, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.length; i++) {
                const ContainerInfo *info = list.items[i];
                bool runs = info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;
                ContainerStats stats = { 0 };

                if (!runs && !all)
                        continue;
                /* One that has just ended is shown with zeros, or not at all next time. */
                if (runs && scope->engine->operations->stats(scope->engine, info->id, &stats, NULL) < 0)
                        stats = (ContainerStats){ 0 };
                json_array_append_new(rows, describe_stats(info, &stats, cpu_percent(samples, info->id, stats.cpu_ns)));
        }
        *ret = TAKE_PTR(rows);
        return 0;
}

/* true: Ctrl-C. */
static bool pause_for(int timeout_ms)
{
        struct pollfd poller = { .fd = interrupts_open(), .events = POLLIN };

        return poll(&poller, 1, timeout_ms) > 0;
}

static int run_stats(Invocation *invocation, Error **err)
{
        _cleanup_scope_ Scope scope = { 0 };
        _cleanup_strmap_ Strmap samples = { .free_value = free };
        const char *format = invocation_text(invocation, "format", NULL);
        bool all = invocation_flag(invocation, "all"), stream = !invocation_flag(invocation, "no-stream");
        bool redraw = stream && stream_is_terminal(stdout) && !format;
        int r;

        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r < 0)
                return r;
        for (int round = 0;; round++) {
                _cleanup_json_ json_t *rows = NULL;

                r = sample(&scope, all, &samples, &rows, err);
                if (r < 0)
                        return r;
                if (round > 0) {
                        if (redraw)
                                fputs("\033[H\033[2J", stdout);
                        r = listing_print(rows, columns, format, LISTING_LINES, err);
                        if (r >= 0)
                                r = report_flush(err);
                        if (r < 0 || !stream)
                                return r;
                }
                if (pause_for(round == 0 ? FIRST_INTERVAL_MS : INTERVAL_MS))
                        return -ERROR_CANCELLED;
        }
}

static const Option options[] = {
        { "all", 'a', OPTION_FLAG, NULL, "Stopped containers too" },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json (an object a line) or a template" },
        { "no-stream", 0, OPTION_FLAG, NULL, "Once, not again and again" },
        { "no-trunc", 0, OPTION_FLAG, NULL, "", .flags = OPTION_IGNORED },
        { NULL },
};

const Command command_stats = {
        .name = "stats",
        .summary = "Show what containers use of this machine",
        .arguments = "[SERVICE...]",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_PROJECT | COMMAND_JSON,
        .options = options,
        .max_arguments = -1,
        .function = run_stats,
        .complete = COMPLETE_SERVICES,
};
