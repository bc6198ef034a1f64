/* Platforms as OCI's image-spec has them: "os/architecture[/variant]". */
#ifndef BERTH_IMAGE_PLATFORM_H
#define BERTH_IMAGE_PLATFORM_H

#include "base/macros.h"

/* "linux/amd64": this machine's; owned by the caller. */
char *platform_of_machine(void);
/* "linux/arm64/v8" fits where "linux/arm64" is asked for. */
bool platform_fits(const char *have, const char *wanted);
/* The same for what was chosen already, which may leave its variant, or all, unsaid. */
bool platform_serves(const char *have, const char *wanted);

#endif
