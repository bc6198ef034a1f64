#include "compose/short_syntax.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/vector.h"

char *short_clean_path(Arena *arena, const char *path)
{
        bool rooted = *path == '/';
        _cleanup_strv_ char **parts = strv_split(path, '/');
        VECTOR(const char *) kept = { 0 };
        _cleanup_strbuf_ Strbuf out = STRBUF_INIT;

        STRV_FOREACH(part, parts) {
                if (isempty(*part) || streq(*part, "."))
                        continue;
                if (!streq(*part, ".."))
                        vector_add(&kept, *part);
                else if (kept.length > 0 && !streq(kept.items[kept.length - 1], ".."))
                        kept.length--;
                else if (!rooted)
                        vector_add(&kept, *part);
        }
        if (rooted)
                strbuf_addc(&out, '/');
        for (size_t i = 0; i < kept.length; i++)
                strbuf_addf(&out, "%s%s", i ? "/" : "", kept.items[i]);
        vector_done(&kept);
        return arena_strdup(arena, out.length ? strbuf_text(&out) : ".");
}

bool short_is_ip(const char *text)
{
        unsigned char address[sizeof(struct in6_addr)];

        return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* Ports */

static bool parse_port_number(const char *text, unsigned *ret)
{
        size_t length = strlen(text);
        unsigned long value;

        if (length == 0 || length > 9 || strspn(text, "0123456789") != length)
                return false;
        value = strtoul(text, NULL, 10);
        *ret = (unsigned)value;
        return value <= 65535;
}

static bool parse_port_range(const char *text, unsigned *ret_first, unsigned *ret_last)
{
        _cleanup_strv_ char **parts = strv_split(text, '-');

        if (!parse_port_number(parts[0], ret_first))
                return false;
        if (!parts[1]) {
                *ret_last = *ret_first;
                return true;
        }
        return parse_port_number(parts[1], ret_last) && *ret_last >= *ret_first;
}

typedef struct PortParts {
        char *ip, *host, *container, *protocol;
} PortParts;

/* Strips the brackets of [::1]; false where they do not match. */
static bool strip_brackets(char **ip)
{
        size_t length = strlen(*ip);

        if (**ip == '[') {
                if ((*ip)[length - 1] != ']')
                        return false;
                (*ip)[length - 1] = 0;
                ++*ip;
                return !strpbrk(*ip, "[]");
        }
        return !strpbrk(*ip, ":[]");
}

static bool split_port(Arena *arena, const char *text, PortParts *ret, const char **ret_error)
{
        char *copy = arena_strdup(arena, text), *colon = strrchr(copy, ':'), *slash, *rest;

        *ret = (PortParts){ .ip = arena_strdup(arena, ""), .host = arena_strdup(arena, ""), .container = copy };
        if (colon) {
                *colon = 0;
                ret->container = colon + 1;
                ret->host = copy;
                colon = strrchr(copy, ':');
                if (colon) {
                        *colon = 0;
                        ret->host = colon + 1;
                        ret->ip = copy;
                }
        }
        if (!strip_brackets(&ret->ip)) {
                *ret_error =
                        arena_printf(arena, "invalid ip address in \"%s\": an IPv6 address stands in brackets", text);
                return false;
        }
        ret->protocol = arena_strdup(arena, "tcp");
        slash = strchr(ret->container, '/');
        if (slash) {
                *slash = 0;
                rest = strchr(slash + 1, '/');
                if (rest)
                        *rest = 0;
                if (slash[1])
                        ret->protocol = slash + 1;
        }
        for (char *c = ret->protocol; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        return true;
}

static Node *port_node(Arena *arena, const Node *at, const PortParts *parts, unsigned target, const char *published)
{
        Node *port = node_new_map(arena, at);

        node_reserve(arena, port, 5);
        node_set(arena, port, "mode", node_new_string(arena, "ingress", at));
        if (*parts->ip)
                node_set(arena, port, "host_ip", node_new_string(arena, parts->ip, at));
        node_set(arena, port, "target", node_new_int(arena, target, at));
        if (published)
                node_set(arena, port, "published", node_new_string(arena, published, at));
        node_set(arena, port, "protocol", node_new_string(arena, parts->protocol, at));
        return port;
}

static int compare_targets(const void *a, const void *b)
{
        char text_a[16], text_b[16];

        /* The order of the reference: of the numbers as text. */
        snprintf(text_a, sizeof text_a, "%lld/", (long long)node_get(*(Node *const *)a, "target")->integer);
        snprintf(text_b, sizeof text_b, "%lld/", (long long)node_get(*(Node *const *)b, "target")->integer);
        return strcmp(text_a, text_b);
}

Node *short_port(Arena *arena, const Node *at, const char *text, const char **ret_error)
{
        unsigned first, last, host_first = 0, host_last = 0;
        PortParts parts;
        Node *list;

        if (!split_port(arena, text, &parts, ret_error))
                return NULL;
        if (*parts.ip && !short_is_ip(parts.ip))
                *ret_error = arena_printf(arena, "invalid ip address: %s", parts.ip);
        else if (!*parts.container)
                *ret_error = arena_printf(arena, "no port specified: \"%s\"", text);
        else if (!parse_port_range(parts.container, &first, &last))
                *ret_error = arena_printf(arena, "invalid container port: %s", parts.container);
        else if (*parts.host && !parse_port_range(parts.host, &host_first, &host_last))
                *ret_error = arena_printf(arena, "invalid host port: %s", parts.host);
        else if (*parts.host && last - first != host_last - host_first && first != last)
                *ret_error = arena_printf(arena, "invalid ranges specified for container and host ports: %s and %s",
                                          parts.container, parts.host);
        else if (!streq(parts.protocol, "tcp") && !streq(parts.protocol, "udp") && !streq(parts.protocol, "sctp"))
                *ret_error = arena_printf(arena, "invalid protocol: %s, expected tcp, udp or sctp", parts.protocol);
        if (*ret_error)
                return NULL;
        list = node_new_list(arena, at);
        for (unsigned port = first; port <= last; port++) {
                const char *published = NULL;

                if (*parts.host)
                        published = first == last && host_first != host_last
                                            ? arena_printf(arena, "%u-%u", host_first, host_last)
                                            : arena_printf(arena, "%u", host_first + (port - first));
                node_add(arena, list, port_node(arena, at, &parts, port, published));
        }
        qsort(list->items, list->n_items, sizeof(Node *), compare_targets);
        return list;
}

/* Volumes */

typedef struct VolumeParts {
        const char *source, *target, *options;
} VolumeParts;

static bool take_section(Arena *arena, VolumeParts *parts, const char *section, bool last, const char **ret_error)
{
        if (!*section)
                *ret_error = "empty section between colons";
        else if (!parts->source && last)
                parts->target = section;
        else if (!parts->source)
                parts->source = section;
        else if (!parts->target)
                parts->target = section;
        else if (!last)
                *ret_error = "too many colons";
        else
                parts->options = section;
        return !*ret_error;
}

static bool split_volume(Arena *arena, const char *text, VolumeParts *ret, const char **ret_error)
{
        char *section = arena_strdup(arena, text);
        int substitution = 0;

        *ret = (VolumeParts){ 0 };
        for (char *c = section;; c++) {
                bool drive = c == section + 1 && isalpha((unsigned char)*section);

                if (*c == '$' && c[1] == '{') {
                        substitution++;
                } else if (*c == '}' && substitution > 0) {
                        substitution--;
                } else if (!*c || (*c == ':' && !drive && substitution == 0)) {
                        bool last = !*c;

                        *c = 0;
                        if (!take_section(arena, ret, section, last, ret_error)) {
                                *ret_error = arena_printf(arena, "invalid spec: %s: %s", text, *ret_error);
                                return false;
                        }
                        if (last)
                                return true;
                        section = c + 1;
                }
        }
}

static bool is_host_path(const char *source)
{
        if (!source || !*source)
                return false;
        if (strchr("./~", *source) || startswith(source, "\\\\"))
                return true;
        return isalpha((unsigned char)source[0]) && source[1] == ':';
}

static void set_option(Arena *arena, const Node *at, Node *volume, const char *option, Node **bind, Node **options)
{
        static const char *const propagation[] = { "rprivate", "private", "rshared", "shared", "rslave", "slave" };
        const char *key = streq(option, "z") || streq(option, "Z") ? "selinux" : NULL;

        if (streq(option, "ro"))
                node_set(arena, volume, "read_only", node_new_bool(arena, true, at));
        else if (streq(option, "rw"))
                node_remove(volume, "read_only");
        else if (streq(option, "nocopy")) {
                *options = node_new_map(arena, at);
                node_set(arena, *options, "nocopy", node_new_bool(arena, true, at));
        }
        for (size_t i = 0; i < ARRAY_SIZE(propagation); i++)
                if (streq(option, propagation[i]))
                        key = "propagation";
        if (!key)
                return;
        if (!*bind)
                *bind = node_new_map(arena, at);
        node_set(arena, *bind, key, node_new_string(arena, arena_strdup(arena, option), at));
}

Node *short_volume(Arena *arena, const Node *at, const char *text, const char **ret_error)
{
        Node *volume = node_new_map(arena, at), *bind = NULL, *options = NULL;
        VolumeParts parts = { 0 };
        bool host_path;

        if (!*text) {
                *ret_error = "invalid empty volume spec";
                return NULL;
        }
        if (strlen(text) <= 2)
                parts.target = text;
        else if (!split_volume(arena, text, &parts, ret_error))
                return NULL;
        host_path = is_host_path(parts.source);
        node_set(arena, volume, "type", node_new_string(arena, host_path ? "bind" : "volume", at));
        if (parts.source)
                node_set(arena, volume, "source", node_new_string(arena, parts.source, at));
        if (parts.target)
                node_set(arena, volume, "target", node_new_string(arena, short_clean_path(arena, parts.target), at));
        if (parts.options) {
                _cleanup_strv_ char **words = strv_split(parts.options, ',');

                STRV_FOREACH(word, words)
                        set_option(arena, at, volume, *word, &bind, &options);
        }
        if (host_path) {
                if (!bind)
                        bind = node_new_map(arena, at);
                node_set(arena, bind, "create_host_path", node_new_bool(arena, true, at));
        } else if (!options && strlen(text) > 2) {
                options = node_new_map(arena, at);
        }
        if (bind)
                node_set(arena, volume, "bind", bind);
        if (options)
                node_set(arena, volume, "volume", options);
        return volume;
}

const char *short_volume_target(Arena *arena, const char *text, const char **ret_error)
{
        VolumeParts parts = { 0 };

        if (strlen(text) <= 2)
                return text;
        if (!split_volume(arena, text, &parts, ret_error))
                return NULL;
        return parts.target ? parts.target : "";
}

Node *short_device(Arena *arena, const Node *at, const char *text, const char **ret_error)
{
        Node *device = node_new_map(arena, at);
        char *source = arena_strdup(arena, text), *target, *permissions = NULL;

        target = strchr(source, ':');
        if (target) {
                *target++ = 0;
                permissions = strchr(target, ':');
        }
        if (permissions) {
                *permissions++ = 0;
                if (strchr(permissions, ':')) {
                        *ret_error = arena_printf(arena, "confusing device mapping, please use long syntax: %s", text);
                        return NULL;
                }
        }
        node_set(arena, device, "source", node_new_string(arena, source, at));
        node_set(arena, device, "target", node_new_string(arena, isempty(target) ? source : target, at));
        node_set(arena, device, "permissions", node_new_string(arena, permissions ? permissions : "rwm", at));
        return device;
}

/* Sizes */

bool short_size(Arena *arena, const char *text, int64_t *ret, const char **ret_error)
{
        static const char units[] = "kmgtp";
        size_t length = strlen(text), number = length;
        _cleanup_free_ char *digits = NULL;
        const char *unit, *at;
        double value;
        char *end;

        *ret_error = arena_printf(arena, "invalid size: '%s'", text);
        while (number > 0 && !strchr("0123456789. ", text[number - 1]))
                number--;
        if (number == 0)
                return false;
        unit = text + number;
        digits = xstrndup(text, text[number - 1] == ' ' ? number - 1 : number);
        if (!*digits || isspace((unsigned char)*digits))
                return false;
        value = strtod(digits, &end);
        if (*end || value < 0)
                return false;
        if (*unit && tolower((unsigned char)*unit) == 'b') {
                if (unit[1])
                        return false;
        } else if (*unit) {
                at = strchr(units, tolower((unsigned char)*unit));
                if (!at || (unit[1] && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
                        return false;
                for (int i = 0; i <= at - units; i++)
                        value *= 1024;
        }
        if (value >= 9223372036854775807.0)
                return false;
        *ret_error = NULL;
        *ret = (int64_t)value;
        return true;
}
