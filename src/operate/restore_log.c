/* The log of a restore: segments are laid into pg_wal, so that nothing has to be fetched while the server recovers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "operate/restore_private.h"
#include "operate/restore_times.h"
#include "postgres/auto_conf.h"

#define SETTINGS       "postgresql.auto.conf"
#define SIGNAL         "recovery.signal"
#define SETTINGS_LIMIT (1u << 20)

const char *const restore_settings[] = {
        "restore_command",      "recovery_target_timeline", "recovery_target_action",
        "recovery_target",      "recovery_target_lsn",      "recovery_target_name",
        "recovery_target_time", "recovery_target_xid",      NULL,
};
#define FIRST_TARGET 3 /* from there on: what an empty value switches off */

static int put_file(int dir_fd, const char *path, const void *data, size_t size, const RestoreOptions *options,
                    Error **err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r;

        if (fd < 0 || fchown(fd, options->uid, options->gid) < 0)
                return error_set_errno(err, errno, "create \"%s\"", path);
        r = fs_write_all(fd, data, size, err);
        return error_prefix(err, r, "\"%s\"", path);
}

/* Nothing after the target is of use: not for an LSN, and not for the backup's own end. A time or a name may lie anywhere. */
static bool is_needed(const RestorePlan *plan, const WalSegment *segment)
{
        if (plan->target.kind == RESTORE_IMMEDIATE)
                return segment->start <= plan->backup->stop_lsn;
        return plan->target.kind != RESTORE_LSN || segment->start <= plan->target.lsn;
}

/* The server stops in what is laid out: there is a commit behind the time that is wanted. */
static bool all_is_laid(const RestorePlan *plan, const WalTimes *laid)
{
        return plan->target.kind == RESTORE_TIME && laid->latest_ns > plan->target.time_ns;
}

static int read_segment(Repository *repository, const WalSegment *segment, uint32_t segment_bytes, Rescue *rescue,
                        void *content, Error **err)
{
        _cleanup_free_ char *object = wal_segment_key(segment);
        _cleanup_error_ Error *failure = NULL;
        int r = wal_read_segment(repository, segment->name, segment_bytes, content, &failure);
        Repository *copy = r < 0 && !segment->partial ? rescue_begin(rescue, failure) : NULL;

        if (copy) {
                /* One that is not whole there would be filled up with zeroes. */
                r = storage_has(copy->storage, object) &&
                                    wal_read_segment(copy, segment->name, segment_bytes, content, NULL) == 0
                            ? 0
                            : r;
                rescue_end(rescue, r == 0 ? object : NULL);
        }
        return r < 0 ? error_move(err, &failure, r) : 0;
}

static int put_segments(Repository *repository, const RestorePlan *plan, int dir_fd, const RestoreOptions *options,
                        const WorkProgress *progress, Error **err)
{
        uint32_t segment_bytes = plan->backup->segment_bytes;
        _cleanup_free_ char *content = xmalloc(segment_bytes);
        WalTimes laid = { 0 };
        size_t n = 0;

        VECTOR_FOREACH(segment, &plan->range.segments) {
                _cleanup_free_ char *path = xasprintf("pg_wal/%s", segment->name);
                _cleanup_error_ Error *damage = NULL;
                int r;

                if (!is_needed(plan, segment))
                        break;
                r = read_segment(repository, segment, segment_bytes, options->rescue, content, &damage);
                if (r == -ERROR_CORRUPT && all_is_laid(plan, &laid))
                        break;
                if (r < 0)
                        return error_move(err, &damage, r);
                /* What came after the plan was made is behind its end, and cut off. */
                restore_add_times(&laid, &plan->range, segment, segment_bytes, content);
                if (r == 0)
                        r = put_file(dir_fd, path, content, segment_bytes, options, err);
                if (r < 0)
                        return r;
                progress_bytes(progress, "log", ++n, plan->range.segments.length);
                if (progress_cancelled(progress))
                        return error_set(err, ERROR_CANCELLED, "cancelled");
        }
        return 0;
}

/* All of them: the server takes a timeline that none of these has for its own. */
static int put_histories(Repository *repository, const RestorePlan *plan, int dir_fd, const RestoreOptions *options,
                         Error **err)
{
        _cleanup_wal_list_ WalList list = { 0 };
        int r = wal_list_load(repository, plan->backup->segment_bytes, &list, err);

        VECTOR_FOREACH(timeline, &list.histories) {
                _cleanup_free_ char *key = xasprintf("wal/%08X.history", *timeline);
                _cleanup_free_ char *path = xasprintf("pg_wal/%08X.history", *timeline);
                _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

                if (r < 0)
                        return r;
                r = storage_get(repository->storage, key, SETTINGS_LIMIT, &text, err);
                if (r == 0)
                        r = put_file(dir_fd, path, strbuf_text(&text), text.length, options, err);
        }
        return r;
}

static void add_quoted(Strbuf *text, const char *name, const char *value)
{
        strbuf_addf(text, "%s = '", name);
        for (; *value; value++) {
                if (*value == '\'' || *value == '\\')
                        strbuf_addc(text, *value);
                strbuf_addc(text, *value);
        }
        strbuf_adds(text, "'\n");
}

static void add_target(Strbuf *text, const RestoreTarget *target)
{
        time_t seconds = (time_t)(target->time_ns / NSEC_PER_SEC);
        char place[LSN_TEXT_SIZE], when[64], exact[96];
        struct tm utc;

        switch (target->kind) {
        case RESTORE_IMMEDIATE:
                add_quoted(text, "recovery_target", "immediate");
                break;
        case RESTORE_LSN:
                add_quoted(text, "recovery_target_lsn", lsn_format(target->lsn, place));
                break;
        case RESTORE_NAME:
                add_quoted(text, "recovery_target_name", target->name);
                break;
        case RESTORE_TIME:
                gmtime_r(&seconds, &utc);
                strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &utc);
                snprintf(exact, sizeof(exact), "%s.%06d+00", when, (int)(target->time_ns % NSEC_PER_SEC / 1000));
                add_quoted(text, "recovery_target_time", exact);
                break;
        case RESTORE_LATEST:
                break;
        }
}

/* ALTER SYSTEM's file is read last, and whatever configuration file the command names. What an earlier restore left there is
 * overruled by what comes later. */
int restore_put_settings(const RestoreTarget *target, int dir_fd, const RestoreOptions *options, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, present = STRBUF_INIT;
        char timeline[16];
        int r = fs_read_file(dir_fd, SETTINGS, SETTINGS_LIMIT, &present, NULL);

        /* The receiver may have been the standby that commits waited for: it is not there for the copy. */
        if (r == 0)
                auto_conf_drop_synchronous(strbuf_text(&present), &text);
        snprintf(timeline, sizeof(timeline), "%u", target->timeline);
        for (size_t i = 0; restore_settings[i]; i++)
                if (i >= FIRST_TARGET)
                        add_quoted(&text, restore_settings[i], "");
        add_quoted(&text, "restore_command", "false"); /* all of the log is in pg_wal */
        add_quoted(&text, "recovery_target_timeline", timeline);
        add_quoted(&text, "recovery_target_action", "promote");
        add_target(&text, target);
        r = put_file(dir_fd, SETTINGS, strbuf_text(&text), text.length, options, err);
        return r < 0 ? r : put_file(dir_fd, SIGNAL, "", 0, options, err);
}

int restore_log(Repository *repository, const RestorePlan *plan, int dir_fd, const RestoreOptions *options,
                const WorkProgress *progress, Error **err)
{
        int r = put_segments(repository, plan, dir_fd, options, progress, err);

        if (r == 0)
                r = put_histories(repository, plan, dir_fd, options, err);
        return r < 0 ? r : restore_put_settings(&plan->target, dir_fd, options, err);
}
