/* What is derived from the state of networks: hosts files, rules, leases; and tables of sockets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/firewall.h"
#include "engine/local/hosts.h"
#include "engine/local/lease.h"
#include "engine/local/ports.h"

static char *alias_names[] = { (char *)"db-1", (char *)"db", NULL };
static char *second_names[] = { (char *)"db-2", (char *)"db", NULL };
static EndpointPort published[] = {
        { .host_port = 5432, .container_port = 5432 },
        { .host_ip = (char *)"127.0.0.1", .host_port = 53, .container_port = 5353, .udp = true },
        { .host_ip = (char *)"::", .host_port = 5432, .container_port = 5432 },
};
static NetworkLease leases[] = { { (char *)"old", (char *)"172.18.0.3", NULL } };
static NetworkRecord one = { .name = (char *)"one",
                             .bridge = (char *)"beaaaaaab000001",
                             .subnet = (char *)"172.18.0.0/16",
                             .gateway = (char *)"172.18.0.1" };
static NetworkRecord in = { .name = (char *)"in",
                            .bridge = (char *)"beaaaaaab000002",
                            .subnet = (char *)"172.19.0.0/29",
                            .gateway = (char *)"172.19.0.1",
                            .internal = true };
static Endpoint first = { .network = (char *)"one",
                          .id = (char *)"1",
                          .container = (char *)"db-1",
                          .project = (char *)"demo",
                          .names = alias_names,
                          .ipv4 = (char *)"172.18.0.2",
                          .hosts_head = (char *)"127.0.0.1\tlocalhost\n",
                          .ports = published,
                          .n_ports = 3 };
static Endpoint second = { .network = (char *)"one",
                           .id = (char *)"2",
                           .container = (char *)"db-2",
                           .project = (char *)"demo",
                           .names = second_names,
                           .ipv4 = (char *)"172.18.0.4",
                           .ipv6 = (char *)"fd00::4" };
static Endpoint inner = { .network = (char *)"in",
                          .id = (char *)"1",
                          .container = (char *)"db-1",
                          .names = alias_names,
                          .ipv4 = (char *)"172.19.0.2",
                          .index = 1 };

static NetworkState make_state(void)
{
        static NetworkRecord *records[] = { &in, &one };
        static Endpoint *endpoints[] = { &inner, &first, &second };

        return (NetworkState){ records, 2, endpoints, 3 };
}

static void test_hosts(void **unused)
{
        NetworkState state = make_state();
        _cleanup_free_ char *text = hosts_text(&state, "1");

        assert_string_equal(text, "127.0.0.1\tlocalhost\n"
                                  "172.18.0.2\tdb-1 db\n"
                                  "172.18.0.4\tdb-2 db\n"
                                  "fd00::4\tdb-2 db\n");
        assert_null(hosts_text(&state, "3"));
}

static void test_hosts_head(void **unused)
{
        char *extra[] = { (char *)"gw=host-gateway", (char *)"x=10.0.0.9", (char *)"v6=fd00::9", NULL };
        char *addresses[] = { (char *)"172.18.0.2", NULL };
        HostsSelf self = { .hostname = "db",
                           .domainname = "example.org",
                           .addresses = addresses,
                           .gateway = "172.18.0.1",
                           .extra_hosts = extra };
        _cleanup_free_ char *text = hosts_head(&self);

        assert_non_null(strstr(text, "127.0.0.1\tlocalhost\n"));
        assert_non_null(strstr(text, "172.18.0.1\tgw\n10.0.0.9\tx\nfd00::9\tv6\n172.18.0.2\tdb.example.org db\n"));
}

static void resolves_to(const char *host, const ResolvWish *wish, const char *expected)
{
        _cleanup_free_ char *text = resolv_text(host, wish);

        assert_string_equal(text, expected);
}

static void test_resolv(void **unused)
{
        char *servers[] = { (char *)"9.9.9.9", NULL }, *none[] = { (char *)".", NULL };
        char *options[] = { (char *)"ndots:3", NULL };
        ResolvWish plain = { .names_from_hosts = true };
        ResolvWish own = { .servers = servers, .search = none, .options = options, .names_from_hosts = true };
        ResolvWish host = { .keep_loopback = true };

        resolves_to(
                "# c\nnameserver 10.0.0.53\nnameserver 127.0.0.53\nnameserver fd00::53\nsearch a b\noptions edns0\n",
                &plain, "nameserver 10.0.0.53\nsearch a b\noptions edns0 ndots:0\n");
        resolves_to("nameserver 127.0.0.1\n", &plain, "nameserver 8.8.8.8\nnameserver 8.8.4.4\noptions ndots:0\n");
        resolves_to("nameserver 10.0.0.53\nsearch a\n", &own, "nameserver 9.9.9.9\noptions ndots:3\n");
        resolves_to("nameserver 127.0.0.1\n", &host, "nameserver 127.0.0.1\n");
        plain.ipv6 = true;
        resolves_to("nameserver fd00::53\nnameserver fe80::1%eth0\n", &plain, "nameserver fd00::53\noptions ndots:0\n");
}

static void has(const char *text, const char *part)
{
        if (!strstr(text, part))
                fail_msg("\"%s\" is not in\n%s", part, text);
}

static void test_rules(void **unused)
{
        char *others[] = { (char *)"docker0", NULL }, *cards[] = { (char *)"eth0", (char *)"eth1", NULL };
        FirewallSurroundings around = { others, cards };
        NetworkState state = make_state(), empty = { 0 };
        _cleanup_free_ char *rules = firewall_rules("aaaaaa", &state, &around);
        _cleanup_free_ char *none = firewall_rules("aaaaaa", &empty, &around), *alone = NULL;

        has(rules, "add table inet berth_aaaaaa\ndelete table inet berth_aaaaaa\ntable inet berth_aaaaaa {");
        has(rules,
            "chain ports_demo {\n\t\ttcp dport 5432 dnat ip to 172.18.0.2:5432 comment \"db-1\"\n"
            "\t\toifname \"lo\" ip daddr 127.0.0.1 udp dport 53 dnat ip to 172.18.0.2:5353 comment \"db-1\"\n\t}");
        has(rules, "iifname \"beaaaaaab*\" ip daddr 127.0.0.0/8 drop");
        has(rules, "ip saddr 172.18.0.0/16 oifname != \"beaaaaaab000001\" masquerade");
        assert_null(strstr(rules, "ip saddr 172.19.0.0/29 oifname != "));
        has(rules, "iifname { \"beaaaaaab000002\" } reject");
        has(rules, "oifname { \"beaaaaaab000002\" } drop");
        has(rules, "\t\toifname \"docker0\" reject with icmpx type admin-prohibited\n\t\taccept\n");
        has(rules, "iifname { \"eth0\", \"eth1\" } oifname { \"eth0\", \"eth1\" } ct state new drop\n\t}\n}\n");
        cards[1] = NULL;
        alone = firewall_rules("aaaaaa", &state, &around);
        assert_null(strstr(alone, "eth0"));
        assert_string_equal(none, "add table inet berth_aaaaaa\ndelete table inet berth_aaaaaa\n");
}

static void test_names_cannot_become_rules(void **unused)
{
        NetworkState state = make_state();
        Endpoint hostile = first, *endpoints[] = { &hostile };
        FirewallSurroundings around = { 0 };
        _cleanup_free_ char *rules = NULL;

        hostile.container = (char *)"x\" ; flush ruleset\n";
        hostile.project = (char *)"a b}";
        state.endpoints = endpoints;
        state.n_endpoints = 1;
        rules = firewall_rules("aaaaaa", &state, &around);
        has(rules, "comment \"x____flush_ruleset_\"\n");
        has(rules, "chain ports_a_b_ {");
        assert_true(hosts_is_word("db.example"));
        assert_false(hosts_is_word("db\n1.2.3.4 bank"));
        assert_false(hosts_is_word(""));
}

static void test_other_bridges(void **unused)
{
        static const char *const theirs[] = { "docker0", "docker_gwbridge", "br-0123456789ab",
                                              "virbr0",  "podman1",         "bebbbbbbb123456" };
        static const char *const not_theirs[] = {
                "br0", "br-lan", "br-0123456789ax", "beaaaaaab123456", "bebbbbbbv123456", "eth0", "virbr", "dockery"
        };

        for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
                assert_true(firewall_is_other_bridge("aaaaaa", theirs[i]));
        for (size_t i = 0; i < ARRAY_SIZE(not_theirs); i++)
                assert_false(firewall_is_other_bridge("aaaaaa", not_theirs[i]));
}

static void allots(const NetworkRecord *record, const char *container, const char *wish_text, const char *expected)
{
        NetworkState state = make_state();
        LeaseWish wish = { container, wish_text, NULL };
        _cleanup_free_ char *ipv4 = NULL, *ipv6 = NULL;
        _cleanup_error_ Error *error = NULL;
        int r = lease_allot(&state, record, &wish, &ipv4, &ipv6, &error);

        if (r < 0)
                assert_string_equal(error->message, expected);
        else
                assert_string_equal(ipv4, expected);
        assert_null(ipv6);
}

static void test_leases(void **unused)
{
        NetworkRecord narrow = one, record = one;

        record.leases = leases;
        record.n_leases = 1;
        allots(&record, "new", NULL, "172.18.0.5"); /* 2 and 4 run, 3 is kept for who had it */
        allots(&record, "old", NULL, "172.18.0.3");
        allots(&record, "new", "172.18.0.3", "172.18.0.3"); /* asked for by name, and not running */
        allots(&record, "new", "172.18.0.2", "address 172.18.0.2 of network \"one\" is taken by container \"db-1\"");
        allots(&record, "new", "10.0.0.1", "address 10.0.0.1 is outside the subnet 172.18.0.0/16 of network \"one\"");
        narrow.ip_range = (char *)"172.18.0.4/31";
        allots(&narrow, "new", NULL, "172.18.0.5");
        narrow.ip_range = (char *)"172.18.0.4/32";
        allots(&narrow, "new", NULL, "network \"one\" has no free address left in 172.18.0.4/32");
        narrow.leases = leases;
        narrow.n_leases = 1;
        narrow.ip_range = (char *)"172.18.0.3/32";
        allots(&narrow, "new", NULL, "172.18.0.3"); /* better than none */
}

static void test_lease_notes(void **unused)
{
        _cleanup_(network_record_freep) NetworkRecord *record = network_record_create();
        Endpoint passing = second;

        record->name = (char *)"one";
        network_record_set_lease(record, "old", "172.18.0.2", NULL);
        lease_note(record, &first);
        assert_int_equal(record->n_leases, 1);
        assert_string_equal(record->leases[0].container, "db-1");
        passing.oneoff = true;
        lease_note(record, &passing);
        assert_int_equal(record->n_leases, 1);
        assert_true(lease_is_noted(record, &first));
        assert_false(lease_is_noted(record, &second));
}

static uint64_t finds(const char *table, bool udp, const char *text, uint16_t port)
{
        Address address;

        assert_true(address_parse(text, &address));
        return socket_table_find(table, udp, address, port);
}

static void test_socket_tables(void **unused)
{
        static const char tcp[] =
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   "
                "0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 "
                "0\n   1: 0100007F:1539 0100007F:9C40 06 00000000:00000000 03:00001000 00000000     0        0 0 3 0\n"
                "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 "
                "100 0\n   3: 0100007F:C350 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 "
                "4713 1 0 100 0\n";
        static const char tcp6[] =
                "   0: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A "
                "00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0\n   1: "
                "00000000000000000000000001000000:0052 00000000000000000000000000000000:0000 0A 00000000:00000000 "
                "00:00000000 00000000     0        0 4715 1 0 100 0\n";
        static const char udp[] =
                "  12: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "
                "4716 2 0 0\n";

        assert_int_equal(finds(tcp, false, "127.0.0.1", 5432), 4711);
        assert_int_equal(finds(tcp, false, "0.0.0.0", 5432), 4711);
        assert_int_equal(finds(tcp, false, "192.0.2.1", 5432), 0);
        assert_int_equal(finds(tcp, false, "127.0.0.1", 5433), 0); /* lingers only */
        assert_int_equal(finds(tcp, false, "192.0.2.1", 80), 4712);
        assert_int_equal(finds(tcp, false, "0.0.0.0", 50000), 0);    /* a client's */
        assert_int_equal(finds(tcp6, false, "127.0.0.1", 81), 4714); /* :: may stand for both */
        assert_int_equal(finds(tcp6, false, "::1", 82), 4715);
        assert_int_equal(finds(tcp6, false, "127.0.0.1", 82), 0);
        assert_int_equal(finds(udp, true, "127.0.0.1", 53), 4716);
        assert_int_equal(finds("damaged\n", true, "127.0.0.1", 53), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hosts),         cmocka_unit_test(test_hosts_head),
                cmocka_unit_test(test_resolv),        cmocka_unit_test(test_rules),
                cmocka_unit_test(test_other_bridges), cmocka_unit_test(test_names_cannot_become_rules),
                cmocka_unit_test(test_leases),        cmocka_unit_test(test_lease_notes),
                cmocka_unit_test(test_socket_tables),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
