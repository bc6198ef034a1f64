#include "image/store.h"

#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"
#include "image/host.h"
#include "image/index.h"
#include "image/reference.h"
#include "state/document.h"

#define SHORT_ID_LENGTH 12

/* The digits of an id or of its beginning, without "sha256:"; NULL where text cannot be one. */
static const char *id_digits(const char *text)
{
        const char *rest = startswith(text, "sha256:");
        const char *digits = rest ? rest : text;
        size_t length = strlen(digits);

        if (length < SHORT_ID_LENGTH || length > 64 || strspn(digits, "0123456789abcdef") != length)
                return NULL;
        return digits;
}

static int id_is_ambiguous(const char *reference, Error **err)
{
        return error_set(err, ERROR_CONFLICT, "more than one image has an id that begins with \"%s\"", reference);
}

static int find_by_id(const Layout *layout, const json_t *index, const char *reference, Image **ret, Error **err)
{
        const char *digits = id_digits(reference), *id, *found = NULL;
        json_t *entry;

        if (!digits)
                return -ERROR_NOT_FOUND;
        json_object_foreach(json_object_get(index, "images"), id, entry) {
                if (!digest_is_valid(id) || !startswith(digest_hex(id), digits))
                        continue;
                if (found)
                        return id_is_ambiguous(reference, err);
                found = id;
        }
        if (found)
                return store_image_load(layout, index, found, ret, err);
        return host_image_find_by_id(layout, digits, ret, err);
}

/* By name, or by repository digest where the reference has one: then the tag does not matter. */
static int find_by_name(const Layout *layout, const json_t *index, const Reference *reference, Image **ret, Error **err)
{
        _cleanup_free_ char *repository = reference_repository_name(reference);
        _cleanup_free_ char *name = xasprintf("%s:%s", repository, reference->tag ? reference->tag : "latest");
        _cleanup_free_ char *digest = NULL;
        const char *id = json_get_string(json_object_get(index, "names"), name, NULL);
        json_t *entry;

        if (!reference->digest)
                return id ? store_image_load(layout, index, id, ret, err) : -ERROR_NOT_FOUND;
        digest = xasprintf("%s@%s", repository, reference->digest);
        json_object_foreach(json_object_get(index, "images"), id, entry) {
                _cleanup_strv_ char **digests = json_get_strv(entry, "digests");

                if (strv_contains(digests, digest))
                        return store_image_load(layout, index, id, ret, err);
        }
        return -ERROR_NOT_FOUND;
}

static int find_parsed(const Layout *layout, const json_t *index, const Reference *reference, ImagePolicy policy,
                       Image **ret, Error **err)
{
        _cleanup_error_ Error *host_error = NULL;
        int r;

        if (policy == IMAGES_HOST) {
                r = host_image_find(layout, reference, policy, ret, err);
                if (r != -ERROR_UNSUPPORTED)
                        return r;
        }
        r = find_by_name(layout, index, reference, ret, err);
        if (r != -ERROR_NOT_FOUND || policy != IMAGES_AUTO)
                return r;
        r = host_image_find(layout, reference, policy, ret, &host_error);
        if (r == -ERROR_UNSUPPORTED)
                return -ERROR_NOT_FOUND;
        return error_move(err, &host_error, r);
}

static int not_found(const char *reference, Error **err)
{
        int r = error_set(err, ERROR_NOT_FOUND, "image \"%s\" is not in the store", reference);

        return error_hint(err, r, "Pull it with `berth pull`, or load it with `berth image load`.");
}

/* How a name is looked up is the only thing in which the two ways of finding differ. */
typedef int (*NameFinder)(const Layout *layout, const json_t *index, const Reference *reference, ImagePolicy policy,
                          Image **ret, Error **err);

static int find(const Layout *layout, const char *reference, NameFinder by_name, ImagePolicy policy, Image **ret,
                Error **err)
{
        _cleanup_error_ Error *malformed = NULL, *failure = NULL;
        _cleanup_reference_ Reference parsed = { 0 };
        _cleanup_json_ json_t *index = NULL;
        int r;

        r = store_index_load(layout, &index, err);
        if (r < 0)
                return r;
        r = reference_parse(reference, &parsed, &malformed);
        if (r < 0 && !id_digits(reference))
                return error_move(err, &malformed, r);
        r = r == 0 ? by_name(layout, index, &parsed, policy, ret, &failure) : -ERROR_NOT_FOUND;
        if (r == -ERROR_NOT_FOUND && id_digits(reference))
                r = find_by_id(layout, index, reference, ret, &failure);
        if (r == -ERROR_NOT_FOUND && !failure)
                return not_found(reference, err);
        if (r < 0)
                return error_move(err, &failure, r);
        free_and_replace(&(*ret)->reference, xstrdup(reference));
        if ((*ret)->source == IMAGE_SOURCE_STORE)
                free_and_replace(&(*ret)->source_line,
                                 xasprintf("%s from the store (%.12s)", reference, digest_hex((*ret)->id)));
        return 0;
}

int image_find(const Layout *layout, const char *reference, ImagePolicy policy, Image **ret, Error **err)
{
        return find(layout, reference, find_parsed, policy, ret, err);
}

static int find_made(const Layout *layout, const json_t *index, const Reference *reference, ImagePolicy policy,
                     Image **ret, Error **err)
{
        _cleanup_free_ char *name = reference_text(reference);
        ImageVector images = { 0 };
        int r = find_by_name(layout, index, reference, ret, err);

        if (r != -ERROR_NOT_FOUND)
                return r;
        host_image_list(layout, &images);
        VECTOR_FOREACH(item, &images) {
                /* Of several, the one that the packages of now give. */
                if (strv_contains((*item)->names, name) && (r != 0 || host_image_is_current(layout, *item))) {
                        if (r == 0)
                                image_free(*ret);
                        *ret = *item;
                        r = 0;
                } else {
                        image_free(*item);
                }
        }
        vector_done(&images);
        return r;
}

int image_find_made(const Layout *layout, const char *reference, Image **ret, Error **err)
{
        return find(layout, reference, find_made, IMAGES_AUTO, ret, err);
}

bool image_policy_from_name(const char *name, ImagePolicy *ret)
{
        static const char *const names[] = {
                [IMAGES_AUTO] = "auto", [IMAGES_HOST] = "host", [IMAGES_REGISTRY] = "registry"
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(name, names[i])) {
                        *ret = (ImagePolicy)i;
                        return true;
                }
        return false;
}

static int compare_by_name(const void *a, const void *b)
{
        const Image *left = *(Image *const *)a, *right = *(Image *const *)b;
        const char *left_name = left->names ? left->names[0] : "~", *right_name = right->names ? right->names[0] : "~";
        int order = strcmp(left_name, right_name);

        return order ? order : strcmp(left->id, right->id);
}

int image_list(const Layout *layout, Image ***ret, size_t *ret_length, Error **err)
{
        _cleanup_json_ json_t *index = NULL;
        ImageVector images = { 0 };
        const char *id;
        json_t *entry;
        int r;

        r = store_index_load(layout, &index, err);
        if (r < 0)
                return r;
        json_object_foreach(json_object_get(index, "images"), id, entry) {
                Image *image = NULL;

                /* One that is broken, or removed meanwhile, does not hide the others. */
                if (digest_is_valid(id) && store_image_load(layout, index, id, &image, NULL) == 0)
                        vector_add(&images, image);
        }
        host_image_list(layout, &images);
        if (images.length > 0)
                qsort(images.items, images.length, sizeof(*images.items), compare_by_name);
        *ret = images.items;
        *ret_length = images.length;
        return 0;
}

void image_list_free(Image **images, size_t length)
{
        for (size_t i = 0; i < length; i++)
                image_free(images[i]);
        free(images);
}
