/* Packs: which of their chunks a backup refers to, and what to do with the rest. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "repository/file_list.h"
#include "repository/pack.h"
#include "repository/prune.h"

#define REWRITE_LEVEL 3
#define SWEEP_AGE_NS  (24 * 3600 * NSEC_PER_SEC) /* older than any writer lives */

typedef struct Pack {
        char *id;
        uint32_t number;                              /* in the index of all chunks */
        uint64_t pack_bytes, index_bytes, live_bytes; /* live: that backups refer to */
        VECTOR(ChunkId) live;
        bool has_pack, has_index, kept;
} Pack;

typedef struct Pruning {
        Repository *repository;
        const WorkProgress *progress;
        PruneReport *report;
        ChunkIndex all, needed; /* needed: of backups; its places say nothing */
        VECTOR(Pack) packs;     /* by id */
} Pruning;

static void pruning_done(Pruning *pruning)
{
        VECTOR_FOREACH(pack, &pruning->packs) {
                free(pack->id);
                vector_done(&pack->live);
        }
        vector_done(&pruning->packs);
        chunk_index_done(&pruning->all);
        chunk_index_done(&pruning->needed);
}

static int remove_object(Pruning *pruning, const char *key, uint64_t size_bytes, Error **err)
{
        int r = pruning->repository->storage->operations->remove(pruning->repository->storage, key, err);

        if (r == 0)
                pruning->report->freed_bytes += size_bytes;
        return r;
}

/* ---- which chunks are needed ---- */

static int need_chunks_of(Pruning *pruning, const BackupRecord *record, Error **err)
{
        const ChunkPlace nowhere = { .pack = CHUNK_IN_WORK };
        _cleanup_file_list_ FileList files = { 0 };
        int r = file_list_read(pruning->repository, record->id, record->files_sha256, &files, err);

        if (r < 0)
                return error_hint(err, r,
                                  "Nothing was removed, since what backup %s needs is not known. "
                                  "Remove that backup if it is of no use.",
                                  record->id);
        VECTOR_FOREACH(file, &files.files)
                for (size_t i = 0; i < (*file)->n_chunks; i++)
                        chunk_index_put(&pruning->needed, &(*file)->chunks[i], &nowhere);
        return 0;
}

static int load_needed(Pruning *pruning, Error **err)
{
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = backup_list_load(pruning->repository, &list, err);

        if (r == 0 && list.damaged) {
                r = error_set(err, ERROR_CORRUPT, "the record of backup %s is damaged", list.damaged[0]);
                return error_hint(err, r,
                                  "Nothing was removed, since what it needs is not known. "
                                  "Remove that backup if it is of no use.");
        }
        for (size_t i = 0; r == 0 && i < list.records.length; i++)
                r = need_chunks_of(pruning, list.records.items[i], err);
        return r;
}

/* ---- packs ---- */

static Pack *pack_of(Pruning *pruning, const char *id)
{
        Pack *pack = pruning->packs.length ? &pruning->packs.items[pruning->packs.length - 1] : NULL;

        if (pack && streq(pack->id, id)) /* the list is sorted: ".index" and ".pack" come one after the other */
                return pack;
        pack = vector_add_zero(&pruning->packs);
        pack->id = xstrdup(id);
        return pack;
}

static int list_packs(Pruning *pruning, Error **err)
{
        Storage *storage = pruning->repository->storage;
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = storage->operations->list(storage, "packs", &list, err);

        VECTOR_FOREACH(entry, &list.entries) {
                const char *name = entry->key + strlen("packs/"), *dot = strchr(name, '.');
                _cleanup_free_ char *id = dot ? xstrndup(name, (size_t)(dot - name)) : NULL;

                if (dot && streq(dot, ".pack")) {
                        Pack *pack = pack_of(pruning, id);
                        pack->has_pack = true;
                        pack->pack_bytes = entry->size_bytes;
                } else if (dot && streq(dot, ".index")) {
                        Pack *pack = pack_of(pruning, id);
                        pack->has_index = true;
                        pack->index_bytes = entry->size_bytes;
                }
        }
        return r;
}

typedef struct Sorting {
        Pruning *pruning;
        Pack *pack;
} Sorting;

/* A chunk that is in two packs (a rewriting was interrupted) lives where the index of all chunks finds it. */
static void sort_line(void *context, const ChunkId *id, const ChunkPlace *place)
{
        Sorting *sorting = context;
        const ChunkPlace *found = chunk_index_find(&sorting->pruning->all, id);

        if (!chunk_index_find(&sorting->pruning->needed, id))
                return;
        sorting->pack->kept |= !found; /* it is cut off or gone: not for us to tidy away */
        if (!found || found->pack != sorting->pack->number || found->offset != place->offset)
                return;
        vector_add(&sorting->pack->live, *id);
        sorting->pack->live_bytes += place->stored_bytes;
}

static int sort_pack(Pruning *pruning, Pack *pack, Error **err)
{
        _cleanup_free_ char *key = xasprintf("packs/%s.index", pack->id);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r = storage_get(pruning->repository->storage, key, CHUNK_INDEX_LIMIT, &text, err);

        pack->number = chunk_index_add_pack(&pruning->all, pack->id);
        if (r == 0)
                r = chunk_lines_parse(strbuf_text(&text), text.length, sort_line, &(Sorting){ pruning, pack }, err);
        return r;
}

static int remove_pack(Pruning *pruning, const Pack *pack, Error **err)
{
        _cleanup_free_ char *key = xasprintf("packs/%s.pack", pack->id), *index = xasprintf("packs/%s.index", pack->id);
        int r = pack->has_index ? remove_object(pruning, index, pack->index_bytes, err) : 0;

        return r < 0 || !pack->has_pack ? r : remove_object(pruning, key, pack->pack_bytes, err);
}

/* What is not needed goes, what is half empty is left for rewriting. */
static int look_through(Pruning *pruning, Error **err)
{
        VECTOR_FOREACH(pack, &pruning->packs) {
                int r = pack->has_index ? sort_pack(pruning, pack, err) : 0;

                if (r < 0)
                        return r;
                pack->kept |= pack->live_bytes * 2 > pack->pack_bytes;
                if (pack->kept || pack->live.length)
                        continue;
                r = remove_pack(pruning, pack, err);
                if (r < 0)
                        return r;
                if (pack->has_index && pack->has_pack)
                        pruning->report->packs_removed++;
                else
                        pruning->report->leftovers++;
        }
        return 0;
}

/* ---- rewriting ---- */

static int move_chunk(Pruning *pruning, PackWriter *writer, PackScratch *scratch, const ChunkId *id, void *buffer,
                      Error **err)
{
        const ChunkPlace *place = chunk_index_find(&pruning->all, id);
        uint32_t raw_bytes = place->raw_bytes, crc32c = place->crc32c;
        ChunkId same;
        int r;

        if (raw_bytes > pruning->repository->chunk_bytes)
                return error_set(err, ERROR_CORRUPT, "packs/%s.index is damaged", pruning->all.packs[place->pack]);
        r = pack_read_chunk(pruning->repository->storage, &pruning->all, id, scratch, buffer, err);
        return r < 0 ? r : pack_writer_add(writer, scratch, buffer, raw_bytes, crc32c, &same, err);
}

static int move_chunks(Pruning *pruning, PackWriter *writer, Error **err)
{
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        _cleanup_free_ void *buffer = xmalloc(pruning->repository->chunk_bytes);

        VECTOR_FOREACH(pack, &pruning->packs) {
                if (pack->kept)
                        continue;
                VECTOR_FOREACH(id, &pack->live) {
                        _cleanup_error_ Error *damage = NULL;
                        int r;

                        if (progress_cancelled(pruning->progress))
                                return error_set(err, ERROR_CANCELLED, "cancelled");
                        r = move_chunk(pruning, writer, scratch, id, buffer, &damage);
                        if (r == -ERROR_CORRUPT) { /* what is damaged is not made to vanish */
                                pack->kept = true;
                                progress_warning(pruning->progress, damage->message);
                                break;
                        }
                        if (r < 0)
                                return error_move(err, &damage, r);
                }
        }
        return 0;
}

static bool anything_to_rewrite(const Pruning *pruning)
{
        VECTOR_FOREACH(pack, &pruning->packs)
                if (pack->live.length && !pack->kept)
                        return true;
        return false;
}

static int rewrite(Pruning *pruning, Error **err)
{
        _cleanup_chunk_index_ ChunkIndex moved = { 0 };
        _cleanup_(pack_writer_freep) PackWriter *writer = NULL;
        PackTotals totals;
        int r;

        if (!anything_to_rewrite(pruning))
                return 0;
        writer = pack_writer_create(pruning->repository, &moved, REWRITE_LEVEL);
        r = move_chunks(pruning, writer, err);
        if (r == 0)
                r = pack_writer_finish(writer, &totals, err);
        if (r < 0)
                return r;
        VECTOR_FOREACH(pack, &pruning->packs) {
                if (!pack->live.length || pack->kept)
                        continue;
                r = remove_pack(pruning, pack, err);
                if (r < 0)
                        return r;
                pruning->report->packs_rewritten++;
        }
        pruning->report->freed_bytes -= MIN(pruning->report->freed_bytes, totals.new_stored_bytes);
        return 0;
}

/* ---- leftovers ---- */

/* Lists of files without a record: a backup that was not finished, or a removal. */
static int remove_lists(Pruning *pruning, Error **err)
{
        Storage *storage = pruning->repository->storage;
        _cleanup_storage_list_ StorageList list = { 0 };
        int r = storage->operations->list(storage, "backups", &list, err);

        for (size_t i = 0; r == 0 && i < list.entries.length; i++) {
                const StorageEntry *entry = &list.entries.items[i];
                const char *previous =
                        i ? list.entries.items[i - 1].key : ""; /* "backup.json" sorts before "files.zst" */
                size_t folder = strlen(entry->key) - strlen("files.zst");

                if (!endswith(entry->key, "/files.zst") ||
                    (strncmp(previous, entry->key, folder) == 0 && streq(previous + folder, "backup.json")))
                        continue;
                r = remove_object(pruning, entry->key, entry->size_bytes, err);
                pruning->report->leftovers++;
        }
        return r;
}

int prune_chunks(Repository *repository, const WorkProgress *progress, PruneReport *report, Error **err)
{
        _cleanup_(pruning_done) Pruning pruning = { .repository = repository, .progress = progress, .report = report };
        Storage *storage = repository->storage;
        int r = load_needed(&pruning, err);

        if (r == 0)
                r = remove_lists(&pruning, err);
        if (r == 0)
                r = chunk_index_load(&pruning.all, storage, err);
        if (r == 0)
                r = list_packs(&pruning, err);
        if (r == 0)
                r = look_through(&pruning, err);
        if (r == 0)
                r = rewrite(&pruning, err);
        if (r == 0)
                r = storage->operations->sweep(storage, clock_realtime_ns() - SWEEP_AGE_NS, err);
        return error_prefix(err, r, "prune");
}
