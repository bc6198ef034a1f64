/* Packs and their indexes: that the index covers the pack without a hole, and that every chunk is what its line says. */
#include <inttypes.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/strv.h"
#include "postgres/crc32c.h"
#include "repository/pack_scratch.h"
#include "repository/verify_private.h"

#define WINDOW_BYTES ((size_t)4 << 20) /* read at once */

typedef struct Line {
        ChunkId id;
        ChunkPlace place;
} Line;

typedef struct PackCheck {
        Verification *verification;
        char *key;       /* of the pack */
        uint32_t number; /* in the index of good chunks */
        VECTOR(Line) lines;
        unsigned char *window;
        void *contents[2]; /* of the chunks in work */
        uint64_t window_offset;
        size_t window_length;
        PackScratch *scratch;
        uint64_t damaged;
        uint64_t first_offset;
        const char *first_reason;
} PackCheck;

static void pack_check_done(PackCheck *check)
{
        free(check->key);
        vector_done(&check->lines);
        free(check->window);
        free(check->contents[0]);
        free(check->contents[1]);
        pack_scratch_free(check->scratch);
}

static void add_line(void *context, const ChunkId *id, const ChunkPlace *place)
{
        PackCheck *check = context;

        vector_add(&check->lines, (Line){ *id, *place });
}

/* Lines follow each other as the chunks do; what an index that was cut off does not name shows by the pack's size. */
static bool lines_cover(const PackCheck *check, uint64_t pack_bytes)
{
        uint64_t offset = 0;

        VECTOR_FOREACH(line, &check->lines) {
                if (line->place.offset != offset)
                        return false;
                offset += line->place.stored_bytes;
        }
        return offset >= pack_bytes;
}

/* *ret: the stored bytes of place, NULL where the pack ends before. */
static int fetch(PackCheck *check, const ChunkPlace *place, const void **ret, Error **err)
{
        Storage *storage = check->verification->repository->storage;
        uint64_t end = place->offset + place->stored_bytes;
        int r;

        if (place->offset < check->window_offset || end > check->window_offset + check->window_length) {
                r = storage->operations->read(storage, check->key, place->offset, check->window, WINDOW_BYTES,
                                              &check->window_length, err);
                if (r < 0)
                        return r;
                check->window_offset = place->offset;
                verify_count_bytes(check->verification, check->window_length);
        }
        *ret = end <= check->window_offset + check->window_length
                       ? check->window + (place->offset - check->window_offset)
                       : NULL;
        return 0;
}

/* A chunk in work: its line, where its content is, and what is wrong with it. */
typedef struct Look {
        const Line *line;
        void *content;
        const char *reason; /* NULL: nothing so far */
} Look;

static const char *unpack(PackCheck *check, const ChunkPlace *place, const void *stored, void *content)
{
        if (!stored)
                return "the pack is cut off";
        if (!check->scratch->decompressor)
                check->scratch->decompressor = ZSTD_createDCtx();
        return ZSTD_decompressDCtx(check->scratch->decompressor, content, place->raw_bytes, stored,
                                   place->stored_bytes) == place->raw_bytes
                       ? NULL
                       : "it cannot be decompressed";
}

static int read_chunk(PackCheck *check, Look *look, Error **err)
{
        const ChunkPlace *place = &look->line->place;
        const void *stored = NULL;
        int r;

        if (place->raw_bytes > check->verification->repository->chunk_bytes || place->stored_bytes > WINDOW_BYTES) {
                look->reason = "the index is damaged";
                return 0;
        }
        r = fetch(check, place, &stored, err);
        if (r == 0)
                look->reason = unpack(check, place, stored, look->content);
        return r;
}

/* Of those whose content could be read, together. */
static void compare_names(Look *looks, size_t n)
{
        Sha256Piece pieces[2];
        Look *readable[2];
        ChunkId found[2];
        size_t n_readable = 0;

        for (size_t i = 0; i < n; i++)
                if (!looks[i].reason) {
                        pieces[n_readable] = (Sha256Piece){ looks[i].content, looks[i].line->place.raw_bytes };
                        readable[n_readable++] = &looks[i];
                }
        chunk_ids_compute(pieces, n_readable, (ChunkId *[]){ &found[0], &found[1] });
        for (size_t i = 0; i < n_readable; i++) {
                const Line *line = readable[i]->line;

                if (memcmp(&found[i], &line->id, sizeof(found[i])) != 0)
                        readable[i]->reason = "the content is not what its name says";
                else if (crc32c(readable[i]->content, line->place.raw_bytes) != line->place.crc32c)
                        readable[i]->reason = "the index has another CRC";
        }
}

static void note_look(PackCheck *check, const Look *look)
{
        Verification *verification = check->verification;

        if (look->reason && check->damaged++ == 0) {
                check->first_offset = look->line->place.offset;
                check->first_reason = look->reason;
        }
        pthread_mutex_lock(&verification->lock);
        verification->report->chunks++;
        if (!look->reason) {
                ChunkPlace place = look->line->place;
                place.pack = check->number;
                chunk_index_put(&verification->good, &look->line->id, &place);
        }
        pthread_mutex_unlock(&verification->lock);
}

/* One or two, see chunk_ids_compute. */
static int check_some(PackCheck *check, const Line *lines, size_t n, Error **err)
{
        Look looks[2];

        for (size_t i = 0; i < n; i++) {
                int r;

                looks[i] = (Look){ .line = &lines[i], .content = check->contents[i] };
                r = read_chunk(check, &looks[i], err);
                if (r < 0)
                        return r;
        }
        compare_names(looks, n);
        for (size_t i = 0; i < n; i++)
                note_look(check, &looks[i]);
        return 0;
}

static int check_chunks(PackCheck *check, Error **err)
{
        for (size_t i = 0, n; i < check->lines.length; i += n) {
                int r = -ERROR_CANCELLED;

                n = MIN((size_t)2, check->lines.length - i);
                if (!verify_stopped(check->verification))
                        r = check_some(check, check->lines.items + i, n, err);
                if (r < 0)
                        return r;
        }
        if (check->damaged)
                verify_fault(check->verification, check->key,
                             "%" PRIu64 " of %zu chunks are damaged, the first at %" PRIu64 ": %s", check->damaged,
                             check->lines.length, check->first_offset, check->first_reason);
        return 0;
}

typedef struct PackList {
        Verification *verification;
        StorageList list;
        VECTOR(const StorageEntry *) indexes; /* into list */
} PackList;

static void pack_list_done(PackList *packs)
{
        vector_done(&packs->indexes);
        storage_list_done(&packs->list);
}

static const StorageEntry *find_object(const PackList *packs, const char *key)
{
        VECTOR_FOREACH(entry, &packs->list.entries)
                if (streq(entry->key, key))
                        return entry;
        return NULL;
}

static int check_pack(PackCheck *check, const PackList *packs, const char *index_key, Error **err)
{
        Storage *storage = check->verification->repository->storage;
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        _cleanup_error_ Error *failure = NULL;
        const StorageEntry *pack = find_object(packs, check->key);
        int r;

        if (storage_get(storage, index_key, CHUNK_INDEX_LIMIT, &text, &failure) < 0 ||
            chunk_lines_parse(strbuf_text(&text), text.length, add_line, check, &failure) < 0) {
                r = verify_judge(check->verification, index_key, &failure);
                if (r < 0)
                        return r;
        } else if (pack && !lines_cover(check, pack->size_bytes)) {
                verify_fault(check->verification, index_key,
                             "it does not name all of the pack: lines are missing or wrong");
        }
        if (!pack)
                verify_fault(check->verification, check->key, "it is missing");
        return pack ? check_chunks(check, err) : 0;
}

static void step(void *context, size_t i)
{
        PackList *packs = context;
        Verification *verification = packs->verification;
        const char *index_key = packs->indexes.items[i]->key;
        _cleanup_free_ char *id = xstrndup(index_key + strlen("packs/"), strlen(index_key) - strlen("packs/.index"));
        _cleanup_error_ Error *failure = NULL;
        _cleanup_(pack_check_done) PackCheck check = {
                .verification = verification,
                .key = xasprintf("packs/%s.pack", id),
                .window = xmalloc(WINDOW_BYTES),
                .contents = { xmalloc(verification->repository->chunk_bytes),
                              xmalloc(verification->repository->chunk_bytes) },
                .scratch = pack_scratch_create(),
        };

        pthread_mutex_lock(&verification->lock);
        check.number = chunk_index_add_pack(&verification->good, id);
        pthread_mutex_unlock(&verification->lock);
        if (!verify_stopped(verification) && check_pack(&check, packs, index_key, &failure) < 0 && failure)
                verify_judge(verification, check.key, &failure);
        pthread_mutex_lock(&verification->lock);
        verification->report->packs++;
        pthread_mutex_unlock(&verification->lock);
}

int verify_packs(Verification *verification, Error **err)
{
        Storage *storage = verification->repository->storage;
        _cleanup_(pack_list_done) PackList packs = { .verification = verification };
        int r = storage->operations->list(storage, "packs", &packs.list, err);

        if (r < 0)
                return r;
        VECTOR_FOREACH(entry, &packs.list.entries)
                if (endswith(entry->key, ".index"))
                        vector_add(&packs.indexes, entry);
        parallel_run(packs.indexes.length, verification->threads, step, &packs);
        return verify_stopped(verification) ? -ERROR_CANCELLED : 0; /* the failure itself is in verification */
}
