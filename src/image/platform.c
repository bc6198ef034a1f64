#include "image/platform.h"

#include <sys/utsname.h>

#include "base/mem.h"
#include "base/strv.h"

char *platform_of_machine(void)
{
        static const char *const names[][2] = {
                { "x86_64", "amd64" },
                { "aarch64", "arm64" },
                { "i686", "386" },
                { "armv7l", "arm/v7" },
        };
        struct utsname machine;

        uname(&machine);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(machine.machine, names[i][0]))
                        return xasprintf("linux/%s", names[i][1]);
        return xasprintf("linux/%s", machine.machine);
}

bool platform_fits(const char *have, const char *wanted)
{
        const char *rest = startswith(have, wanted);

        return rest && (*rest == '\0' || *rest == '/');
}

bool platform_serves(const char *have, const char *wanted)
{
        return isempty(have) || strstr(have, "unknown") || platform_fits(have, wanted) || platform_fits(wanted, have);
}
