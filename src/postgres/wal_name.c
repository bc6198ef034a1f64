#include "postgres/wal_name.h"

#include <stdio.h>

#include "base/strv.h"

bool lsn_parse(const char *text, Lsn *ret)
{
        unsigned high, low;
        int used = 0;

        if (sscanf(text, "%8X/%8X%n", &high, &low, &used) != 2 || text[used] || text[0] == '+' || text[0] == '-' ||
            text[0] == ' ')
                return false;
        *ret = (Lsn)high << 32 | low;
        return true;
}

char *lsn_format(Lsn lsn, char text[LSN_TEXT_SIZE])
{
        snprintf(text, LSN_TEXT_SIZE, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
        return text;
}

Lsn wal_segment_start(Lsn lsn, uint32_t segment_bytes)
{
        return lsn & ~(Lsn)(segment_bytes - 1);
}

static uint64_t segments_per_high_part(uint32_t segment_bytes)
{
        return (UINT64_C(1) << 32) / segment_bytes;
}

char *wal_segment_name(uint32_t timeline, Lsn lsn, uint32_t segment_bytes, char name[WAL_NAME_SIZE])
{
        uint64_t number = lsn / segment_bytes, per_high = segments_per_high_part(segment_bytes);

        snprintf(name, WAL_NAME_SIZE, "%08X%08X%08X", timeline, (unsigned)(number / per_high),
                 (unsigned)(number % per_high));
        return name;
}

bool wal_segment_parse(const char *name, uint32_t segment_bytes, uint32_t *ret_timeline, Lsn *ret_start)
{
        unsigned timeline, high, low;

        if (strlen(name) != WAL_NAME_SIZE - 1 || strspn(name, "0123456789ABCDEF") != WAL_NAME_SIZE - 1 ||
            sscanf(name, "%8X%8X%8X", &timeline, &high, &low) != 3)
                return false;
        *ret_timeline = timeline;
        *ret_start = (high * segments_per_high_part(segment_bytes) + low) * segment_bytes;
        return true;
}

void timeline_history_done(TimelineHistory *history)
{
        vector_done(&history->steps);
}

static int parse_step(const char *line, TimelineStep *ret, Error **err)
{
        unsigned parent, high, low;

        if (sscanf(line, "%u %X/%X", &parent, &high, &low) != 3 || !parent)
                return error_set(err, ERROR_CORRUPT, "\"%s\" is no line of a timeline history", line);
        *ret = (TimelineStep){ parent, (Lsn)high << 32 | low };
        return 0;
}

int timeline_history_parse(const char *text, TimelineHistory *ret, Error **err)
{
        _cleanup_timeline_history_ TimelineHistory history = { 0 };
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines) {
                const char *start = *line + strspn(*line, " \t\r");
                TimelineStep step;
                int r;

                if (!*start || *start == '#')
                        continue;
                r = parse_step(start, &step, err);
                if (r < 0)
                        return r;
                vector_add(&history.steps, step);
        }
        *ret = history;
        history = (TimelineHistory){ 0 };
        return 0;
}
