#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/receiver_private.h"

#define FILER_NICE  10 /* compressing can wait, commits cannot */
#define STACK_BYTES (512u << 10)

struct Filer {
        Repository *repository;
        uint32_t segment_bytes;
        pthread_t thread;
        pthread_mutex_t lock; /* of all below */
        pthread_cond_t posted;
        char **names; /* in order */
        bool ending;
        int result;
        Error *error;
};

static char *take_name(Filer *filer)
{
        char *name = NULL;

        pthread_mutex_lock(&filer->lock);
        while (!filer->names && !filer->ending)
                pthread_cond_wait(&filer->posted, &filer->lock);
        if (filer->names) {
                name = xstrdup(filer->names[0]);
                strv_remove(filer->names, name);
                if (!filer->names[0])
                        filer->names = strv_free(filer->names);
        }
        pthread_mutex_unlock(&filer->lock);
        return name;
}

static void note_failure(Filer *filer, int result, Error **error)
{
        pthread_mutex_lock(&filer->lock);
        if (filer->result == 0) {
                filer->result = result;
                filer->error = TAKE_PTR(*error);
        }
        pthread_mutex_unlock(&filer->lock);
}

/* What cannot be filed now (a full disk) stays as it is, whole and synced, and is filed by the next receiver. */
static void *work(void *context)
{
        Filer *filer = context;

        setpriority(PRIO_PROCESS, 0, FILER_NICE); /* of this thread */
        for (;;) {
                _cleanup_free_ char *name = take_name(filer);
                _cleanup_error_ Error *error = NULL;
                int r;

                if (!name)
                        return NULL;
                r = wal_file_segment(filer->repository, name, filer->segment_bytes, &error);
                if (r < 0)
                        note_failure(filer, r, &error);
                malloc_trim(0);
        }
}

int filer_create(Repository *repository, uint32_t segment_bytes, Filer **ret, Error **err)
{
        Filer *filer = xnew(Filer);
        pthread_attr_t attributes;
        int error_number;

        filer->repository = repository;
        filer->segment_bytes = segment_bytes;
        pthread_mutex_init(&filer->lock, NULL);
        pthread_cond_init(&filer->posted, NULL);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        error_number = pthread_create(&filer->thread, &attributes, work, filer);
        pthread_attr_destroy(&attributes);
        if (error_number) {
                free(filer);
                return error_set_errno(err, error_number, "start a thread");
        }
        *ret = filer;
        return 0;
}

void filer_free(Filer *filer)
{
        if (!filer)
                return;
        pthread_mutex_lock(&filer->lock);
        filer->ending = true;
        pthread_cond_signal(&filer->posted);
        pthread_mutex_unlock(&filer->lock);
        pthread_join(filer->thread, NULL);
        strv_free(filer->names);
        error_free(filer->error);
        pthread_cond_destroy(&filer->posted);
        pthread_mutex_destroy(&filer->lock);
        free(filer);
}

void filer_post(Filer *filer, const char *name)
{
        pthread_mutex_lock(&filer->lock);
        strv_add(&filer->names, name);
        pthread_cond_signal(&filer->posted);
        pthread_mutex_unlock(&filer->lock);
}

int filer_error(Filer *filer, Error **err)
{
        int r;

        pthread_mutex_lock(&filer->lock);
        r = filer->result;
        filer->result = 0;
        if (r < 0)
                error_move(err, &filer->error, r);
        pthread_mutex_unlock(&filer->lock);
        return r;
}

/* Sorted by place, the complete one before the partial one of the same name. */
int filer_take_over(Filer *filer, Error **err)
{
        _cleanup_wal_list_ WalList list = { 0 };
        const WalSegment *before = NULL;
        int r = wal_list_load(filer->repository, filer->segment_bytes, &list, err);

        VECTOR_FOREACH(segment, &list.segments) {
                _cleanup_free_ char *path = wal_partial_path(filer->repository, segment->name);

                if (r < 0)
                        break;
                if (segment->partial && before && streq(before->name, segment->name))
                        r = fs_remove_tree(AT_FDCWD, path, err);
                else if (segment->partial && segment->stored_bytes == filer->segment_bytes)
                        filer_post(filer, segment->name);
                before = segment;
        }
        return r;
}
