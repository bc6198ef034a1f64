#include "engine/local/limits.h"

#include <strings.h>
#include <sys/resource.h>

#include "base/mem.h"

static const struct {
        const char *name;
        int resource;
} limits[] = {
        { "as", RLIMIT_AS },           { "core", RLIMIT_CORE },         { "cpu", RLIMIT_CPU },
        { "data", RLIMIT_DATA },       { "fsize", RLIMIT_FSIZE },       { "locks", RLIMIT_LOCKS },
        { "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
        { "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },       { "rss", RLIMIT_RSS },
        { "rtprio", RLIMIT_RTPRIO },   { "rttime", RLIMIT_RTTIME },     { "sigpending", RLIMIT_SIGPENDING },
        { "stack", RLIMIT_STACK },
};

int limit_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (strcasecmp(limits[i].name, name) == 0)
                        return limits[i].resource;
        return -1;
}

int limit_from_type(const char *type)
{
        const char *name = startswith(type, "RLIMIT_");

        return name ? limit_from_name(name) : -1;
}
