
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/foreign.h"
#include "state/document.h"

static const char chains_text[] =
        "{\"nftables\": [{\"metainfo\": {}},"
        "{\"chain\": {\"family\": \"ip\", \"table\": \"filter\", \"name\": \"FORWARD\", \"hook\": \"forward\", \"policy\": \"drop\"}},"
        "{\"chain\": {\"family\": \"ip\", \"table\": \"filter\", \"name\": \"DOCKER-USER\"}},"
        "{\"chain\": {\"family\": \"inet\", \"table\": \"firewalld\", \"name\": \"f\", \"hook\": \"forward\", \"policy\": \"accept\"}},"
        "{\"chain\": {\"family\": \"ip\", \"table\": \"filter\", \"name\": \"INPUT\", \"hook\": \"input\", \"policy\": \"drop\"}},"
        "{\"chain\": {\"family\": \"inet\", \"table\": \"berth_bbbbbb\", \"name\": \"forward\", \"hook\": \"forward\"}},"
        "{\"chain\": {\"family\": \"inet\", \"table\": \"berth_aaaaaa\", \"name\": \"forward\", \"hook\": \"forward\"}}]}";

static void test_chains(void **state)
{
        _cleanup_foreign_chains_ ForeignChains chains = { 0 };

        assert_int_equal(foreign_parse_chains(chains_text, "berth_aaaaaa", &chains, NULL), 0);
        assert_int_equal(chains.length, 2);
        assert_true(chains.own_table);
        assert_string_equal(chains.items[0].user, "DOCKER-USER");
        assert_true(chains.items[0].drops);
        assert_string_equal(chains.items[1].table, "firewalld");
        assert_null(chains.items[1].user);
        assert_false(chains.items[1].drops);
        assert_int_equal(foreign_parse_chains("nonsense", "berth_aaaaaa", &chains, NULL), -ERROR_FAILED);
}

static void plans(const ForeignChain *chain, const char *listing_text, bool wanted, const char *expected)
{
        _cleanup_json_ json_t *listing = json_loads(listing_text, 0, NULL);
        _cleanup_strbuf_ Strbuf plan = STRBUF_INIT;

        assert_non_null(listing);
        assert_int_equal(foreign_plan(chain, listing, "aaaaaa", wanted, &plan, NULL), 0);
        assert_string_equal(strbuf_text(&plan), expected);
}

#define RULE(chain, handle, rest) "{\"rule\": {\"chain\": \"" chain "\", \"handle\": " handle ", " rest "}}"
#define OURS                      "\"comment\": \"berth_aaaaaa\", \"expr\": []"
#define RETURN                    "\"expr\": [{\"counter\": {}}, {\"return\": null}]"
#define DROP                      "\"expr\": [{\"match\": {}}, {\"drop\": null}]"
#define ACCEPT(place)                                                           \
        place " iifname \"beaaaaaab*\" accept comment \"berth_aaaaaa\"\n" place \
              " oifname \"beaaaaaab*\" accept comment \"berth_aaaaaa\"\n"

static void test_plans(void **state)
{
        ForeignChain dropping = { (char *)"ip", (char *)"filter", (char *)"FORWARD", NULL, true };
        ForeignChain accepting = { (char *)"ip", (char *)"filter", (char *)"FORWARD", NULL, false };
        ForeignChain docker = { (char *)"ip", (char *)"filter", (char *)"FORWARD", (char *)"DOCKER-USER", true };

        plans(&accepting, "{\"nftables\": []}", true, "");
        plans(&dropping, "{\"nftables\": []}", true, ACCEPT("insert rule ip filter FORWARD"));
        plans(&accepting, "{\"nftables\": [" RULE("FORWARD", "7", DROP) "]}", true,
              ACCEPT("insert rule ip filter FORWARD"));
        plans(&dropping, "{\"nftables\": [" RULE("FORWARD", "8", OURS) "," RULE("FORWARD", "9", OURS) "]}", true, "");
        plans(&dropping,
              "{\"nftables\": [" RULE("FORWARD", "7", DROP) "," RULE("FORWARD", "8", OURS) "," RULE("FORWARD", "9",
                                                                                                    OURS) "]}",
              true,
              "delete rule ip filter FORWARD handle 8\ndelete rule ip filter FORWARD handle 9\n" ACCEPT(
                      "insert rule ip filter FORWARD"));
        plans(&docker,
              "{\"nftables\": [" RULE("FORWARD", "8", OURS) "," RULE("DOCKER-USER", "3",
                                                                     DROP) "," RULE("DOCKER-USER", "4", RETURN) "]}",
              true, "delete rule ip filter FORWARD handle 8\n" ACCEPT("insert rule ip filter DOCKER-USER handle 4"));
        plans(&docker, "{\"nftables\": []}", true, ACCEPT("add rule ip filter DOCKER-USER"));
        plans(&docker, "{\"nftables\": [" RULE("DOCKER-USER", "3", OURS) "]}", false,
              "delete rule ip filter DOCKER-USER handle 3\n");
}

static void plans_legacy(const char *listing, bool wanted, const char *expected)
{
        _cleanup_strv_ char **lines = NULL;
        _cleanup_free_ char *joined = NULL;
        char ***calls;
        size_t length;

        foreign_plan_legacy(listing, "aaaaaa", wanted, &calls, &length);
        for (size_t i = 0; i < length; i++) {
                strv_take(&lines, strv_join(calls[i] + 2, " ")); /* without -w 10 */
                strv_free(calls[i]);
        }
        free(calls);
        joined = strv_join(lines, "\n");
        assert_string_equal(joined ? joined : "", expected);
}

#define LEGACY(direction) "-" direction " beaaaaaab+ -m comment --comment berth_aaaaaa -j ACCEPT"

static void test_legacy(void **state)
{
        plans_legacy("-P INPUT DROP\n-P FORWARD ACCEPT\n", true, "");
        plans_legacy("-P FORWARD DROP\n", true, "-I FORWARD 1 " LEGACY("i") "\n-I FORWARD 1 " LEGACY("o"));
        plans_legacy("-P FORWARD DROP\n-A FORWARD " LEGACY("o") "\n-A FORWARD " LEGACY("i") "\n", true, "");
        plans_legacy("-P FORWARD DROP\n-A FORWARD " LEGACY("o") "\n-A FORWARD " LEGACY("i") "\n", false,
                     "-D FORWARD " LEGACY("o") "\n-D FORWARD " LEGACY("i"));
        plans_legacy("-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A FORWARD " LEGACY(
                             "o") "\n"
                                  "-A DOCKER-USER -s 9.9.9.9/32 -j DROP\n-A DOCKER-USER -j RETURN\n",
                     true,
                     "-D FORWARD " LEGACY("o") "\n-I DOCKER-USER 2 " LEGACY("i") "\n-I DOCKER-USER 2 " LEGACY("o"));
        plans_legacy("-P FORWARD DROP\n-N DOCKER-USER\n", true,
                     "-I DOCKER-USER 1 " LEGACY("i") "\n-I DOCKER-USER 1 " LEGACY("o"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_chains),
                cmocka_unit_test(test_plans),
                cmocka_unit_test(test_legacy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
