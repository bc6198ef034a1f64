/* References: what is accepted must come out the same when it is parsed again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"
#include "image/reference.h"
#include "image/store.h"

static void fault(const char *text, const char *once, const char *twice)
{
        fprintf(stderr, "\"%s\" gave \"%s\", then \"%s\"\n", text, once, twice ? twice : "an error");
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = xstrndup((const char *)data, size), *once = NULL, *twice = NULL, *familiar = NULL;

        if (image_reference_normalize(text, &once, NULL) < 0)
                return 0;
        if (image_reference_normalize(once, &twice, NULL) < 0 || !streq(once, twice))
                fault(text, once, twice);
        familiar = reference_familiar(once);
        free_and_replace(&twice, NULL);
        if (image_reference_normalize(familiar, &twice, NULL) < 0 || !streq(once, twice))
                fault(text, once, twice);
        return 0;
}
