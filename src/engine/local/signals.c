#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/parse.h"
#include "engine/local/lifecycle.h"

int signal_from_name(const char *name)
{
        int64_t number;

        if (parse_int64(name, 1, SIGRTMAX, &number))
                return (int)number;
        if (strncasecmp(name, "SIG", 3) == 0)
                name += 3;
        for (int i = 1; i < SIGSYS + 1; i++) {
                const char *abbreviation = sigabbrev_np(i);
                if (abbreviation && strcasecmp(abbreviation, name) == 0)
                        return i;
        }
        if (strncasecmp(name, "RTMIN+", 6) == 0 && parse_int64(name + 6, 0, SIGRTMAX - SIGRTMIN, &number))
                return SIGRTMIN + (int)number;
        if (strncasecmp(name, "RTMAX-", 6) == 0 && parse_int64(name + 6, 0, SIGRTMAX - SIGRTMIN, &number))
                return SIGRTMAX - (int)number;
        return -1;
}
