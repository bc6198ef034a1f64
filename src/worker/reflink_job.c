/* reflink {"target", "inside", "directory", "lock"?} → what reflink_copy gives: see operate/reflink.h */
#include "base/fs.h"
#include "operate/reflink.h"
#include "worker/job.h"

int job_reflink(const Job *job, json_t **ret, Error **err)
{
        ReflinkCopy copy = { .target = job_target(job) };
        WorkProgress progress = job_progress(job);
        _cleanup_close_ int lock_fd = -1;
        int r = job_require(job, "inside", &copy.inside, err);

        if (r == 0)
                r = job_require(job, "directory", &copy.directory, err);
        if (r == 0)
                r = job_lock_place(job, &lock_fd, err);
        return r < 0 ? r : reflink_copy(&copy, &progress, ret, err);
}
