#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"
#include "engine/local/private.h"

typedef struct ProcessLine {
        int ppid, tty;
        unsigned long long utime, stime, start;
        char name[64];
} ProcessLine;

static bool read_process(int64_t pid, ProcessLine *ret)
{
        _cleanup_free_ char *path = xasprintf("/proc/%lld/stat", (long long)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        const char *open_paren, *close_paren;

        if (fs_read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
                return false;
        open_paren = strchr(strbuf_text(&text), '(');
        close_paren = strrchr(strbuf_text(&text), ')');
        if (!open_paren || !close_paren ||
            sscanf(close_paren + 1, " %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu",
                   &ret->ppid, &ret->tty, &ret->utime, &ret->stime, &ret->start) != 5)
                return false;
        snprintf(ret->name, sizeof(ret->name), "%.*s", (int)MIN(close_paren - open_paren - 1, 63L), open_paren + 1);
        return true;
}

static char *command_of(int64_t pid, const char *name)
{
        _cleanup_free_ char *path = xasprintf("/proc/%lld/cmdline", (long long)pid);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        if (fs_read_file(AT_FDCWD, path, 1 << 20, &text, NULL) < 0 || !text.length)
                return xasprintf("[%s]", name);
        while (text.length && !text.data[text.length - 1])
                strbuf_truncate(&text, text.length - 1);
        for (size_t i = 0; i < text.length; i++)
                if ((unsigned char)text.data[i] < ' ')
                        text.data[i] = ' ';
        return strbuf_take(&text);
}

static char *owner_of(int64_t pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%lld", (long long)pid);
        struct stat status;

        return stat(path, &status) == 0 ? xasprintf("%u", status.st_uid) : xstrdup("?");
}

static char *terminal_of(int tty)
{
        if (!tty)
                return xstrdup("?");
        return major((unsigned)tty) == 136 ? xasprintf("pts/%u", minor((unsigned)tty))
                                           : xasprintf("%u:%u", major((unsigned)tty), minor((unsigned)tty));
}

/* UID PID PPID C STIME TTY TIME CMD, as `ps -ef` prints them. */
static char **row_of(int64_t pid, const ProcessLine *process)
{
        long ticks = sysconf(_SC_CLK_TCK);
        int64_t started_ns = clock_realtime_ns() - clock_monotonic_ns() +
                             (int64_t)(process->start * (unsigned long long)(NSEC_PER_SEC / ticks));
        unsigned long long seconds = (process->utime + process->stime) / (unsigned long long)ticks;
        int64_t age_s = MAX((clock_realtime_ns() - started_ns) / NSEC_PER_SEC, INT64_C(1));
        time_t started = started_ns / NSEC_PER_SEC;
        char **row = NULL, when[16];
        struct tm local;

        localtime_r(&started, &local);
        strftime(when, sizeof(when), age_s > 86400 ? "%b%d" : "%H:%M", &local);
        strv_take(&row, owner_of(pid));
        strv_addf(&row, "%lld", (long long)pid);
        strv_addf(&row, "%d", process->ppid);
        strv_addf(&row, "%llu", MIN(seconds * 100 / (unsigned long long)age_s, 99ULL));
        strv_add(&row, when);
        strv_take(&row, terminal_of(process->tty));
        strv_addf(&row, "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60, seconds % 60);
        strv_take(&row, command_of(pid, process->name));
        return row;
}

static void add_row(char ****rows, size_t *length, char **row)
{
        *rows = xreallocarray(*rows, *length + 1, sizeof(char **));
        (*rows)[(*length)++] = row;
}

int local_top(Engine *engine, const char *id, char ****ret_rows, size_t *ret_length, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_free_ char *folder = NULL, *path = NULL;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_strv_ char **lines = NULL;
        char ***rows = NULL;
        size_t length = 0;
        int64_t pid;
        int r = local_running(engine, id, true, &record, err);

        if (r < 0)
                return r;
        folder = cgroup_path("pids", record->run.cgroup);
        path = folder ? path_join(folder, "cgroup.procs") : NULL;
        if (!path)
                return error_set(err, ERROR_UNSUPPORTED, "this machine has no pids cgroup");
        r = fs_read_file(AT_FDCWD, path, 1 << 20, &text, err);
        if (r < 0)
                return r;
        add_row(&rows, &length, strv_new("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD", NULL));
        lines = strv_split(strbuf_text(&text), '\n');
        STRV_FOREACH(line, lines) {
                ProcessLine process;
                if (parse_int64(*line, 1, INT32_MAX, &pid) && read_process(pid, &process))
                        add_row(&rows, &length, row_of(pid, &process));
        }
        *ret_rows = rows;
        *ret_length = length;
        return 0;
}
