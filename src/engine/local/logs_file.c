#include "engine/local/logs_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define CHUNK        65536
#define LONGEST_LINE ((size_t)1024 * 1024) /* parts are given out when they grow past it */

void log_reader_done(LogReader *reader)
{
        strbuf_done(&reader->pending);
        strbuf_done(&reader->partial[0]);
        strbuf_done(&reader->partial[1]);
}

/* ---- times ---- */

static bool digits(const char *text, int count, int *ret)
{
        int value = 0;

        for (int i = 0; i < count; i++) {
                if (text[i] < '0' || text[i] > '9')
                        return false;
                value = value * 10 + text[i] - '0';
        }
        *ret = value;
        return true;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
        int64_t y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y - era * 400;
        int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

        return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* "+02:00", "-05:30" or "Z". */
static bool zone_of(const char *text, size_t length, int64_t *ret_seconds)
{
        int hours, minutes;

        *ret_seconds = 0;
        if (length == 1 && *text == 'Z')
                return true;
        if (length != 6 || (*text != '+' && *text != '-') || !digits(text + 1, 2, &hours) ||
            !digits(text + 4, 2, &minutes))
                return false;
        *ret_seconds = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        return true;
}

bool log_time_parse(const char *text, size_t length, int64_t *ret_ns)
{
        int year, month, day, hour, minute, second;
        int64_t fraction = 0, scale = NSEC_PER_SEC, zone;
        size_t i = 19;

        if (length < 20 || !digits(text, 4, &year) || !digits(text + 5, 2, &month) || !digits(text + 8, 2, &day) ||
            !digits(text + 11, 2, &hour) || !digits(text + 14, 2, &minute) || !digits(text + 17, 2, &second))
                return false;
        if (text[i] == '.')
                for (i++; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
                        scale /= 10;
                        fraction += (text[i] - '0') * scale;
                }
        if (!zone_of(text + i, length - i, &zone))
                return false;
        *ret_ns = (days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone) * NSEC_PER_SEC +
                  fraction;
        return true;
}

/* ---- lines ---- */

static int give(LogReader *reader, int stream, int64_t time_ns, const char *text, size_t length)
{
        const LogQuery *query = reader->query;

        if (query->until_ns && time_ns > query->until_ns) {
                reader->past_until = true;
                return 0;
        }
        if (query->since_ns && time_ns < query->since_ns)
                return 0;
        return reader->sink(reader->context, stream, time_ns, text, length);
}

static int take_line(LogReader *reader, const char *line, size_t length)
{
        const char *end = line + length, *space = memchr(line, ' ', length), *rest;
        int64_t time_ns;
        Strbuf *partial;
        int stream, r = 0;

        if (!space || end - space < 10 || !log_time_parse(line, (size_t)(space - line), &time_ns))
                return 0; /* torn by a power cut */
        stream = memcmp(space + 1, "stderr", 6) == 0 ? 2 : 1;
        rest = space + 10;
        partial = &reader->partial[stream - 1];
        if (space[8] == 'P' && partial->length < LONGEST_LINE) {
                if (!partial->length)
                        reader->partial_ns[stream - 1] = time_ns;
                strbuf_add(partial, rest, (size_t)(end - rest));
                return 0;
        }
        if (!partial->length)
                return give(reader, stream, time_ns, rest, (size_t)(end - rest));
        strbuf_add(partial, rest, (size_t)(end - rest));
        r = give(reader, stream, reader->partial_ns[stream - 1], partial->data, partial->length);
        strbuf_truncate(partial, 0);
        return r;
}

static int take_lines(LogReader *reader)
{
        const char *position = strbuf_text(&reader->pending), *end = position + reader->pending.length, *newline;
        int r = 0;

        while (r >= 0 && !reader->past_until && (newline = memchr(position, '\n', (size_t)(end - position)))) {
                r = take_line(reader, position, (size_t)(newline - position));
                position = newline + 1;
        }
        strbuf_consume(&reader->pending, (size_t)(position - strbuf_text(&reader->pending)));
        return r;
}

int log_reader_read(LogReader *reader, int fd, Error **err)
{
        char chunk[CHUNK];

        for (;;) {
                ssize_t n = read(fd, chunk, sizeof(chunk));
                int r;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(err, errno, "read the log");
                if (n == 0)
                        return 0;
                strbuf_add(&reader->pending, chunk, (size_t)n);
                r = take_lines(reader);
                if (r < 0 || reader->past_until)
                        return r;
        }
}

int log_reader_flush(LogReader *reader)
{
        int r = 0;

        for (int i = 0; i < 2 && r >= 0; i++)
                if (reader->partial[i].length) {
                        r = give(reader, i + 1, reader->partial_ns[i], reader->partial[i].data,
                                 reader->partial[i].length);
                        strbuf_truncate(&reader->partial[i], 0);
                }
        return r;
}

/* ---- the tail ---- */

/* Whether the line that begins at text is a whole one's end ("… stdout F …"): only those count. */
static bool counts(const char *text, size_t length)
{
        const char *space = memchr(text, ' ', length);

        return space && length - (size_t)(space - text) > 9 && space[8] == 'F';
}

int log_file_find_tail(int fd, int64_t lines, off_t *ret_offset, int64_t *ret_found, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        char chunk[CHUNK];
        struct stat status;
        off_t start;
        int64_t found = 0;

        if (fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "read the log");
        *ret_offset = start = status.st_size;
        *ret_found = 0;
        while (start > 0) {
                size_t size = (size_t)MIN((off_t)CHUNK, start), line_end;
                Strbuf longer = STRBUF_INIT;
                start -= (off_t)size;
                if (pread(fd, chunk, size, start) != (ssize_t)size)
                        return error_set_errno(err, errno, "read the log");
                strbuf_add(&longer, chunk, size);
                strbuf_add(&longer, strbuf_text(&text), text.length);
                strbuf_done(&text);
                text = longer;
                /* Whole lines from the end; what is before the first newline waits for the chunk before. */
                line_end = text.length;
                while (line_end > 0) {
                        const char *newline = line_end > 1 ? memrchr(text.data, '\n', line_end - 1) : NULL;
                        size_t begin = newline ? (size_t)(newline - text.data) + 1 : 0;
                        if (!newline && start > 0)
                                break;
                        if (counts(text.data + begin, line_end - begin) && ++found > lines) {
                                *ret_found = lines;
                                *ret_offset = start + (off_t)line_end;
                                return 0;
                        }
                        line_end = begin;
                }
                strbuf_truncate(&text, line_end);
        }
        *ret_offset = 0;
        *ret_found = found;
        return 0;
}
