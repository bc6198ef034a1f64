#include "operate/chunk_pipeline.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"
#include "postgres/crc32c.h"

#define MAX_THREADS 4
#define BUFFERS     64

typedef struct ChunkJob {
        char *buffer;
        size_t size;
        ChunkId *ret_id;
        uint32_t *ret_crc32c;
} ChunkJob;

struct ChunkPipeline {
        PackWriter *writer;
        pthread_mutex_t lock;
        pthread_cond_t posted, freed;
        ChunkJob jobs[BUFFERS]; /* a ring of what waits */
        size_t first, n_jobs;
        char *free_buffers[BUFFERS];
        size_t n_free;
        bool ending;
        int result; /* of the first thread that failed */
        Error *error;
        pthread_t threads[MAX_THREADS];
        unsigned n_threads;
        char *memory;
};

/* One, or two where two are waiting: names are cheaper in pairs. 0: there will be none. */
static size_t take_jobs(ChunkPipeline *pipeline, ChunkJob ret[2])
{
        size_t n = 0;

        pthread_mutex_lock(&pipeline->lock);
        while (!pipeline->n_jobs && !pipeline->ending)
                pthread_cond_wait(&pipeline->posted, &pipeline->lock);
        for (; n < 2 && pipeline->n_jobs > 0 && !(pipeline->ending && pipeline->result < 0); n++) {
                ret[n] = pipeline->jobs[pipeline->first];
                pipeline->first = (pipeline->first + 1) % BUFFERS;
                pipeline->n_jobs--;
        }
        pthread_mutex_unlock(&pipeline->lock);
        return n;
}

static void give_back(ChunkPipeline *pipeline, char *buffer, int result, Error **error)
{
        pthread_mutex_lock(&pipeline->lock);
        pipeline->free_buffers[pipeline->n_free++] = buffer;
        if (result < 0 && pipeline->result == 0) {
                pipeline->result = result;
                pipeline->error = TAKE_PTR(*error);
        }
        pthread_cond_signal(&pipeline->freed);
        pthread_mutex_unlock(&pipeline->lock);
}

static void store(ChunkPipeline *pipeline, const ChunkJob *job, PackScratch *scratch)
{
        _cleanup_error_ Error *error = NULL;
        int r;

        *job->ret_crc32c = crc32c(job->buffer, job->size);
        r = pack_writer_add_named(pipeline->writer, scratch, job->buffer, job->size, *job->ret_crc32c, job->ret_id,
                                  &error);
        give_back(pipeline, job->buffer, r, &error);
}

static void *work(void *context)
{
        _cleanup_(pack_scratch_freep) PackScratch *scratch = pack_scratch_create();
        ChunkPipeline *pipeline = context;
        ChunkJob jobs[2];

        for (size_t n; (n = take_jobs(pipeline, jobs)) > 0;) {
                const Sha256Piece pieces[2] = { { jobs[0].buffer, jobs[0].size },
                                                { jobs[n - 1].buffer, jobs[n - 1].size } };

                chunk_ids_compute(pieces, n, (ChunkId *[]){ jobs[0].ret_id, jobs[n - 1].ret_id });
                for (size_t i = 0; i < n; i++)
                        store(pipeline, &jobs[i], scratch);
        }
        return NULL;
}

static void end_threads(ChunkPipeline *pipeline)
{
        pthread_mutex_lock(&pipeline->lock);
        pipeline->ending = true;
        pthread_cond_broadcast(&pipeline->posted);
        pthread_mutex_unlock(&pipeline->lock);
        for (; pipeline->n_threads > 0; pipeline->n_threads--)
                pthread_join(pipeline->threads[pipeline->n_threads - 1], NULL);
}

int chunk_pipeline_create(PackWriter *writer, unsigned threads, uint32_t chunk_bytes, ChunkPipeline **ret, Error **err)
{
        _cleanup_(chunk_pipeline_freep) ChunkPipeline *pipeline = xnew(ChunkPipeline);
        long processors = sysconf(_SC_NPROCESSORS_ONLN);

        pipeline->writer = writer;
        pthread_mutex_init(&pipeline->lock, NULL);
        pthread_cond_init(&pipeline->posted, NULL);
        pthread_cond_init(&pipeline->freed, NULL);
        pipeline->memory = xmalloc((size_t)BUFFERS * chunk_bytes);
        for (size_t i = 0; i < BUFFERS; i++)
                pipeline->free_buffers[pipeline->n_free++] = pipeline->memory + i * chunk_bytes;
        threads = MIN(threads ? threads : (unsigned)MAX(processors, 1), (unsigned)MAX_THREADS);
        for (; pipeline->n_threads < threads; pipeline->n_threads++)
                if (pthread_create(&pipeline->threads[pipeline->n_threads], NULL, work, pipeline) != 0)
                        return error_set(err, ERROR_INTERNAL, "start a thread");
        *ret = TAKE_PTR(pipeline);
        return 0;
}

void chunk_pipeline_free(ChunkPipeline *pipeline)
{
        if (!pipeline)
                return;
        pthread_mutex_lock(&pipeline->lock);
        pipeline->n_jobs = 0;
        pthread_mutex_unlock(&pipeline->lock);
        end_threads(pipeline);
        error_free(pipeline->error);
        free(pipeline->memory);
        pthread_cond_destroy(&pipeline->posted);
        pthread_cond_destroy(&pipeline->freed);
        pthread_mutex_destroy(&pipeline->lock);
        free(pipeline);
}

char *chunk_pipeline_buffer(ChunkPipeline *pipeline)
{
        char *buffer = NULL;

        pthread_mutex_lock(&pipeline->lock);
        while (!pipeline->n_free && pipeline->result == 0)
                pthread_cond_wait(&pipeline->freed, &pipeline->lock);
        if (pipeline->result == 0)
                buffer = pipeline->free_buffers[--pipeline->n_free];
        pthread_mutex_unlock(&pipeline->lock);
        return buffer;
}

void chunk_pipeline_post(ChunkPipeline *pipeline, char *buffer, size_t size, ChunkId *ret_id, uint32_t *ret_crc32c)
{
        pthread_mutex_lock(&pipeline->lock);
        pipeline->jobs[(pipeline->first + pipeline->n_jobs++) % BUFFERS] =
                (ChunkJob){ buffer, size, ret_id, ret_crc32c };
        pthread_cond_signal(&pipeline->posted);
        pthread_mutex_unlock(&pipeline->lock);
}

int chunk_pipeline_finish(ChunkPipeline *pipeline, Error **err)
{
        end_threads(pipeline);
        return error_move(err, &pipeline->error, pipeline->result);
}
