
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/local/address.h"

static void round_trip(const char *text)
{
        Address address;
        _cleanup_free_ char *back = NULL;

        assert_true(address_parse(text, &address));
        back = address_format(address);
        assert_string_equal(back, text);
}

static void test_addresses(void **state)
{
        Address address;

        round_trip("172.18.0.2");
        round_trip("fd00:1::2");
        assert_false(address_parse("172.18.0", &address));
        assert_false(address_parse("172.18.0.2/16", &address));
        assert_false(address_parse("", &address));
        assert_true(address_parse("127.9.9.9", &address) && address_is_loopback(address));
        assert_true(address_parse("::1", &address) && address_is_loopback(address));
        assert_true(address_parse("128.0.0.1", &address) && !address_is_loopback(address));
}

static Subnet subnet(const char *text)
{
        Subnet parsed;

        assert_int_equal(subnet_parse(text, &parsed, NULL), 0);
        return parsed;
}

static void refused(const char *text, const char *message, const char *hint)
{
        _cleanup_error_ Error *error = NULL;
        Subnet parsed;

        assert_int_equal(subnet_parse(text, &parsed, &error), -ERROR_INVALID);
        assert_string_equal(error->message, message);
        assert_string_equal(error->hint, hint);
}

static void test_subnets(void **state)
{
        static const char form[] = "Write it like 172.28.0.0/16.";
        Address first, last, inside;

        refused("172.28.0.0", "\"172.28.0.0\" is not a subnet", form);
        refused("172.28.0.0/33", "\"172.28.0.0/33\" is not a subnet", form);
        refused("x/8", "\"x/8\" is not a subnet", form);
        refused("172.28.0.0/-1", "\"172.28.0.0/-1\" is not a subnet", form);
        refused("172.28.1.0/16", "\"172.28.1.0/16\" is an address inside a subnet, not a subnet",
                "Write 172.28.0.0/16.");
        refused("fd00::1/64", "\"fd00::1/64\" is an address inside a subnet, not a subnet", "Write fd00::/64.");
        assert_true(address_parse("10.1.2.0", &first) && address_parse("10.1.2.255", &last) &&
                    address_parse("10.1.2.9", &inside));
        assert_false(subnet_is_usable(subnet("10.1.2.0/24"), first));
        assert_false(subnet_is_usable(subnet("10.1.2.0/24"), last));
        assert_true(subnet_is_usable(subnet("10.1.2.0/24"), inside));
        assert_true(subnet_is_usable(subnet("10.1.0.0/16"), last));
        assert_true(subnet_overlaps(subnet("10.1.0.0/16"), subnet("10.1.2.0/24")));
        assert_true(subnet_overlaps(subnet("10.1.2.0/24"), subnet("10.1.0.0/16")));
        assert_false(subnet_overlaps(subnet("10.1.2.0/24"), subnet("10.1.3.0/24")));
        assert_false(subnet_overlaps(subnet("0.0.0.0/0"), subnet("fd00::/8")));
        assert_true(subnet_contains_subnet(subnet("0.0.0.0/0"), subnet("10.1.3.0/24")));
}

static void chosen(const Subnet *taken, size_t n_taken, const char *expected)
{
        _cleanup_free_ char *text = NULL;
        Subnet choice;

        assert_int_equal(subnet_choose(taken, n_taken, &choice, NULL), 0);
        text = subnet_format(choice);
        assert_string_equal(text, expected);
}

static void test_choice(void **state)
{
        Subnet taken[] = { subnet("172.18.4.0/24"), subnet("172.16.0.0/12"), subnet("192.168.0.0/17"),
                           subnet("192.168.0.0/16") };
        Subnet choice, again;

        chosen(NULL, 0, "172.18.0.0/16");
        chosen(taken, 1, "172.19.0.0/16");
        chosen(taken, 2, "192.168.0.0/20");
        chosen(taken, 3, "192.168.128.0/20");
        assert_int_equal(subnet_choose(taken, 4, &choice, NULL), -ERROR_CONFLICT);
        choice = subnet_choose_ipv6("a network", NULL, 0);
        assert_int_equal(choice.prefix, 64);
        assert_true(subnet_contains(subnet("fd00::/8"), choice.address));
        again = subnet_choose_ipv6("a network", NULL, 0);
        assert_true(address_equal(choice.address, again.address));
        again = subnet_choose_ipv6("a network", &choice, 1);
        assert_false(address_equal(choice.address, again.address));
}

static void test_routes(void **state)
{
        _cleanup_routes_ Routes routes = { 0 };
        _cleanup_free_ char *first = NULL, *second = NULL;

        routes_parse_ipv4("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
                          "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
                          "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
                          &routes);
        routes_parse_ipv6("fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
                          "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n"
                          "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
                          "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n"
                          "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
                          "00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n",
                          &routes);
        assert_int_equal(routes.length, 2);
        first = subnet_format(routes.items[0].subnet);
        second = subnet_format(routes.items[1].subnet);
        assert_string_equal(first, "192.0.2.0/24");
        assert_string_equal(routes.items[0].interface, "eth0");
        assert_string_equal(second, "fd00::/64");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_subnets),
                cmocka_unit_test(test_choice),
                cmocka_unit_test(test_routes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
