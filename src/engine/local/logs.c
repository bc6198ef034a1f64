#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/logs_file.h"
#include "engine/local/private.h"

#define MAX_LOG_FILES 100

static char *log_path(const ContainerRecord *record, int number)
{
        return number ? xasprintf("%s/logs/container.log.%d", record->data_path, number)
                      : xasprintf("%s/logs/container.log", record->data_path);
}

/* All log files, oldest first, the present one last. They are opened at once, so that a rotation meanwhile does not
 * make one be read twice or missed: those whose number grew are recognised by their inode. */
typedef struct LogFiles {
        int fds[MAX_LOG_FILES + 1];
        size_t length;
        bool has_present;
} LogFiles;

static void log_files_done(LogFiles *files)
{
        for (size_t i = 0; i < files->length; i++)
                close(files->fds[i]);
}

static bool same_file(int a, int b)
{
        struct stat one, other;

        return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

static void open_files(const ContainerRecord *record, LogFiles *ret)
{
        int newest_first[MAX_LOG_FILES + 1];
        size_t n = 0;

        *ret = (LogFiles){ 0 };
        for (int number = 0; number <= MAX_LOG_FILES && n <= MAX_LOG_FILES; number++) {
                _cleanup_free_ char *path = log_path(record, number);
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 && number > 0)
                        break;
                if (fd < 0)
                        continue;
                if (n && same_file(fd, newest_first[n - 1]))
                        close(fd);
                else
                        newest_first[n++] = fd;
                ret->has_present = ret->has_present || number == 0;
        }
        while (n > 0)
                ret->fds[ret->length++] = newest_first[--n];
}

/* Moves every file to where the wanted lines begin. */
static int seek_tail(LogFiles *files, int64_t lines, Error **err)
{
        for (size_t i = files->length; i-- > 0;) {
                off_t offset;
                int64_t found;
                int r = log_file_find_tail(files->fds[i], lines, &offset, &found, err);
                if (r < 0)
                        return r;
                lseek(files->fds[i], offset, SEEK_SET);
                lines -= found;
        }
        return 0;
}

/* The present file was renamed and another one took its place: everything of the old one has been read. */
static int follow_rotation(LogReader *reader, const ContainerRecord *record, int *fd, Error **err)
{
        _cleanup_free_ char *path = log_path(record, 0);
        _cleanup_close_ int present = open(path, O_RDONLY | O_CLOEXEC);
        int r;

        if (present < 0 || (*fd >= 0 && same_file(present, *fd)))
                return 0;
        if (*fd >= 0) {
                r = log_reader_read(reader, *fd, err); /* conmon has the new one: nothing comes any more */
                if (r < 0)
                        return r;
        }
        fs_close(*fd);
        *fd = TAKE_FD(present);
        return log_reader_read(reader, *fd, err);
}

static bool still_runs(Engine *engine, const char *id)
{
        _cleanup_record_ ContainerRecord *record = NULL;

        return local_running(engine, id, true, &record, NULL) >= 0;
}

static void drain(int fd)
{
        char buffer[4096];

        while (read(fd, buffer, sizeof(buffer)) > 0)
                ;
}

enum { CHANGES, END, CANCEL, N_POLLERS };

static int follow(Engine *engine, const ContainerRecord *record, LogReader *reader, int *fd, Error **err)
{
        _cleanup_free_ char *folder = path_join(record->data_path, "logs");
        _cleanup_close_ int changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), end = -1;
        struct pollfd pollers[N_POLLERS] = { { changes, POLLIN, 0 },
                                             { -1, POLLIN, 0 },
                                             { reader->query->cancel_fd, POLLIN, 0 } };
        int r = 0;

        if (changes < 0 || inotify_add_watch(changes, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                return error_set_errno(err, errno, "watch \"%s\"", folder);
        engine->operations->container_exit_fd(engine, record->id, &end, NULL);
        pollers[END].fd = end;
        while (r >= 0 && !reader->past_until) {
                bool ended = end < 0 || (pollers[END].revents & POLLIN);
                if (ended)
                        still_runs(engine, record->id); /* waits until the monitor has written everything */
                if (*fd >= 0)
                        r = log_reader_read(reader, *fd, err);
                if (r >= 0)
                        r = follow_rotation(reader, record, fd, err);
                if (r < 0 || ended || reader->past_until)
                        break;
                if (poll(pollers, N_POLLERS, -1) < 0 && errno != EINTR)
                        return error_set_errno(err, errno, "wait for the log");
                if (pollers[CANCEL].fd >= 0 && pollers[CANCEL].revents)
                        break;
                drain(changes);
        }
        return r;
}

int local_logs(Engine *engine, const char *id, const LogQuery *query, LogSink sink, void *context, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_(log_files_done) LogFiles files = { 0 };
        _cleanup_log_reader_ LogReader reader = { .query = query, .sink = sink, .context = context };
        _cleanup_close_ int present = -1;
        int r = container_record_find(engine_layout(engine), id, &record, err);

        if (r < 0)
                return r;
        if (record->spec->log_driver && streq(record->spec->log_driver, "none"))
                return error_set(err, ERROR_UNSUPPORTED, "container %s keeps no log (logging driver none)",
                                 record->spec->name);
        open_files(record, &files);
        if (query->tail >= 0)
                r = seek_tail(&files, query->tail, err);
        for (size_t i = 0; r >= 0 && i < files.length && !reader.past_until; i++)
                r = log_reader_read(&reader, files.fds[i], err);
        if (r >= 0 && query->follow && !reader.past_until) {
                if (files.has_present)
                        present = fcntl(files.fds[files.length - 1], F_DUPFD_CLOEXEC, 3);
                r = follow(engine, record, &reader, &present, err);
        }
        return r < 0 ? r : log_reader_flush(&reader);
}
