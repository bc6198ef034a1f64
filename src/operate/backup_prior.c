#include "operate/backup_prior.h"

#include "base/mem.h"
#include "base/strv.h"
#include "repository/verify.h"

#define MANIFEST_NAME "backup_manifest"

void prior_backup_free(PriorBackup *prior)
{
        if (!prior)
                return;
        backup_record_free(prior->record);
        file_list_done(&prior->list);
        strmap_done(&prior->by_path);
        chunk_index_done(&prior->index);
        pack_scratch_free(prior->scratch);
        strbuf_done(&prior->manifest);
        free(prior);
}

const ListedFile *prior_backup_file(const PriorBackup *prior, const char *path)
{
        return strmap_get(&prior->by_path, path);
}

size_t prior_chunk_size(const PriorBackup *prior, uint64_t size_bytes, size_t n)
{
        uint64_t start = (uint64_t)n * prior->repository->chunk_bytes;

        return start >= size_bytes ? 0 : (size_t)MIN(size_bytes - start, (uint64_t)prior->repository->chunk_bytes);
}

int prior_backup_read(const PriorBackup *prior, const ListedFile *file, size_t n, void *buffer, Error **err)
{
        const ChunkPlace *place = chunk_index_find(&prior->index, &file->chunks[n]);

        if (place && place->raw_bytes != prior_chunk_size(prior, file->size_bytes, n))
                return error_set(err, ERROR_CORRUPT, "\"%s\" has a chunk of the wrong size in backup %s", file->path,
                                 prior->record->id);
        return pack_read_chunk(prior->repository->storage, &prior->index, &file->chunks[n], prior->scratch, buffer,
                               err);
}

/* False where the repository has lost one of them. */
static bool take_places(PriorBackup *prior, const ChunkIndex *index)
{
        VECTOR_FOREACH(file, &prior->list.files)
                for (size_t i = 0; i < (*file)->n_chunks; i++) {
                        const ChunkPlace *place = chunk_index_find(index, &(*file)->chunks[i]);
                        ChunkPlace own;

                        if (!place || place->pack == CHUNK_IN_WORK)
                                return false;
                        own = *place;
                        own.pack = chunk_index_add_pack(&prior->index, index->packs[place->pack]);
                        chunk_index_put(&prior->index, &(*file)->chunks[i], &own);
                }
        return true;
}

static int read_manifest(PriorBackup *prior, Error **err)
{
        const ListedFile *file = prior_backup_file(prior, MANIFEST_NAME);
        _cleanup_free_ char *buffer = xmalloc(prior->repository->chunk_bytes);

        for (size_t i = 0; file && i < file->n_chunks; i++) {
                int r = prior_backup_read(prior, file, i, buffer, err);

                if (r < 0)
                        return r;
                strbuf_add(&prior->manifest, buffer, prior_chunk_size(prior, file->size_bytes, i));
        }
        return 0;
}

static bool is_damaged(Repository *repository, const char *id)
{
        _cleanup_verify_report_ VerifyReport report = { 0 };

        return verify_report_load(repository, &report, NULL) == 0 && strv_contains(report.damaged, id);
}

static int load(Repository *repository, const ChunkIndex *index, BackupRecord **record, PriorBackup **ret, Error **err)
{
        _cleanup_(prior_backup_freep) PriorBackup *prior = xnew(PriorBackup);
        int r;

        *prior = (PriorBackup){ .repository = repository,
                                .record = TAKE_PTR(*record),
                                .scratch = pack_scratch_create() };
        r = file_list_read(repository, prior->record->id, prior->record->files_sha256, &prior->list, err);
        if (r < 0)
                return r;
        VECTOR_FOREACH(file, &prior->list.files)
                if ((*file)->type == 'f')
                        strmap_set(&prior->by_path, (*file)->path, *file);
        if (!take_places(prior, index))
                return 0;
        r = read_manifest(prior, err);
        if (r == 0 && prior->manifest.length)
                *ret = TAKE_PTR(prior);
        return r;
}

int prior_backup_find(Repository *repository, const ChunkIndex *index, uint32_t timeline, PriorBackup **ret,
                      Error **err)
{
        _cleanup_backup_list_ BackupList list = { 0 };
        int r = backup_list_load(repository, &list, err);

        *ret = NULL;
        if (r < 0 || !list.records.length || repository->chunk_bytes % BACKUP_BLOCK_BYTES != 0)
                return r;
        for (size_t i = list.records.length; i-- > 0;) {
                BackupRecord **record = &list.records.items[i];

                if ((*record)->timeline == timeline && !is_damaged(repository, (*record)->id))
                        return load(repository, index, record, ret, err);
        }
        return 0;
}
