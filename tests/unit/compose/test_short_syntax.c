#include "compose_test.h"

#include "base/mem.h"
#include "compose/output.h"
#include "compose/short_syntax.h"

/* The result as JSON, or "error: …". */
static char *shown(Node *(*parse)(Arena *, const Node *, const char *, const char **), const char *text)
{
        Arena *arena = arena_create();
        const char *error = NULL;
        Node *node = parse(arena, NULL, text, &error);
        Output out = { 0 };

        if (node)
                output_json(&out, node, JSON_COMPACT);
        else
                strbuf_addf(&out.text, "error: %s", error);
        arena_free(arena);
        return strbuf_take(&out.text);
}

#define assert_parsed(parse, text, expected)                      \
        do {                                                      \
                _cleanup_free_ char *result = shown(parse, text); \
                assert_string_equal(result, expected);            \
        } while (0)

static void test_ports(void **state)
{
        assert_parsed(short_port, "80", "[{\"mode\":\"ingress\",\"target\":80,\"protocol\":\"tcp\"}]");
        assert_parsed(short_port, "[::1]:8080:80/UDP",
                      "[{\"mode\":\"ingress\",\"host_ip\":\"::1\",\"target\":80,\"published\":\"8080\",\"protocol\":"
                      "\"udp\"}]");
        assert_parsed(short_port, "8000-8010:80",
                      "[{\"mode\":\"ingress\",\"target\":80,\"published\":\"8000-8010\",\"protocol\":\"tcp\"}]");
        assert_parsed(short_port, "3000-3001:4000-4005",
                      "error: invalid ranges specified for container and host ports: 4000-4005 and 3000-3001");
        assert_parsed(short_port, "localhost:80:80", "error: invalid ip address: localhost");
        assert_parsed(short_port, "80:", "error: no port specified: \"80:\"");
        assert_parsed(short_port, "70000:80", "error: invalid host port: 70000");
}

static void test_port_ranges_are_in_the_order_of_their_text(void **state)
{
        assert_parsed(short_port, "9-11",
                      "[{\"mode\":\"ingress\",\"target\":10,\"protocol\":\"tcp\"},{\"mode\":\"ingress\",\"target\":11,"
                      "\"protocol\":\"tcp\"},"
                      "{\"mode\":\"ingress\",\"target\":9,\"protocol\":\"tcp\"}]");
}

static void test_volumes(void **state)
{
        assert_parsed(short_volume, "/data", "{\"type\":\"volume\",\"target\":\"/data\",\"volume\":{}}");
        assert_parsed(short_volume, "data:/data/../x//:ro,nocopy",
                      "{\"type\":\"volume\",\"source\":\"data\",\"target\":\"/"
                      "x\",\"read_only\":true,\"volume\":{\"nocopy\":true}}");
        assert_parsed(short_volume, "./a:/b:z,rslave,unknown",
                      "{\"type\":\"bind\",\"source\":\"./a\",\"target\":\"/"
                      "b\",\"bind\":{\"selinux\":\"z\",\"propagation\":\"rslave\",\"create_host_path\":true}}");
        assert_parsed(short_volume, ":/x", "error: invalid spec: :/x: empty section between colons");
        assert_parsed(short_volume, "/a:/b:/c:/d", "error: invalid spec: /a:/b:/c:/d: too many colons");
}

static void test_commands(void **state)
{
        assert_parsed(short_command, "sh -c \"echo 'a b'\" c\\ d ''", "[\"sh\",\"-c\",\"echo 'a b'\",\"c d\",\"\"]");
        assert_parsed(short_command, "run && rest", "[\"run\"]");
        assert_parsed(short_command, "run 2> file", "[\"run\"]");
        assert_parsed(short_command, "echo $(date \"x y\")", "[\"echo\",\"$(date \\\"x y\\\")\"]");
        assert_parsed(short_command, "", "[]");
        assert_parsed(short_command, "echo (a)",
                      "error: invalid command line string: a quote or parenthesis is not closed, or a parenthesis "
                      "stands bare");
}

static void test_sizes(void **state)
{
        static const struct {
                const char *text;
                int64_t bytes;
        } good[] = { { "512m", 536870912 }, { "1.5g", 1610612736 }, { "100", 100 },
                     { "1 KiB", 1024 },     { "2GB", 2147483648 },  { "5b", 5 } };
        static const char *const bad[] = { "", "m", "5x", "-5m", "5bb", "5kbb", "1e", "99999999p" };
        Arena *arena = arena_create();

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                const char *error = NULL;
                int64_t bytes = 0;

                assert_true(short_size(arena, good[i].text, &bytes, &error));
                assert_int_equal(bytes, good[i].bytes);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                const char *error = NULL;
                int64_t bytes;

                assert_false(short_size(arena, bad[i], &bytes, &error));
                assert_non_null(error);
        }
        arena_free(arena);
}

static void test_paths(void **state)
{
        static const char *const paths[][2] = {
                { "/a//b/../c/", "/a/c" }, { "", "." }, { "a/../..", ".." }, { "/..", "/" }, { "./x", "x" }
        };
        Arena *arena = arena_create();

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                assert_string_equal(short_clean_path(arena, paths[i][0]), paths[i][1]);
        arena_free(arena);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ports),   cmocka_unit_test(test_port_ranges_are_in_the_order_of_their_text),
                cmocka_unit_test(test_volumes), cmocka_unit_test(test_commands),
                cmocka_unit_test(test_sizes),   cmocka_unit_test(test_paths),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
