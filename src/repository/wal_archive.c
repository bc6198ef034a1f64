#include "repository/wal_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include <zstd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "repository/caught_up.h"

#define LEVEL         1
#define WINDOW_LOG    18
#define PIECE_BYTES   65536
#define PIECE_ENDING  ".partial-"
#define HISTORY_LIMIT (4u << 20)

void wal_list_done(WalList *list)
{
        vector_done(&list->segments);
        vector_done(&list->histories);
        vector_done(&list->pieces);
}

void wal_range_done(WalRange *range)
{
        vector_done(&range->segments);
        vector_done(&range->timelines);
}

/* ---- listing ---- */

/* Listed by key: behind the partial segment that it goes on with, and behind earlier pieces. */
static void add_piece(WalList *list, const StorageEntry *entry, const char *name, uint32_t timeline, const char *digits)
{
        WalSegment *segment = list->segments.length ? &list->segments.items[list->segments.length - 1] : NULL;
        WalPiece piece = { .timeline = timeline, .size_bytes = entry->size_bytes };
        unsigned offset;
        int used = 0;

        if (sscanf(digits, "%8X%n", &offset, &used) != 1 || used != 8 || digits[8])
                return;
        memcpy(piece.name, name, WAL_NAME_SIZE);
        piece.offset = offset;
        piece.counts = segment && segment->partial && streq(segment->name, name) && segment->stored_bytes == offset;
        if (piece.counts) {
                segment->stored_bytes += entry->size_bytes;
                segment->modified_ns = MAX(segment->modified_ns, entry->modified_ns);
        }
        vector_add(&list->pieces, piece);
}

/* "wal/00000001/<name>.zst", "….partial", "….partial-00100000", "wal/00000002.history". What is none of them is passed over. */
static void add_entry(WalList *list, const StorageEntry *entry, uint32_t segment_bytes)
{
        WalSegment segment = { .stored_bytes = entry->size_bytes, .modified_ns = entry->modified_ns };
        const char *rest = entry->key + strlen("wal/");
        unsigned timeline;
        int used = 0;

        if (sscanf(rest, "%8X%n", &timeline, &used) != 1 || used != 8)
                return;
        if (streq(rest + 8, ".history"))
                vector_add(&list->histories, timeline);
        if (rest[8] != '/' || strlen(rest) < 9 + WAL_NAME_SIZE)
                return;
        memcpy(segment.name, rest + 9, WAL_NAME_SIZE - 1);
        rest += 9 + WAL_NAME_SIZE - 1;
        if (startswith(rest, PIECE_ENDING))
                add_piece(list, entry, segment.name, timeline, startswith(rest, PIECE_ENDING));
        segment.partial = streq(rest, ".partial");
        if ((segment.partial || streq(rest, ".zst")) &&
            wal_segment_parse(segment.name, segment_bytes, &segment.timeline, &segment.start))
                vector_add(&list->segments, segment);
}

char *wal_segment_key(const WalSegment *segment)
{
        return xasprintf("wal/%08X/%s.%s", segment->timeline, segment->name, segment->partial ? "partial" : "zst");
}

char *wal_piece_key(const WalPiece *piece)
{
        return xasprintf("wal/%08X/%s" PIECE_ENDING "%08X", piece->timeline, piece->name, piece->offset);
}

int wal_segment_remove(Repository *repository, const WalList *list, const WalSegment *segment, Error **err)
{
        _cleanup_free_ char *key = wal_segment_key(segment);

        for (size_t i = segment->partial ? list->pieces.length : 0; i-- > 0;) {
                const WalPiece *piece = &list->pieces.items[i];
                _cleanup_free_ char *piece_key = wal_piece_key(piece);
                int r = streq(piece->name, segment->name)
                                ? repository->storage->operations->remove(repository->storage, piece_key, err)
                                : 0;
                if (r < 0)
                        return r;
        }
        return repository->storage->operations->remove(repository->storage, key, err);
}

static int compare_segments(const void *left, const void *right)
{
        const WalSegment *a = left, *b = right;

        if (a->timeline != b->timeline)
                return a->timeline < b->timeline ? -1 : 1;
        if (a->start != b->start)
                return a->start < b->start ? -1 : 1;
        return a->partial - b->partial; /* the complete one first */
}

int wal_list_load(Repository *repository, uint32_t segment_bytes, WalList *ret, Error **err)
{
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = repository->storage->operations->list(repository->storage, "wal", &list, err);

        if (r < 0)
                return r;
        VECTOR_FOREACH(entry, &list.entries)
                add_entry(ret, entry, segment_bytes);
        if (ret->segments.length)
                qsort(ret->segments.items, ret->segments.length, sizeof(WalSegment), compare_segments);
        return 0;
}

/* ---- ranges ---- */

/* The timelines from the backup's to the target, each with the place where it begins. */
typedef struct Branch {
        uint32_t timeline;
        Lsn begin;
} Branch;

typedef struct Lineage {
        VECTOR(Branch) branches;
} Lineage;

/* Along the history of target; false where it does not leave timeline at or behind start. */
static bool lineage_fill(Lineage *lineage, const TimelineHistory *history, uint32_t timeline, Lsn start,
                         uint32_t target)
{
        bool found = timeline == target;

        vector_done(&lineage->branches);
        vector_add(&lineage->branches, (Branch){ timeline, 0 });
        for (size_t i = 0; i < history->steps.length; i++) {
                const TimelineStep *step = &history->steps.items[i];
                uint32_t next = i + 1 < history->steps.length ? history->steps.items[i + 1].parent : target;

                if (step->parent == timeline) {
                        if (step->switch_lsn < start)
                                return false;
                        found = true;
                }
                if (found && next != timeline)
                        vector_add(&lineage->branches, (Branch){ next, step->switch_lsn });
        }
        return found;
}

static int find_lineage(Repository *repository, const WalList *list, uint32_t timeline, Lsn start, uint32_t target,
                        Lineage *ret, Error **err)
{
        uint32_t best = timeline;

        lineage_fill(ret, &(TimelineHistory){ 0 }, timeline, start, timeline);
        VECTOR_FOREACH(candidate, &list->histories) {
                _cleanup_timeline_history_ TimelineHistory history = { 0 };
                Lineage lineage = { 0 };
                int r;

                if (*candidate <= best || (target && *candidate != target))
                        continue;
                r = wal_read_history(repository, *candidate, &history, err);
                if (r < 0)
                        return r;
                if (lineage_fill(&lineage, &history, timeline, start, *candidate)) {
                        Lineage swap = *ret;
                        *ret = lineage;
                        lineage = swap;
                        best = *candidate;
                }
                vector_done(&lineage.branches);
        }
        if (target && best != target)
                return error_set(err, ERROR_NOT_FOUND, "timeline %u does not descend from the backup's, %u", target,
                                 timeline);
        return 0;
}

static const WalSegment *find_segment(const WalList *list, uint32_t timeline, Lsn start)
{
        size_t low = 0, high = list->segments.length;

        while (low < high) {
                size_t middle = (low + high) / 2;
                const WalSegment *segment = &list->segments.items[middle];

                if (segment->timeline < timeline || (segment->timeline == timeline && segment->start < start))
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == list->segments.length || list->segments.items[low].timeline != timeline ||
            list->segments.items[low].start != start)
                return NULL;
        return &list->segments.items[low];
}

/* The segment at start, of the youngest timeline that has it. A switch in the middle of a segment leaves two of them; the
 * younger one begins with what the older one has before the switch. */
static const WalSegment *find_on_lineage(const WalList *list, const Lineage *lineage, Lsn start, uint32_t segment_bytes,
                                         Lsn *ret_limit)
{
        *ret_limit = UINT64_MAX;
        for (size_t i = lineage->branches.length; i-- > 0;) {
                const Branch *branch = &lineage->branches.items[i];
                const WalSegment *segment;

                if (start < wal_segment_start(branch->begin, segment_bytes))
                        continue;
                segment = find_segment(list, branch->timeline, start);
                if (segment)
                        return segment;
                if (start > branch->begin || start == wal_segment_start(branch->begin, segment_bytes))
                        *ret_limit = MIN(*ret_limit, branch->begin);
                if (start > branch->begin)
                        return NULL;
        }
        return NULL;
}

static void walk(const WalList *list, const Lineage *lineage, uint32_t segment_bytes, WalRange *range)
{
        Lsn position = wal_segment_start(range->start, segment_bytes), limit;

        for (;;) {
                const WalSegment *segment = find_on_lineage(list, lineage, position, segment_bytes, &limit);

                if (!segment)
                        return;
                vector_add(&range->segments, *segment);
                position =
                        segment->start + (segment->partial ? MIN(segment->stored_bytes, segment_bytes) : segment_bytes);
                position = MIN(position, limit);
                range->end = MAX(position, range->start);
                range->end_ns = MAX(range->end_ns, segment->modified_ns); /* a clock may have been set back */
                range->timeline = segment->timeline;
                if (segment->partial || position == limit)
                        return;
        }
}

static void note_moment(Repository *repository, WalRange *range)
{
        CaughtUp moment;

        if (range->segments.length && caught_up_read(repository, &moment) && moment.timeline == range->timeline &&
            moment.lsn >= range->start && moment.lsn <= range->end) {
                range->known_ns = moment.at_ns;
                range->known_lsn = moment.lsn;
        }
}

int wal_range_find(Repository *repository, const WalList *list, uint32_t timeline, Lsn start, uint32_t segment_bytes,
                   uint32_t target_timeline, WalRange *ret, Error **err)
{
        Lineage lineage = { 0 };
        int r = find_lineage(repository, list, timeline, start, target_timeline, &lineage, err);

        if (r == 0) {
                *ret = (WalRange){ .start = start, .end = start, .timeline = timeline };
                walk(list, &lineage, segment_bytes, ret);
                note_moment(repository, ret);
                VECTOR_FOREACH(branch, &lineage.branches)
                        vector_add(&ret->timelines, branch->timeline);
        }
        vector_done(&lineage.branches);
        return r;
}

/* ---- objects ---- */

static char *segment_key(const char *name)
{
        return xasprintf("wal/%.8s/%s.zst", name, name);
}

char *wal_partial_path(const Repository *repository, const char *name)
{
        return xasprintf("%s/wal/%.8s/%s.partial", repository->path, name, name);
}

/* A small window: what fits the receiver's memory compresses the log nearly as well. */
static ZSTD_CCtx *make_compressor(uint32_t segment_bytes)
{
        ZSTD_CCtx *compressor = ZSTD_createCCtx();

        ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel, LEVEL);
        ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog, WINDOW_LOG);
        ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
        ZSTD_CCtx_setPledgedSrcSize(compressor, segment_bytes);
        return compressor;
}

static int compress_piece(Storage *storage, StorageWriter *writer, ZSTD_CCtx *compressor, ZSTD_inBuffer *in, bool last,
                          Error **err)
{
        char buffer[PIECE_BYTES];

        for (;;) {
                ZSTD_outBuffer out = { buffer, sizeof(buffer), 0 };
                size_t left = ZSTD_compressStream2(compressor, &out, in, last ? ZSTD_e_end : ZSTD_e_continue);
                int r;

                if (ZSTD_isError(left))
                        return error_set(err, ERROR_INTERNAL, "compress: %s", ZSTD_getErrorName(left));
                r = out.pos ? storage->operations->write_add(writer, buffer, out.pos, err) : 0;
                if (r < 0)
                        return r;
                if (last ? left == 0 : in->pos == in->size)
                        return 0;
        }
}

static int compress_file(Storage *storage, StorageWriter *writer, ZSTD_CCtx *compressor, int fd, uint32_t segment_bytes,
                         Error **err)
{
        char buffer[PIECE_BYTES];
        uint32_t done = 0;

        while (done < segment_bytes) {
                ssize_t n = read(fd, buffer, MIN(sizeof(buffer), (size_t)(segment_bytes - done)));
                ZSTD_inBuffer in = { buffer, (size_t)MAX(n, (ssize_t)0), 0 };
                int r;

                if (n < 0)
                        return error_set_errno(err, errno, "read");
                if (n == 0)
                        return error_set(err, ERROR_CORRUPT, "it is shorter than a segment");
                done += (uint32_t)n;
                r = compress_piece(storage, writer, compressor, &in, done == segment_bytes, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int store_compressed(Storage *storage, const char *key, int fd, uint32_t segment_bytes, Error **err)
{
        ZSTD_CCtx *compressor = make_compressor(segment_bytes);
        StorageWriter *writer = NULL;
        int r = storage->operations->write_begin(storage, key, &writer, err);

        if (r == 0) {
                r = compress_file(storage, writer, compressor, fd, segment_bytes, err);
                if (r == 0)
                        r = storage->operations->write_commit(writer, err);
                else
                        storage->operations->write_abort(writer);
        }
        ZSTD_freeCCtx(compressor);
        return r;
}

int wal_file_segment(Repository *repository, const char *name, uint32_t segment_bytes, Error **err)
{
        _cleanup_free_ char *key = segment_key(name), *partial = wal_partial_path(repository, name);
        _cleanup_close_ int fd = open(partial, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int r;

        if (fd < 0)
                return error_set_errno(err, errno, "open \"%s\"", partial);
        r = store_compressed(repository->storage, key, fd, segment_bytes, err);
        if (r == 0)
                r = fs_remove_tree(AT_FDCWD, partial, err);
        return error_prefix(err, r, "segment %s", name);
}

int wal_store_history(Repository *repository, uint32_t timeline, const void *data, size_t size, Error **err)
{
        _cleanup_free_ char *key = xasprintf("wal/%08X.history", timeline);

        return storage_put(repository->storage, key, data, size, err);
}

int wal_read_history(Repository *repository, uint32_t timeline, TimelineHistory *ret, Error **err)
{
        _cleanup_free_ char *key = xasprintf("wal/%08X.history", timeline);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r = storage_get(repository->storage, key, HISTORY_LIMIT, &text, err);

        if (r == 0)
                r = timeline_history_parse(strbuf_text(&text), ret, err);
        return error_prefix(err, r, "%s", key);
}

/* The object, then piece after piece. */
static int read_partial(Repository *repository, const char *name, uint32_t segment_bytes, void *ret, Error **err)
{
        Storage *storage = repository->storage;
        _cleanup_free_ char *key = xasprintf("wal/%.8s/%s.partial", name, name);
        size_t got = 0, done = 0;
        int r = storage->operations->read(storage, key, 0, ret, segment_bytes, &got, err);

        if (r < 0)
                return r;
        for (done = got; got && done < segment_bytes; done += got) {
                _cleanup_free_ char *piece = xasprintf("wal/%.8s/%s" PIECE_ENDING "%08zX", name, name, done);
                _cleanup_error_ Error *missing = NULL;

                r = storage->operations->read(storage, piece, 0, (char *)ret + done, segment_bytes - done, &got,
                                              &missing);
                if (r == -ERROR_NOT_FOUND)
                        break;
                if (r < 0)
                        return error_move(err, &missing, r);
        }
        memset((char *)ret + done, 0, segment_bytes - done);
        return 0;
}

int wal_read_segment(Repository *repository, const char *name, uint32_t segment_bytes, void *ret, Error **err)
{
        _cleanup_free_ char *key = segment_key(name);
        _cleanup_strbuf_ Strbuf stored = STRBUF_INIT;
        _cleanup_error_ Error *missing = NULL;
        int r = storage_get(repository->storage, key, ZSTD_compressBound(segment_bytes) + 1024, &stored, &missing);

        if (r == -ERROR_NOT_FOUND)
                return read_partial(repository, name, segment_bytes, ret, err);
        if (r < 0)
                return error_move(err, &missing, r);
        if (ZSTD_decompress(ret, segment_bytes, strbuf_text(&stored), stored.length) != segment_bytes)
                return error_set(err, ERROR_CORRUPT, "%s is damaged", key);
        return 0;
}
