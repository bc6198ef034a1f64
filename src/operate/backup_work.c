#include "operate/backup_work.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "state/document.h"

#define FORMAT  1
#define LIMIT   4096
#define ENDING  ".json"
#define NOTE_NS (200 * NSEC_PER_MSEC)
#define LOCK_MS 1000 /* whoever looks holds it for a moment */

char *backup_work_path(const Layout *layout, const char *project, const char *service)
{
        return layout_run(layout, "projects/%s/backups/%s.json", project, service);
}

/* ---- noting ---- */

/* In place and in one write: blanks behind it cover what was there. A reader that meets it half written finds no JSON. */
static void note(BackupWork *work)
{
        int64_t now_ns = clock_monotonic_ns(), span_ns = work->first_ns ? now_ns - work->first_ns : 0;
        char text[LIMIT];
        _cleanup_json_ json_t *document = NULL;
        size_t length;

        work->last_ns = now_ns;
        if (work->fd < 0)
                return;
        document = json_pack("{s:i, s:s, s:s, s:s, s:I, s:i}", "format", FORMAT, "id", work->record->id, "kind",
                             work->record->kind ?: "full", "phase", work->phase ?: "", "started_ns",
                             (json_int_t)work->record->started_ns, "pid", (int)getpid());
        if (work->total)
                json_object_set_new(document, "total_bytes", json_integer((json_int_t)work->total));
        if (work->first_ns)
                json_object_set_new(document, "done_bytes", json_integer((json_int_t)work->done));
        if (span_ns > NSEC_PER_SEC / 2 && work->done) {
                double rate = (double)work->done / (double)span_ns;

                json_object_set_new(document, "rate_bytes", json_integer((json_int_t)(rate * NSEC_PER_SEC)));
                if (work->total >= work->done)
                        json_object_set_new(document, "left_ns",
                                            json_integer((json_int_t)((double)(work->total - work->done) / rate)));
        }
        length = json_dumpb(document, text, sizeof(text), JSON_COMPACT);
        if (length >= sizeof(text))
                return;
        memset(text + length, ' ', sizeof(text) - length);
        if (pwrite(work->fd, text, sizeof(text), 0) < 0)
                work->fd = fs_close(work->fd);
}

static void on_status(void *context, const char *text)
{
        BackupWork *work = context;

        free_and_replace(&work->phase, xstrdup(text));
        note(work);
        progress_status(work->told, text);
}

static void on_bytes(void *context, const char *what, uint64_t done, uint64_t total)
{
        BackupWork *work = context;

        if (!work->first_ns || done < work->done) { /* a full one was begun in the place of what has changed */
                work->first_ns = clock_monotonic_ns();
                free_and_replace(&work->phase, xstrdup("reading"));
        }
        work->done = done;
        work->total = total;
        if (clock_monotonic_ns() - work->last_ns >= NOTE_NS)
                note(work);
        progress_bytes(work->told, what, done, total);
}

static void on_warning(void *context, const char *text)
{
        progress_warning(((const BackupWork *)context)->told, text);
}

void backup_work_begin(BackupWork *ret, const char *path, const BackupRecord *record, const WorkProgress *told)
{
        _cleanup_free_ char *folder = path ? path_dirname(path) : NULL;

        *ret = (BackupWork){ .told = told,
                             .progress = { ret, on_status, on_bytes, on_warning, told->cancel_fd },
                             .record = record,
                             .fd = -1 };
        if (path && fs_make_directories(folder, 0700, NULL) >= 0)
                lock_file(path, LOCK_MS, &ret->fd, NULL);
        note(ret);
}

void backup_work_done(BackupWork *work)
{
        work->fd = fs_close(work->fd); /* the lock ends with it, and what is written there counts no more */
        free_and_replace(&work->phase, NULL);
}

/* ---- looking ---- */

json_t *backup_work_list(const Layout *layout, const char *project, const char *service)
{
        _cleanup_free_ char *folder = layout_run(layout, "projects/%s/backups", project);
        _cleanup_strv_ char **names = NULL;
        json_t *rows = json_array();

        fs_list_directory(AT_FDCWD, folder, &names, NULL);
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *path = path_join(folder, *name), *of = xstrdup(*name);
                json_t *row;

                if (!endswith(of, ENDING))
                        continue;
                of[strlen(of) - strlen(ENDING)] = '\0';
                row = !service || streq(service, of) ? backup_work_look(path) : NULL;
                json_set_string(row, "service", of);
                if (row)
                        json_array_append_new(rows, row);
        }
        return rows;
}

json_t *backup_work_look(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[LIMIT];
        json_t *document;
        ssize_t n;

        if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
                return NULL; /* nobody holds it */
        n = pread(fd, text, sizeof(text), 0);
        document = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
        if (json_get_int(document, "format", 0) == FORMAT) {
                json_object_del(document, "format");
                return document;
        }
        json_decref(document);
        return NULL;
}

static void add_size(Strbuf *text, const json_t *work, const char *key, const char *before, const char *after)
{
        _cleanup_free_ char *size = format_size((uint64_t)json_get_int(work, key, 0));

        if (json_object_get(work, key))
                strbuf_addf(text, "%s%s%s", before, size, after);
}

char *backup_work_text(const json_t *work)
{
        Strbuf text = STRBUF_INIT;

        if (!json_object_get(work, "done_bytes"))
                return xstrdup(json_get_string(work, "phase", ""));
        add_size(&text, work, "done_bytes", "", "");
        add_size(&text, work, "total_bytes", " of ", "");
        add_size(&text, work, "rate_bytes", ", ", " a second");
        if (json_object_get(work, "left_ns")) {
                _cleanup_free_ char *left = clock_format_ago(MAX(json_get_int(work, "left_ns", 0), NSEC_PER_SEC));

                strbuf_addf(&text, ", %s left", left);
        }
        return strbuf_take(&text);
}
