#include "image/icu.h"

#include <string.h>

#include "base/mem.h"
#include "base/strv.h"

const char *const icu_folders[] = { "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib",
                                    NULL };

char *icu_version_among(char *const *names)
{
        STRV_FOREACH(name, names) {
                const char *version = startswith(*name, "libicuuc.so.");
                size_t digits = version ? strspn(version, "0123456789") : 0;

                if (digits && !version[digits]) /* a longer name is a minor version's */
                        return xstrdup(version);
        }
        return NULL;
}
