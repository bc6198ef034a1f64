#include "image/reference.h"

#include <ctype.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "image/store.h"

#define LOWER_HEX  "0123456789abcdef"
#define NAME_LIMIT 255
#define TAG_LIMIT  128

void reference_done(Reference *reference)
{
        free(reference->registry);
        free(reference->repository);
        free(reference->tag);
        free(reference->digest);
        *reference = (Reference){ 0 };
}

bool digest_is_valid(const char *text)
{
        const char *hex = startswith(text, "sha256:");

        return hex && strlen(hex) == 64 && strspn(hex, LOWER_HEX) == 64;
}

const char *digest_hex(const char *digest)
{
        return digest + strlen("sha256:");
}

static bool is_lower_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
        return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* A separator between two runs of letters and digits: one '.', one or two '_', any number of '-'. */
static size_t separator_length(const char *text)
{
        if (*text == '.')
                return 1;
        if (*text == '_')
                return text[1] == '_' ? 2 : 1;
        return strspn(text, "-");
}

static bool component_is_valid(const char *text, size_t length)
{
        const char *end = text + length;

        for (;;) {
                const char *run = text;

                while (text < end && is_lower_alnum(*text))
                        text++;
                if (text == run)
                        return false;
                if (text == end)
                        return true;
                size_t separator = separator_length(text);
                if (separator == 0 || text + separator >= end)
                        return false;
                text += separator;
        }
}

static bool repository_is_valid(const char *text)
{
        for (;;) {
                size_t length = strcspn(text, "/");

                if (!component_is_valid(text, length))
                        return false;
                if (!text[length])
                        return true;
                text += length + 1;
        }
}

static bool host_is_valid(const char *text, size_t length)
{
        const char *end = text + length;

        if (length > 2 && *text == '[')
                return end[-1] == ']' && strspn(text + 1, "0123456789abcdefABCDEF:") == length - 2;
        while (text < end) {
                const char *label = text;

                while (text < end && (is_alnum(*text) || *text == '-'))
                        text++;
                if (text == label || *label == '-' || text[-1] == '-')
                        return false;
                if (text == end)
                        return true;
                if (*text++ != '.')
                        return false;
        }
        return false;
}

static bool registry_is_valid(const char *text)
{
        const char *after = *text == '[' ? strchr(text, ']') : text;
        const char *colon = after ? strchr(after, ':') : NULL;
        size_t length = colon ? (size_t)(colon - text) : strlen(text);

        if (!host_is_valid(text, length))
                return false;
        if (!colon)
                return true;
        length = strspn(colon + 1, "0123456789");
        return length > 0 && length <= 5 && !colon[1 + length];
}

static bool tag_is_valid(const char *text)
{
        size_t length = strlen(text);

        if (length == 0 || length > TAG_LIMIT || !(is_alnum(*text) || *text == '_'))
                return false;
        for (const char *c = text; *c; c++)
                if (!is_alnum(*c) && *c != '_' && *c != '.' && *c != '-')
                        return false;
        return true;
}

/* The first component names a registry when it could not be a part of a repository on Docker's own. */
static bool is_registry(const char *text, size_t length)
{
        if (length == strlen("localhost") && strncmp(text, "localhost", length) == 0)
                return true;
        for (size_t i = 0; i < length; i++)
                if (text[i] == '.' || text[i] == ':' || isupper((unsigned char)text[i]))
                        return true;
        return false;
}

static int refuse(Error **err, const char *text, const char *why)
{
        return error_set(err, ERROR_INVALID, "image reference \"%.*s\": %s", NAME_LIMIT, text, why);
}

/* Cuts "@digest" and ":tag" off name and keeps them. */
static int split_suffixes(const char *text, char *name, Reference *reference, Error **err)
{
        char *at = strchr(name, '@'), *colon;

        if (at) {
                *at = '\0';
                if (!digest_is_valid(at + 1))
                        return refuse(err, text, "the digest is not sha256: and 64 hexadecimal digits");
                reference->digest = xstrdup(at + 1);
        }
        colon = strrchr(name, ':');
        if (colon && !strchr(colon, '/')) {
                *colon = '\0';
                if (!tag_is_valid(colon + 1))
                        return refuse(err, text, "the tag is malformed");
                reference->tag = xstrdup(colon + 1);
        } else if (!at) {
                reference->tag = xstrdup("latest");
        }
        return 0;
}

static void split_registry(const char *name, Reference *reference)
{
        const char *slash = strchr(name, '/');

        if (slash && is_registry(name, (size_t)(slash - name))) {
                reference->registry = xstrndup(name, (size_t)(slash - name));
                name = slash + 1;
        } else {
                reference->registry = xstrdup(REFERENCE_DEFAULT_REGISTRY);
        }
        if (streq(reference->registry, "index.docker.io"))
                free_and_replace(&reference->registry, xstrdup(REFERENCE_DEFAULT_REGISTRY));
        if (streq(reference->registry, REFERENCE_DEFAULT_REGISTRY) && !strchr(name, '/'))
                reference->repository = xasprintf("library/%s", name);
        else
                reference->repository = xstrdup(name);
}

static int parse(const char *text, Reference *reference, Error **err)
{
        _cleanup_free_ char *name = xstrdup(text);
        int r;

        if (isempty(text))
                return error_set(err, ERROR_INVALID, "image reference is empty");
        if (strlen(text) == 64 && strspn(text, LOWER_HEX) == 64)
                return refuse(err, text, "64 hexadecimal digits are an image's id, not a name");
        r = split_suffixes(text, name, reference, err);
        if (r < 0)
                return r;
        split_registry(name, reference);
        if (!registry_is_valid(reference->registry))
                return refuse(err, text, "the registry is malformed");
        if (!repository_is_valid(reference->repository))
                return refuse(err, text, "the repository must be lower-case letters, digits and separators");
        if (strlen(reference->registry) + strlen(reference->repository) + 1 > NAME_LIMIT)
                return refuse(err, text, "longer than 255 characters");
        return 0;
}

int reference_parse(const char *text, Reference *ret, Error **err)
{
        _cleanup_reference_ Reference reference = { 0 };
        int r = parse(text, &reference, err);

        if (r < 0)
                return r;
        *ret = reference;
        reference = (Reference){ 0 };
        return 0;
}

char *reference_repository_name(const Reference *reference)
{
        return xasprintf("%s/%s", reference->registry, reference->repository);
}

char *reference_text(const Reference *reference)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        strbuf_addf(&text, "%s/%s", reference->registry, reference->repository);
        if (reference->tag)
                strbuf_addf(&text, ":%s", reference->tag);
        if (reference->digest)
                strbuf_addf(&text, "@%s", reference->digest);
        return strbuf_take(&text);
}

char *reference_familiar(const char *normalized)
{
        const char *rest = startswith(normalized, REFERENCE_DEFAULT_REGISTRY "/");
        const char *library = rest ? startswith(rest, "library/") : NULL;

        if (library && !strchr(library, '/'))
                return xstrdup(library);
        /* "docker.io/a.b/c" without its registry would be c on the registry a.b. */
        return xstrdup(rest && !is_registry(rest, strcspn(rest, "/")) ? rest : normalized);
}

int image_reference_normalize(const char *reference, char **ret, Error **err)
{
        _cleanup_reference_ Reference parsed = { 0 };
        int r = reference_parse(reference, &parsed, err);

        if (r < 0)
                return r;
        *ret = reference_text(&parsed);
        return 0;
}
