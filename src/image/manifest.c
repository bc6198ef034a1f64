#include "image/manifest.h"

#include "base/mem.h"
#include "base/strv.h"
#include "image/platform.h"
#include "image/reference.h"
#include "state/document.h"

#define LAYERS_MAX 1000

void manifest_done(Manifest *manifest)
{
        free(manifest->config_digest);
        VECTOR_FOREACH(layer, &manifest->layers)
                free(layer->digest);
        vector_done(&manifest->layers);
}

bool manifest_is_list(const json_t *json)
{
        return json_is_array(json_object_get(json, "manifests"));
}

static int parse_layers(const json_t *layers, Manifest *manifest, Error **err)
{
        const json_t *item;
        size_t i;

        if (json_array_size(layers) > LAYERS_MAX)
                return error_set(err, ERROR_INVALID, "manifest: more than %d layers", LAYERS_MAX);
        json_array_foreach((json_t *)layers, i, item) {
                const char *digest = json_get_string(item, "digest", "");
                int64_t size = json_get_int(item, "size", 0);

                if (!digest_is_valid(digest) || size < 0)
                        return error_set(err, ERROR_INVALID, "manifest: layer %zu has no sha256 digest", i);
                vector_add(&manifest->layers, (ManifestBlob){ xstrdup(digest), (uint64_t)size });
                manifest->size_bytes += (uint64_t)size;
        }
        return 0;
}

int manifest_parse(const json_t *json, Manifest *ret, Error **err)
{
        _cleanup_manifest_ Manifest manifest = { 0 };
        const json_t *config = json_object_get(json, "config");
        const char *digest = json_get_string(config, "digest", "");
        int r;

        if (json_get_int(json, "schemaVersion", 0) != 2)
                return error_set(err, ERROR_UNSUPPORTED, "manifest: schema version %lld is not supported",
                                 (long long)json_get_int(json, "schemaVersion", 0));
        if (!digest_is_valid(digest))
                return error_set(err, ERROR_INVALID, "manifest: the configuration has no sha256 digest");
        if (!endswith(json_get_string(config, "mediaType", "+json"), "+json"))
                return error_set(err, ERROR_UNSUPPORTED, "manifest: a \"%.100s\" is no image",
                                 json_get_string(config, "mediaType", ""));
        r = parse_layers(json_object_get(json, "layers"), &manifest, err);
        if (r < 0)
                return r;
        manifest.config_digest = xstrdup(digest);
        *ret = manifest;
        manifest = (Manifest){ 0 };
        return 0;
}

static char *platform_of_entry(const json_t *entry)
{
        const json_t *platform = json_object_get(entry, "platform");
        const char *variant = json_get_string(platform, "variant", "");

        return xasprintf("%s/%s%s%s", json_get_string(platform, "os", "unknown"),
                         json_get_string(platform, "architecture", "unknown"), *variant ? "/" : "", variant);
}

int manifest_select(const json_t *list, const char *platform, char **ret_digest, Error **err)
{
        _cleanup_free_ char *own = platform ? NULL : platform_of_machine(), *names = NULL;
        const char *wanted = platform ? platform : own;
        _cleanup_strv_ char **there = NULL;
        const json_t *entries = json_object_get(list, "manifests"), *item;
        size_t i;

        json_array_foreach((json_t *)entries, i, item) {
                _cleanup_free_ char *have = platform_of_entry(item);
                const char *digest = json_get_string(item, "digest", "");
                /* A layout of one image often does not say its platform. */
                bool fits = platform_fits(have, wanted) ||
                            (json_array_size(entries) == 1 && !json_object_get(item, "platform"));

                if (fits && digest_is_valid(digest)) {
                        *ret_digest = xstrdup(digest);
                        return 0;
                }
                if (!strstr(have, "unknown") && !strv_contains(there, have))
                        strv_take(&there, TAKE_PTR(have));
        }
        names = there ? strv_join(there, ", ") : xstrdup("none");
        return error_set(err, ERROR_NOT_FOUND, "there is no image for platform %s (there are: %s)", wanted, names);
}
