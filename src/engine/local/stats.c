#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/local/network.h"
#include "engine/local/private.h"

static bool read_text(const char *controller, const char *cgroup, const char *file, Strbuf *ret)
{
        _cleanup_free_ char *folder = cgroup_path(controller, cgroup), *path = folder ? path_join(folder, file) : NULL;

        return path && fs_read_file(AT_FDCWD, path, 1 << 20, ret, NULL) >= 0;
}

static uint64_t read_number(const char *controller, const char *cgroup, const char *file)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return read_text(controller, cgroup, file, &text) ? strtoull(strbuf_text(&text), NULL, 10) : 0;
}

/* The number after "key " at the beginning of a line. */
static uint64_t number_of(const char *text, const char *key)
{
        size_t length = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (strncmp(line, key, length) == 0 && line[length] == ' ')
                        return strtoull(line + length + 1, NULL, 10);
        return 0;
}

static uint64_t machine_memory(void)
{
        struct sysinfo info;

        return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

static void read_memory(const char *cgroup, bool v2, ContainerStats *ret)
{
        uint64_t used = read_number("memory", cgroup, v2 ? "memory.current" : "memory.usage_in_bytes");
        uint64_t limit = read_number("memory", cgroup, v2 ? "memory.max" : "memory.limit_in_bytes");
        uint64_t machine = machine_memory(), inactive;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        read_text("memory", cgroup, "memory.stat", &text);
        inactive = number_of(strbuf_text(&text), v2 ? "inactive_file" : "total_inactive_file");
        ret->memory_bytes = used > inactive ? used - inactive : 0;
        ret->memory_limit_bytes = limit == 0 || limit > machine ? machine : limit; /* "max" reads as 0 */
}

/* v2: "8:0 rbytes=1 wbytes=2 …" lines. */
static void read_io_v2(const char *cgroup, ContainerStats *ret)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        read_text("io", cgroup, "io.stat", &text);
        for (const char *c = strbuf_text(&text); (c = strstr(c, "bytes=")); c++) {
                uint64_t value = strtoull(c + 6, NULL, 10);
                if (c > text.data && c[-1] == 'r')
                        ret->block_read_bytes += value;
                else if (c > text.data && c[-1] == 'w')
                        ret->block_write_bytes += value;
        }
}

/* v1: "8:0 Read 1" lines. */
static void read_io_v1(const char *cgroup, ContainerStats *ret)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *c;

        read_text("blkio", cgroup, "blkio.throttle.io_service_bytes_recursive", &text);
        for (c = strbuf_text(&text); (c = strstr(c, " Read ")); c++)
                ret->block_read_bytes += strtoull(c + 6, NULL, 10);
        for (c = strbuf_text(&text); (c = strstr(c, " Write ")); c++)
                ret->block_write_bytes += strtoull(c + 7, NULL, 10);
}

int local_stats(Engine *engine, const char *id, ContainerStats *ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        bool v2 = cgroup_is_v2();
        const char *cgroup;
        int r = local_running(engine, id, true, &record, err);

        if (r < 0)
                return r;
        *ret = (ContainerStats){ 0 };
        cgroup = record->run.cgroup;
        if (v2 && read_text("cpu", cgroup, "cpu.stat", &text))
                ret->cpu_ns = number_of(strbuf_text(&text), "usage_usec") * 1000;
        else
                ret->cpu_ns = read_number("cpuacct", cgroup, "cpuacct.usage");
        read_memory(cgroup, v2, ret);
        ret->pids = read_number("pids", cgroup, "pids.current");
        if (v2)
                read_io_v2(cgroup, ret);
        else
                read_io_v1(cgroup, ret);
        local_network_statistics((pid_t)record->run.pid, &ret->net_rx_bytes, &ret->net_tx_bytes, NULL);
        return 0;
}
