#include "compose_test.h"

#include "base/mem.h"
#include "compose/output.h"
#include "compose/yaml_tree.h"

static Arena *arena;

static int setup(void **state)
{
        arena = arena_create();
        return 0;
}

static int teardown(void **state)
{
        arena_free(arena);
        return 0;
}

static Node *parsed(const char *text)
{
        YamlDocuments documents = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(yaml_parse(arena, "f.yaml", text, strlen(text), &documents, &error), 0);
        assert_int_equal(documents.length, 1);
        return documents.roots[0];
}

static void assert_json(const char *text, const char *expected)
{
        _cleanup_output_ Output out = { 0 };

        output_json(&out, parsed(text), JSON_COMPACT);
        assert_string_equal(strbuf_text(&out.text), expected);
}

/* What comes from one anchor twice is changed in place afterwards, each on its own. */
static void test_merged_values_are_copies(void **state)
{
        const Node *root = parsed("x: &x {k: [1], l: 2}\na: {<<: *x, l: 3}\nb: {<<: [*x], m: {n: *x}}\n");
        const Node *x = node_get(root, "x"), *a = node_get(root, "a"), *b = node_get(root, "b");
        const Node *n = node_get(node_get(b, "m"), "n");

        assert_true(node_equal(node_get(a, "k"), node_get(x, "k")) && node_equal(n, x));
        assert_ptr_not_equal(node_get(a, "k"), node_get(x, "k"));
        assert_ptr_not_equal(node_get(a, "k"), node_get(b, "k"));
        assert_ptr_not_equal(node_get(b, "l"), node_get(x, "l"));
        assert_ptr_not_equal(node_get(n, "k"), node_get(x, "k"));
}

static void assert_refused(const char *text, int line, const char *part)
{
        YamlDocuments documents = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(yaml_parse(arena, "f.yaml", text, strlen(text), &documents, &error), -ERROR_INVALID);
        assert_int_equal(error->line, line);
        assert_non_null(strstr(error->message, part));
}

static void test_scalars_have_the_types_of_the_reference(void **state)
{
        assert_json("[true, yes, 0123, 0o17, 1_000, 1e3, 22:22, ~, '', \"5\", 0x1F, -5, +5, .5, 08]",
                    "[true,\"yes\",83,15,1000,1000,\"22:22\",null,\"\",\"5\",31,-5,5,0.5,8]");
        assert_json("18446744073709551615", "18446744073709551615");
}

static void test_merge_keys(void **state)
{
        assert_json("{x: &a {p: 1, q: 1}, y: &b {q: 2, r: 2}, z: {<<: [*a, *b], p: 3}}",
                    "{\"x\":{\"p\":1,\"q\":1},\"y\":{\"q\":2,\"r\":2},\"z\":{\"p\":3,\"q\":1,\"r\":2}}");
}

static void test_every_node_knows_its_place(void **state)
{
        const Node *root = parsed("a:\n  - b\n  - c: d\n");
        const Node *list = node_get(root, "a"), *text = node_get(list->items[1], "c");

        assert_int_equal(list->items[0]->line, 2);
        assert_int_equal(list->items[0]->column, 5);
        assert_int_equal(text->line, 3);
        assert_int_equal(text->column, 8);
        assert_string_equal(node_file(text), "f.yaml");
}

static void test_mistakes_are_refused_with_their_line(void **state)
{
        assert_refused("a: 1\nb: 2\na: 3\n", 3, "already defined at line 1");
        assert_refused("a: {1: x}\n", 1, "non-string key");
        assert_refused("a: *b\n", 1, "unknown anchor");
        assert_refused("a: &a [*a]\n", 1, "contains itself");
        assert_refused("a: {<<: text}\n", 1, "map merge requires");
        assert_refused("a: \"x\\0y\"\n", 1, "NUL");
}

static void test_explosions_are_bounded(void **state)
{
        _cleanup_strbuf_ Strbuf bomb = STRBUF_INIT, deep = STRBUF_INIT;

        strbuf_adds(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (int i = 1; i < 10; i++) {
                strbuf_addf(&bomb, "a%d: &a%d [", i, i);
                for (int j = 0; j < 10; j++)
                        strbuf_addf(&bomb, "%s*a%d", j ? ", " : "", i - 1);
                strbuf_adds(&bomb, "]\n");
        }
        assert_refused(strbuf_text(&bomb), 6, "aliases expand");
        for (int i = 0; i < 1000; i++)
                strbuf_addc(&deep, '[');
        assert_refused(strbuf_text(&deep), 1, "nested deeper");
}

static void test_large_maps_find_their_keys(void **state)
{
        Node *map = node_new_map(arena, NULL);

        for (int i = 0; i < 5000; i++)
                node_set(arena, map, arena_printf(arena, "key%d", i), node_new_int(arena, i, NULL));
        for (int i = 0; i < 5000; i += 2)
                assert_int_equal(node_get(map, arena_printf(arena, "key%d", i))->integer, i);
        assert_true(node_remove(map, "key7"));
        assert_null(node_get(map, "key7"));
        assert_int_equal(node_get(map, "key4999")->integer, 4999);
        node_sort(map);
        assert_int_equal(node_get(map, "key1234")->integer, 1234);
}

#define unit(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                unit(test_scalars_have_the_types_of_the_reference),
                unit(test_merge_keys),
                unit(test_merged_values_are_copies),
                unit(test_every_node_knows_its_place),
                unit(test_mistakes_are_refused_with_their_line),
                unit(test_explosions_are_bounded),
                unit(test_large_maps_find_their_keys),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
