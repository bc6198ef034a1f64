/* Chunks that backups need and that no sound pack here has: out of the damaged pack, where it still has them, or from the other
 * repository, into a new one. */
#include <zstd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "postgres/crc32c.h"
#include "repository/file_list.h"
#include "repository/pack.h"
#include "repository/repair_private.h"
#include "repository/storage_ahead.h"

#define LEVEL 3

typedef struct Wanted {
        ChunkId id;
        ChunkPlace place; /* in the repository that it is read from first */
} Wanted;

/* A repository to read chunks from. */
typedef struct Source {
        Storage *storage; /* owned */
        const ChunkIndex *index;
} Source;

typedef struct PackRepair {
        Repair *repair;
        char **damaged;          /* ids of packs */
        ChunkIndex there, known; /* known: chunks of the lists that were looked at */
        VECTOR(Wanted) wanted;
        Source first, second;
        PackWriter *writer;
        ChunkIndex written;
        PackScratch *scratch;
        unsigned char *content;
        size_t lost; /* chunks that neither has */
} PackRepair;

static void pack_repair_done(PackRepair *packs)
{
        pack_writer_free(packs->writer); /* which borrows the index of what it has written */
        strv_free(packs->damaged);
        chunk_index_done(&packs->there);
        chunk_index_done(&packs->known);
        chunk_index_done(&packs->written);
        vector_done(&packs->wanted);
        storage_free(packs->first.storage);
        storage_free(packs->second.storage);
        pack_scratch_free(packs->scratch);
        free(packs->content);
}

/* ---- what is wanted ---- */

/* "packs/<id>.pack", "packs/<id>.index" */
static void find_damaged(PackRepair *packs)
{
        VECTOR_FOREACH(fault, &packs->repair->verification->report->faults) {
                const char *rest = startswith(fault->object, "packs/");
                _cleanup_free_ char *id = rest ? xstrndup(rest, strcspn(rest, ".")) : NULL;

                if (id && !strv_contains(packs->damaged, id))
                        strv_add(&packs->damaged, id);
        }
}

static bool is_sound(const PackRepair *packs, const ChunkPlace *place)
{
        return place && !strv_contains(packs->damaged, packs->repair->verification->good.packs[place->pack]);
}

static void want_chunk(PackRepair *packs, const ChunkId *id)
{
        const ChunkPlace *here = chunk_index_find(&packs->repair->verification->good, id), *found;

        if (chunk_index_find(&packs->known, id))
                return;
        chunk_index_put(&packs->known, id, &(ChunkPlace){ 0 });
        if (is_sound(packs, here))
                return;
        found = chunk_index_find(packs->first.index, id);
        vector_add(&packs->wanted, (Wanted){ *id, found ? *found : (ChunkPlace){ .pack = CHUNK_IN_WORK } });
}

static int compare_wanted(const void *left, const void *right)
{
        const ChunkPlace *a = &((const Wanted *)left)->place, *b = &((const Wanted *)right)->place;

        if (a->pack != b->pack)
                return a->pack < b->pack ? -1 : 1;
        return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Of all lists that can be read now. */
static int find_wanted(PackRepair *packs, Error **err)
{
        Repository *repository = packs->repair->repository;
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = backup_list_load(repository, &list, err);

        VECTOR_FOREACH(record, &list.records) {
                _cleanup_file_list_ FileList files = { 0 };

                if (r < 0)
                        return r;
                if (file_list_read(repository, (*record)->id, (*record)->files_sha256, &files, NULL) < 0)
                        continue; /* what it needs is not known */
                VECTOR_FOREACH(file, &files.files)
                        for (size_t i = 0; i < (*file)->n_chunks; i++)
                                want_chunk(packs, &(*file)->chunks[i]);
        }
        if (packs->wanted.length)
                qsort(packs->wanted.items, packs->wanted.length, sizeof(Wanted), compare_wanted);
        return r;
}

/* ---- from there to here ---- */

/* An index may say anything. */
static bool is_possible(const PackRepair *packs, const ChunkPlace *place)
{
        uint32_t chunk_bytes = packs->repair->repository->chunk_bytes;

        return place && place->raw_bytes <= chunk_bytes && place->stored_bytes <= ZSTD_compressBound(chunk_bytes);
}

static int read_from(PackRepair *packs, const Source *source, const ChunkId *id, uint32_t *ret_size, Error **err)
{
        const ChunkPlace *place = chunk_index_find(source->index, id);
        int r;

        if (!is_possible(packs, place))
                return error_set(err, ERROR_NOT_FOUND, "it is not there either");
        *ret_size = place->raw_bytes;
        r = pack_read_chunk(source->storage, source->index, id, packs->scratch, packs->content, err);
        if (r == 0 && source->index == &packs->there)
                packs->repair->report->bytes += place->stored_bytes;
        return r;
}

static int move_chunk(PackRepair *packs, const ChunkId *id, Error **err)
{
        _cleanup_error_ Error *failure = NULL;
        uint32_t size = 0;
        ChunkId same;
        int r = read_from(packs, &packs->first, id, &size, &failure);

        if (r == -ERROR_NOT_FOUND || r == -ERROR_CORRUPT) {
                error_free(TAKE_PTR(failure));
                r = read_from(packs, &packs->second, id, &size, &failure);
        }
        if (r == -ERROR_NOT_FOUND || r == -ERROR_CORRUPT) {
                packs->lost++;
                return 0;
        }
        if (r < 0)
                return error_move(err, &failure, r);
        return pack_writer_add(packs->writer, packs->scratch, packs->content, size, crc32c(packs->content, size), &same,
                               err);
}

static int move_chunks(PackRepair *packs, Error **err)
{
        uint64_t done = 0;
        PackTotals totals;

        packs->writer = pack_writer_create(packs->repair->repository, &packs->written, LEVEL);
        packs->scratch = pack_scratch_create();
        packs->content = xmalloc(packs->repair->repository->chunk_bytes);
        VECTOR_FOREACH(wanted, &packs->wanted) {
                int r = progress_cancelled(packs->repair->progress) ? error_set(err, ERROR_CANCELLED, "cancelled")
                                                                    : move_chunk(packs, &wanted->id, err);
                if (r < 0)
                        return r;
                progress_bytes(packs->repair->progress, "repair", ++done, packs->wanted.length);
        }
        return pack_writer_finish(packs->writer, &totals, err);
}

/* All that is needed of them is in another pack now. What could not be had is none the better for it. */
static int set_packs_aside(PackRepair *packs, Error **err)
{
        STRV_FOREACH(id, packs->damaged) {
                _cleanup_free_ char *pack = xasprintf("packs/%s.pack", *id), *index = xasprintf("packs/%s.index", *id);
                int r = repair_set_aside(packs->repair, index, err);

                if (r == 0)
                        r = repair_set_aside(packs->repair, pack, err);
                if (r < 0)
                        return r;
                if (!packs->lost)
                        repair_note_mended(packs->repair, pack);
        }
        return 0;
}

static void note_outcome(PackRepair *packs)
{
        RepairReport *report = packs->repair->report;

        if (packs->written.length && (!packs->damaged || packs->lost)) {
                _cleanup_free_ char *text = xasprintf("packs (%zu chunks)", packs->written.length);
                repair_note_mended(packs->repair, text);
        }
        if (packs->lost)
                strv_addf(&report->failed, "packs: %zu chunks that backups need are in neither repository",
                          packs->lost);
}

/* What lies on this machine is read first. */
static void order_sources(PackRepair *packs)
{
        Repair *repair = packs->repair;
        Source here = { storage_ahead_create(repair->repository->storage), &repair->verification->good };
        Source there = { storage_ahead_create(repair->source->storage), &packs->there };
        bool is_here = repair->repository->path != NULL;

        packs->first = is_here ? here : there;
        packs->second = is_here ? there : here;
}

int repair_packs(Repair *repair, Error **err)
{
        _cleanup_(pack_repair_done) PackRepair packs = { .repair = repair };
        int r = chunk_index_load(&packs.there, repair->source->storage, err);

        if (r < 0)
                return r;
        order_sources(&packs);
        find_damaged(&packs);
        r = find_wanted(&packs, err);
        if (r == 0 && packs.wanted.length)
                r = move_chunks(&packs, err);
        if (r == 0)
                r = set_packs_aside(&packs, err);
        if (r == 0)
                note_outcome(&packs);
        return r;
}
