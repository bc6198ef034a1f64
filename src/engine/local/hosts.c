#include "engine/local/hosts.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/address.h"

#define RESOLV_LIMIT ((size_t)1024 * 1024)

bool hosts_is_word(const char *text)
{
        if (!*text)
                return false;
        for (; *text; text++)
                if ((unsigned char)*text <= ' ' || *text == '#' || *text == 0x7f)
                        return false;
        return true;
}

static void add_extra_host(Strbuf *text, const char *entry, const char *gateway)
{
        const char *equals = strchr(entry, '=');
        const char *address = equals ? equals + 1 : "";

        if (streq(address, "host-gateway"))
                address = gateway;
        if (equals && !isempty(address) && hosts_is_word(entry))
                strbuf_addf(text, "%s\t%.*s\n", address, (int)(equals - entry), entry);
}

char *hosts_head(const HostsSelf *self)
{
        Strbuf text = STRBUF_INIT;

        strbuf_adds(&text, "127.0.0.1\tlocalhost\n"
                           "::1\tlocalhost ip6-localhost ip6-loopback\n"
                           "fe00::0\tip6-localnet\n"
                           "ff00::0\tip6-mcastprefix\n"
                           "ff02::1\tip6-allnodes\n"
                           "ff02::2\tip6-allrouters\n");
        STRV_FOREACH(entry, self->extra_hosts)
                add_extra_host(&text, *entry, self->gateway);
        STRV_FOREACH(address, self->addresses) {
                if (isempty(self->domainname))
                        strbuf_addf(&text, "%s\t%s\n", *address, self->hostname);
                else
                        strbuf_addf(&text, "%s\t%s.%s %s\n", *address, self->hostname, self->domainname,
                                    self->hostname);
        }
        return strbuf_take(&text);
}

/* A line for each address of endpoint, with those of its names that no earlier network has told. */
static void add_peer(Strbuf *text, const Endpoint *peer, char *const *told)
{
        _cleanup_strv_ char **names = NULL;
        _cleanup_free_ char *joined = NULL;

        STRV_FOREACH(name, peer->names)
                if (!strv_contains(told, *name) && !strv_contains(names, *name) && hosts_is_word(*name))
                        strv_add(&names, *name);
        if (!names)
                return;
        joined = strv_join(names, " ");
        strbuf_addf(text, "%s\t%s\n", peer->ipv4, joined);
        if (peer->ipv6)
                strbuf_addf(text, "%s\t%s\n", peer->ipv6, joined);
}

char *hosts_text(const NetworkState *state, const char *id)
{
        const Endpoint *self = network_state_endpoint(state, id, 0);
        _cleanup_strv_ char **told = NULL;
        Strbuf text = STRBUF_INIT;

        if (!self || !self->hosts_head)
                return NULL;
        strbuf_adds(&text, self->hosts_head);
        for (int index = 0; self; self = network_state_endpoint(state, id, ++index)) {
                _cleanup_strv_ char **here = NULL;

                for (size_t i = 0; i < state->n_endpoints; i++)
                        if (streq(state->endpoints[i]->network, self->network)) {
                                add_peer(&text, state->endpoints[i], told);
                                strv_add_all(&here, state->endpoints[i]->names);
                        }
                strv_add_all(&told, here);
        }
        return strbuf_take(&text);
}

typedef struct Resolv {
        char **servers, **search, **options;
} Resolv;

static void resolv_done(Resolv *resolv)
{
        strv_free(resolv->servers);
        strv_free(resolv->search);
        strv_free(resolv->options);
}

static void add_words(char ***list, char *const *words)
{
        STRV_FOREACH(word, words)
                if (**word)
                        strv_add(list, *word);
}

static void parse_line(Resolv *resolv, char *line)
{
        _cleanup_strv_ char **words = NULL;

        line[strcspn(line, "#;")] = '\0';
        for (char *c = line; *c; c++)
                if (*c == '\t' || *c == '\r')
                        *c = ' ';
        words = strv_split(line, ' ');
        if (streq(words[0], "nameserver"))
                add_words(&resolv->servers, words + 1);
        else if (streq(words[0], "search") || streq(words[0], "domain")) {
                resolv->search = strv_free(resolv->search); /* the last one counts */
                add_words(&resolv->search, words + 1);
        } else if (streq(words[0], "options"))
                add_words(&resolv->options, words + 1);
}

static void parse_resolv(const char *text, Resolv *ret)
{
        _cleanup_strv_ char **lines = strv_split(text, '\n');

        STRV_FOREACH(line, lines)
                parse_line(ret, *line);
}

static bool is_reachable(const char *server, bool ipv6)
{
        _cleanup_free_ char *bare = xstrndup(server, strcspn(server, "%"));
        Address address;

        if (!address_parse(bare, &address) || address_is_loopback(address))
                return false;
        return address.family == AF_INET || (ipv6 && !strchr(server, '%'));
}

static void choose_servers(Resolv *host, const ResolvWish *wish, char ***ret)
{
        if (wish->servers) {
                strv_add_all(ret, wish->servers);
                return;
        }
        STRV_FOREACH(server, host->servers)
                if (wish->keep_loopback || is_reachable(*server, wish->ipv6))
                        strv_add(ret, *server);
        if (*ret || wish->keep_loopback)
                return;
        strv_add(ret, "8.8.8.8");
        strv_add(ret, "8.8.4.4");
}

static bool has_option(char *const *options, const char *prefix)
{
        STRV_FOREACH(option, options)
                if (startswith(*option, prefix))
                        return true;
        return false;
}

char *resolv_text(const char *host_text, const ResolvWish *wish)
{
        _cleanup_(resolv_done) Resolv host = { 0 }, chosen = { 0 };
        Strbuf text = STRBUF_INIT;

        parse_resolv(host_text, &host);
        choose_servers(&host, wish, &chosen.servers);
        strv_add_all(&chosen.search, wish->search ? wish->search : host.search);
        strv_add_all(&chosen.options, wish->options ? wish->options : host.options);
        if (wish->names_from_hosts && !has_option(chosen.options, "ndots:"))
                strv_add(&chosen.options, "ndots:0");
        STRV_FOREACH(server, chosen.servers)
                strbuf_addf(&text, "nameserver %s\n", *server);
        if (chosen.search && !(strv_length(chosen.search) == 1 && streq(chosen.search[0], "."))) {
                _cleanup_free_ char *joined = strv_join(chosen.search, " ");
                strbuf_addf(&text, "search %s\n", joined);
        }
        if (chosen.options) {
                _cleanup_free_ char *joined = strv_join(chosen.options, " ");
                strbuf_addf(&text, "options %s\n", joined);
        }
        return strbuf_take(&text);
}

char *resolv_read_host(void)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT, resolved = STRBUF_INIT;
        _cleanup_(resolv_done) Resolv parsed = { 0 };

        (void)fs_read_file(AT_FDCWD, "/etc/resolv.conf", RESOLV_LIMIT, &text, NULL);
        parse_resolv(strbuf_text(&text), &parsed);
        if (strv_length(parsed.servers) == 1 && startswith(parsed.servers[0], "127.0.0.53") &&
            fs_read_file(AT_FDCWD, "/run/systemd/resolve/resolv.conf", RESOLV_LIMIT, &resolved, NULL) == 0)
                return strbuf_take(&resolved);
        return strbuf_take(&text);
}
