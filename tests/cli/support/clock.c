/* A clock that tests set: loaded before libc by programs under test and by their containers. $TEST_CLOCK names a file with the
 * seconds (eight bytes) that are added to the real time. What is synced is stamped by it, as a file would be on a machine whose
 * clock was set. Monotonic clocks stay as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *place;

static int64_t offset(void)
{
        const char *path = getenv("TEST_CLOCK");

        if (!place && path) {
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                void *map = fd >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

                if (fd >= 0)
                        close(fd);
                if (map != MAP_FAILED)
                        place = map;
        }
        return place ? *place : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = (int)syscall(SYS_clock_gettime, clock, ret);

        if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                ret->tv_sec += offset();
        return r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        *ret = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
        return 0;
}

time_t time(time_t *ret)
{
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        if (ret)
                *ret = now.tv_sec;
        return now.tv_sec;
}

static void stamp(int fd)
{
        struct timespec now[2];
        struct stat status;

        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return;
        clock_gettime(CLOCK_REALTIME, &now[1]);
        now[0] = now[1];
        futimens(fd, now);
}

int fsync(int fd)
{
        stamp(fd);
        return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
        stamp(fd);
        return (int)syscall(SYS_fdatasync, fd);
}
