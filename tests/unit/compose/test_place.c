#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdint.h>

#include "base/mem.h"
#include "compose/place.h"

static const struct {
        const char *pattern;
        int value;
} rules[] = {
        { "services.*.build", 0 }, { "services.*.build.args", 1 },  { "services.*.ports.[]", 2 },
        { "services.*.dns", 3 },   { "services.*.volumes.*", 4 },   { "services.*.dns_opt", 5 },
        { "networks.*", 6 },       { "services.db.build.args", 7 }, { "services.*.ports.[].target", 8 },
};

/* The rule at "services.db.ports.#1.target", where #1 is the item 1. */
static int rule_at(const char *path)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();
        Place places[16];
        size_t depth = 0;

        places[0] = place_top(PATTERNS_OF(arena, rules));
        for (const char *c = path; *c; depth++) {
                size_t length = strcspn(c, ".");

                assert_true(depth + 1 < ARRAY_SIZE(places));
                places[depth + 1] = *c == '#' ? place_item(&places[depth], (size_t)(c[1] - '0'))
                                              : place_key(&places[depth], arena_strndup(arena, c, length));
                c += length + (c[length] == '.');
        }
        return place_rule(&places[depth]);
}

static void a_rule_is_found_at_its_place_only(void **state)
{
        assert_int_equal(rule_at("services.a.build"), 0);
        assert_int_equal(rule_at("services.a.build.args"), 1);
        assert_int_equal(rule_at("services.a.build.args.x"), -1);
        assert_int_equal(rule_at("services.a.build.arg"), -1);
        assert_int_equal(rule_at("services.a.build.args2"), -1);
        assert_int_equal(rule_at("services.a.dns"), 3);
        assert_int_equal(rule_at("services.a.dns_opt"), 5);
        assert_int_equal(rule_at("services.a"), -1);
        assert_int_equal(rule_at("services"), -1);
        assert_int_equal(rule_at(""), -1);
        assert_int_equal(rule_at("networks.n"), 6);
        assert_int_equal(rule_at("services.services.networks.n"), -1);
}

static void items_and_keys_are_told_apart(void **state)
{
        assert_int_equal(rule_at("services.a.ports.#1"), 2);
        assert_int_equal(rule_at("services.a.ports.x"), -1);
        assert_int_equal(rule_at("services.a.ports.#1.target"), 8);
        assert_int_equal(rule_at("services.a.volumes.#0"), 4);
        assert_int_equal(rule_at("services.a.volumes.x"), 4);
}

static void of_two_rules_the_first_one_counts(void **state)
{
        assert_int_equal(rule_at("services.db.build.args"), 1);
}

static void places_deeper_than_any_rule_have_none(void **state)
{
        assert_int_equal(rule_at("services.a.build.args.b.c.d.e.f.g.h"), -1);
}

static void the_path_of_a_place_is_its_way_from_the_top(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();
        const Place top = place_top(PATTERNS_OF(arena, rules)), services = place_key(&top, "services");
        const Place service = place_key(&services, "a"), ports = place_key(&service, "ports"),
                    port = place_item(&ports, 2);

        assert_null(place_path(&top));
        assert_string_equal(node_path_text(arena, place_path(&port)), "services.a.ports[2]");
}

static void nothing_is_looked_at_below_what_has_no_rules(void **state)
{
        _cleanup_(arena_freep) Arena *arena = arena_create();
        const Place top = place_top(PATTERNS_OF(arena, rules)), volumes = place_key(&top, "volumes");

        assert_true(place_has_rules(&top));
        assert_false(place_has_rules(&volumes));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_rule_is_found_at_its_place_only),
                cmocka_unit_test(items_and_keys_are_told_apart),
                cmocka_unit_test(of_two_rules_the_first_one_counts),
                cmocka_unit_test(places_deeper_than_any_rule_have_none),
                cmocka_unit_test(the_path_of_a_place_is_its_way_from_the_top),
                cmocka_unit_test(nothing_is_looked_at_below_what_has_no_rules),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
