#include "engine/local/firewall.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/address.h"
#include "engine/local/forwarding.h"
#include "engine/local/netlink.h"

#define RULES_LIMIT ((size_t)64 * 1024 * 1024)

char *firewall_table(const char *installation_id)
{
        return xasprintf("berth_%s", installation_id);
}

static bool masquerades(const NetworkRecord *record)
{
        const char *option = network_record_option(record, "com.docker.network.bridge.enable_ip_masquerade");

        return !record->internal && !streq_ptr(option, "false");
}

/* Loopback belongs to this machine alone: nothing that a container sends may come from there or go there. Needed because
 * route_localnet, without which 127.0.0.1 could not reach a container, opens it. */
static void add_guard(Strbuf *rules, const char *bridges)
{
        strbuf_addf(rules,
                    "\tchain guard {\n"
                    "\t\ttype filter hook prerouting priority raw; policy accept;\n"
                    "\t\tiifname \"%s*\" ip daddr 127.0.0.0/8 drop\n"
                    "\t\tiifname \"%s*\" ip saddr 127.0.0.0/8 drop\n"
                    "\t}\n",
                    bridges, bridges);
}

/* Names as nft takes them without quoting: no character of a container's or project's name may end a string or a line. */
static char *plain_name(const char *name)
{
        char *plain = xasprintf("%.100s", name);

        for (char *c = plain; *c; c++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *c))
                        *c = '_';
        return plain;
}

static bool is_loopback_text(const char *text)
{
        Address address;

        return text && address_parse(text, &address) && address_is_loopback(address);
}

static void add_port(Strbuf *rules, const Endpoint *endpoint, const EndpointPort *port)
{
        _cleanup_free_ char *name = plain_name(endpoint->container);
        Address address;

        if (port->host_ip && (!address_parse(port->host_ip, &address) || address.family != AF_INET))
                return; /* the relay's */
        strbuf_adds(rules, "\t\t");
        /* Packets to 127.0.0.1 can come in from a neighbour's wire as well: only those of our own machine count. */
        if (endpoint->internal_only || is_loopback_text(port->host_ip))
                strbuf_adds(rules, "oifname \"lo\" ");
        if (port->host_ip)
                strbuf_addf(rules, "ip daddr %s ", port->host_ip);
        strbuf_addf(rules, "%s dport %u dnat ip to %s:%u comment \"%s\"\n", port->udp ? "udp" : "tcp", port->host_port,
                    endpoint->ipv4, port->container_port, name);
}

static const char *project_of(const Endpoint *endpoint)
{
        return endpoint->project ? endpoint->project : "";
}

static char **publishing_projects(const NetworkState *state)
{
        char **projects = NULL;

        for (size_t i = 0; i < state->n_endpoints; i++)
                if (state->endpoints[i]->n_ports > 0 && !strv_contains(projects, project_of(state->endpoints[i])))
                        strv_add(&projects, project_of(state->endpoints[i]));
        strv_sort(projects);
        return projects;
}

static void add_project_chain(Strbuf *rules, const NetworkState *state, const char *project)
{
        _cleanup_free_ char *name = plain_name(project);

        strbuf_addf(rules, "\tchain ports_%s {\n", name);
        for (size_t i = 0; i < state->n_endpoints; i++) {
                const Endpoint *endpoint = state->endpoints[i];

                if (!streq(project_of(endpoint), project))
                        continue;
                for (size_t j = 0; j < endpoint->n_ports; j++)
                        add_port(rules, endpoint, &endpoint->ports[j]);
        }
        strbuf_adds(rules, "\t}\n");
}

static void add_published(Strbuf *rules, const NetworkState *state)
{
        _cleanup_strv_ char **projects = publishing_projects(state);

        STRV_FOREACH(project, projects)
                add_project_chain(rules, state, *project);
        strbuf_adds(rules, "\tchain published {\n");
        STRV_FOREACH(project, projects) {
                _cleanup_free_ char *name = plain_name(*project);

                strbuf_addf(rules, "\t\tjump ports_%s\n", name);
        }
        strbuf_adds(rules, "\t}\n"
                           "\tchain prerouting {\n"
                           "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
                           "\t\tfib daddr type local jump published\n"
                           "\t}\n"
                           "\tchain output {\n"
                           "\t\ttype nat hook output priority -100; policy accept;\n"
                           "\t\tfib daddr type local jump published\n"
                           "\t}\n");
}

static void add_network_nat(Strbuf *rules, const NetworkRecord *record)
{
        /* Over the host's address back to the same network: the answer must come back the same way. */
        strbuf_addf(rules, "\t\tip saddr %s oifname \"%s\" ct status dnat masquerade comment \"network %s\"\n",
                    record->subnet, record->bridge, record->name);
        if (record->internal) /* containers have no way back but to the bridge itself */
                strbuf_addf(rules, "\t\toifname \"%s\" ct status dnat masquerade comment \"network %s\"\n",
                            record->bridge, record->name);
        if (!masquerades(record))
                return;
        strbuf_addf(rules, "\t\tip saddr %s oifname != \"%s\" masquerade comment \"network %s\"\n", record->subnet,
                    record->bridge, record->name);
        if (record->subnet6)
                strbuf_addf(rules, "\t\tip6 saddr %s oifname != \"%s\" masquerade comment \"network %s\"\n",
                            record->subnet6, record->bridge, record->name);
}

static void add_postrouting(Strbuf *rules, const NetworkState *state, const char *bridges)
{
        strbuf_adds(rules, "\tchain postrouting {\n"
                           "\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
        strbuf_addf(rules, "\t\tip saddr 127.0.0.0/8 oifname \"%s*\" masquerade\n", bridges);
        for (size_t i = 0; i < state->n_networks; i++)
                add_network_nat(rules, state->networks[i]);
        strbuf_adds(rules, "\t}\n");
}

/* "{ "a", "b" }" of the bridges of all networks, or of the internal ones; false where there is none. */
static bool add_bridge_set(Strbuf *rules, const NetworkState *state, bool internal, bool pairs)
{
        bool any = false;

        for (size_t i = 0; i < state->n_networks; i++) {
                const char *bridge = state->networks[i]->bridge;

                if (internal && !state->networks[i]->internal)
                        continue;
                strbuf_adds(rules, any ? ", " : "{ ");
                any = true;
                if (pairs)
                        strbuf_addf(rules, "\"%s\" . \"%s\"", bridge, bridge);
                else
                        strbuf_addf(rules, "\"%s\"", bridge);
        }
        if (any)
                strbuf_adds(rules, " }");
        return any;
}

static void add_internal(Strbuf *rules, const NetworkState *state, const char *direction, const char *verdict)
{
        _cleanup_strbuf_ Strbuf set = STRBUF_INIT;

        if (add_bridge_set(&set, state, true, false))
                strbuf_addf(rules, "\t\t%s %s %s\n", direction, strbuf_text(&set), verdict);
}

static void add_cards(Strbuf *rules, char *const *cards)
{
        _cleanup_free_ char *joined = strv_join(cards, "\", \"");

        if (strv_length(cards) > 1)
                strbuf_addf(rules,
                            "\t\tiifname { \"%s\" } oifname { \"%s\" } ct status dnat accept\n"
                            "\t\tiifname { \"%s\" } oifname { \"%s\" } ct state new drop\n",
                            joined, joined, joined, joined);
}

static void add_forward(Strbuf *rules, const NetworkState *state, const char *bridges,
                        const FirewallSurroundings *surroundings)
{
        static const char refuse[] = "reject with icmpx type admin-prohibited";
        _cleanup_strbuf_ Strbuf pairs = STRBUF_INIT;

        add_bridge_set(&pairs, state, false, true);
        /* From a container: to its own network and out, but to no other network, unless over a published port. */
        strbuf_adds(rules, "\tchain from_container {\n\t\tct state established,related accept\n");
        strbuf_addf(rules, "\t\tiifname . oifname %s accept\n", strbuf_text(&pairs));
        add_internal(rules, state, "iifname", refuse);
        add_internal(rules, state, "oifname", refuse);
        strbuf_adds(rules, "\t\tct status dnat accept\n");
        strbuf_addf(rules, "\t\toifname \"%s*\" %s\n", bridges, refuse);
        STRV_FOREACH(other, surroundings->others)
                strbuf_addf(rules, "\t\toifname \"%s\" %s\n", *other, refuse);
        strbuf_adds(rules, "\t\taccept\n\t}\n");
        /* To a container from elsewhere: published ports alone. */
        strbuf_adds(rules, "\tchain to_container {\n\t\tct state established,related accept\n");
        add_internal(rules, state, "oifname", "drop");
        strbuf_adds(rules, "\t\tct status dnat accept\n\t\tdrop\n\t}\n");
        strbuf_addf(rules,
                    "\tchain forward {\n"
                    "\t\ttype filter hook forward priority filter; policy accept;\n"
                    "\t\tiifname \"%s*\" jump from_container\n"
                    "\t\toifname \"%s*\" jump to_container\n",
                    bridges, bridges);
        add_cards(rules, surroundings->cards);
        strbuf_adds(rules, "\t}\n");
}

static bool is_hex(const char *text, size_t length)
{
        return strspn(text, "0123456789abcdef") >= length;
}

static bool is_numbered(const char *name, const char *prefix)
{
        const char *number = startswith(name, prefix);

        return number && *number && strspn(number, "0123456789") == strlen(number);
}

bool firewall_is_other_bridge(const char *installation_id, const char *name)
{
        static const char *const numbered[] = {
                "docker", "podman", "cni-podman", "virbr", "lxcbr", "lxdbr", "incusbr"
        };
        const char *rest;

        for (size_t i = 0; i < ARRAY_SIZE(numbered); i++)
                if (is_numbered(name, numbered[i]))
                        return true;
        if (streq(name, "docker_gwbridge"))
                return true;
        rest = startswith(name, "br-");
        if (rest && strlen(rest) == 12 && is_hex(rest, 12))
                return true;
        rest = startswith(name, KERNEL_NAME_PREFIX);
        return rest && strlen(rest) == 13 && is_hex(rest, 6) && rest[6] == 'b' && !startswith(rest, installation_id);
}

static void surroundings_done(FirewallSurroundings *surroundings)
{
        strv_free(surroundings->others);
        strv_free(surroundings->cards);
}

static void look_around(const Layout *layout, FirewallSurroundings *ret)
{
        _cleanup_(netlink_freep) Netlink *netlink = NULL;
        _cleanup_strv_ char **bridges = NULL;

        if (netlink_open(&netlink, NULL) < 0)
                return;
        (void)netlink_list_bridges(netlink, &bridges, NULL);
        STRV_FOREACH(bridge, bridges)
                if (firewall_is_other_bridge(layout->id, *bridge))
                        strv_add(&ret->others, *bridge);
        if (forwarding_is_ours(layout))
                (void)netlink_list_cards(netlink, &ret->cards, NULL);
        strv_sort(ret->others);
        strv_sort(ret->cards);
}

char *firewall_rules(const char *installation_id, const NetworkState *state, const FirewallSurroundings *surroundings)
{
        _cleanup_free_ char *table = firewall_table(installation_id);
        _cleanup_free_ char *bridges = xasprintf(KERNEL_NAME_PREFIX "%sb", installation_id);
        Strbuf rules = STRBUF_INIT;

        /* Made first, so that its removal cannot fail; all of it is one transaction. */
        strbuf_addf(&rules, "add table inet %s\ndelete table inet %s\n", table, table);
        if (state->n_networks == 0)
                return strbuf_take(&rules);
        strbuf_addf(&rules, "table inet %s {\n", table);
        add_guard(&rules, bridges);
        add_published(&rules, state);
        add_postrouting(&rules, state, bridges);
        add_forward(&rules, state, bridges, surroundings);
        strbuf_adds(&rules, "}\n");
        return strbuf_take(&rules);
}

/* What was set last, with the boot and the network namespace it was set in. */
static char *applied_form(const char *rules)
{
        _cleanup_free_ char *boot_id = layout_boot_id();
        struct stat status = { 0 };

        (void)stat("/proc/thread-self/ns/net", &status);
        return xasprintf("# boot %s namespace %llu\n%s", boot_id, (unsigned long long)status.st_ino, rules);
}

int firewall_begin(const Layout *layout, const NetworkState *state, bool force, FirewallChange *ret, Error **err)
{
        _cleanup_(surroundings_done) FirewallSurroundings surroundings = { 0 };
        _cleanup_free_ char *rules = NULL, *form = NULL;
        _cleanup_free_ char *path = layout_run(layout, "firewall.nft");
        _cleanup_strbuf_ Strbuf applied = STRBUF_INIT;
        int r;

        look_around(layout, &surroundings);
        rules = firewall_rules(layout->id, state, &surroundings);
        form = applied_form(rules);
        if (!force && fs_read_file(AT_FDCWD, path, RULES_LIMIT, &applied, NULL) == 0 &&
            streq(strbuf_text(&applied), form))
                return 0;
        /* Forgotten first: after a crash between the two nobody may believe the file. */
        r = fs_remove_tree(AT_FDCWD, path, err);
        if (r == 0)
                r = error_prefix(err, nft_begin(rules, &ret->run, err), "set the rules of nftables");
        if (r == 0)
                ret->form = TAKE_PTR(form);
        return r;
}

int firewall_finish(const Layout *layout, FirewallChange *change, Error **err)
{
        _cleanup_free_ char *path = layout_run(layout, "firewall.nft"), *form = TAKE_PTR(change->form);
        int r = error_prefix(err, nft_finish(&change->run, err), "set the rules of nftables");

        return r < 0 || !form ? r : fs_rewrite_in_place(AT_FDCWD, path, form, strlen(form), 0600, err);
}
