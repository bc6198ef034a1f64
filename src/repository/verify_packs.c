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
        char *key;              /* of the pack */
        uint32_t number;        /* in the index of good chunks */
        VECTOR(Line) lines;
        _Alignas(16) unsigned char *window, *content;
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
        free(check->content);
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
        *ret = end <= check->window_offset + check->window_length ? check->window + (place->offset - check->window_offset)
                                                                  : NULL;
        return 0;
}

/* NULL, or what is wrong. */
static const char *judge_chunk(PackCheck *check, const Line *line, const void *stored)
{
        const ChunkPlace *place = &line->place;
        ChunkId found;

        if (!stored)
                return "the pack is cut off";
        if (!check->scratch->decompressor)
                check->scratch->decompressor = ZSTD_createDCtx();
        if (ZSTD_decompressDCtx(check->scratch->decompressor, check->content, place->raw_bytes, stored,
                                place->stored_bytes) != place->raw_bytes)
                return "it cannot be decompressed";
        chunk_id_compute(check->content, place->raw_bytes, &found);
        if (memcmp(&found, &line->id, sizeof(found)) != 0)
                return "the content is not what its name says";
        return crc32c(check->content, place->raw_bytes) == place->crc32c ? NULL : "the index has another CRC";
}

static int check_chunk(PackCheck *check, const Line *line, Error **err)
{
        Verification *verification = check->verification;
        const void *stored = NULL;
        const char *reason;
        int r;

        if (line->place.raw_bytes > verification->repository->chunk_bytes || line->place.stored_bytes > WINDOW_BYTES)
                reason = "the index is damaged";
        else {
                r = fetch(check, &line->place, &stored, err);
                if (r < 0)
                        return r;
                reason = judge_chunk(check, line, stored);
        }
        if (reason && check->damaged++ == 0) {
                check->first_offset = line->place.offset;
                check->first_reason = reason;
        }
        pthread_mutex_lock(&verification->lock);
        verification->report->chunks++;
        if (!reason) {
                ChunkPlace place = line->place;
                place.pack = check->number;
                chunk_index_put(&verification->good, &line->id, &place);
        }
        pthread_mutex_unlock(&verification->lock);
        return 0;
}

static int check_chunks(PackCheck *check, Error **err)
{
        VECTOR_FOREACH(line, &check->lines) {
                int r = verify_stopped(check->verification) ? -ERROR_CANCELLED : check_chunk(check, line, err);
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
                verify_fault(check->verification, index_key, "it does not name all of the pack: lines are missing or wrong");
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
                .content = xmalloc(verification->repository->chunk_bytes),
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
