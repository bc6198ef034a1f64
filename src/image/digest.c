#include "image/digest.h"

#include "base/mem.h"
#include "base/parallel.h"
#include "base/sha256.h"
#include "base/strv.h"
#include "image/reference.h"
#include "image/skopeo.h"
#include "state/document.h"

#define ASKED_AT_ONCE 4 /* registries count requests, and each is a process here */

typedef struct Digests {
        const Layout *layout;
        char *const *references;
        const ImageProgress *progress;
        json_t **results;
} Digests;

static int find_digest(const Digests *digests, const char *text, char **ret, Error **err)
{
        Skopeo skopeo = { .layout = digests->layout, .progress = digests->progress, .name = text };
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *source = NULL;
        _cleanup_strbuf_ Strbuf manifest = STRBUF_INIT;
        int r = reference_parse(text, &reference, err);

        if (r < 0)
                return r;
        source = reference_text(&reference);
        r = skopeo_manifest(&skopeo, source, &manifest, err);
        if (r < 0)
                return r;
        *ret = sha256_hex(strbuf_text(&manifest), manifest.length);
        return 0;
}

static void digest_step(void *context, size_t i)
{
        Digests *digests = context;
        _cleanup_error_ Error *error = NULL;
        _cleanup_free_ char *hex = NULL;
        int r = find_digest(digests, digests->references[i], &hex, &error);

        error_prefix(&error, r, "ask for the digest of \"%s\"", digests->references[i]);
        digests->results[i] = r < 0 ? json_pack("{s:o}", "error", json_from_error(error))
                                    : json_pack("{s:s+}", "digest", "sha256:", hex);
}

int image_digests(const Layout *layout, char *const *references, const ImageProgress *progress, json_t **ret,
                  Error **err)
{
        size_t length = strv_length(references);
        _cleanup_free_ json_t **results = xnew_array(json_t *, length + 1);
        Digests digests = { layout, references, progress, results };

        parallel_run(length, ASKED_AT_ONCE, digest_step, &digests);
        *ret = json_array();
        for (size_t i = 0; i < length; i++)
                json_array_append_new(*ret, results[i]);
        if (!progress_cancelled(progress))
                return 0;
        json_decref(*ret);
        return error_set(err, ERROR_CANCELLED, "cancelled");
}
