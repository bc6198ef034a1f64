#include "compose_test.h"

#include "base/mem.h"
#include "compose/dotenv.h"
#include "compose/template.h"

static LoadOptions options;
static Loader loader;

static int setup(void **state)
{
        loader = (Loader){ .arena = arena_create(), .options = &options };
        return 0;
}

static int teardown(void **state)
{
        strmap_done(&loader.warnings);
        arena_free(loader.arena);
        return 0;
}

static const Variable *lookup(const void *context, const char *name)
{
        static const Variable one = { "one", "test" }, empty = { "", "test" };

        return streq(name, "A") ? &one : streq(name, "E") ? &empty : NULL;
}

static void test_all_forms(void **state)
{
        static const char *const forms[][2] = {
                { "$A", "one" },
                { "${A}", "one" },
                { "${U:-d}", "d" },
                { "${A:-d}", "one" },
                { "${E:-d}", "d" },
                { "${E-d}", "" },
                { "${U-d}", "d" },
                { "${A:+x}", "x" },
                { "${E:+x}", "" },
                { "${E+x}", "x" },
                { "${U+x}", "" },
                { "${A:?no}", "one" },
                { "${E?no}", "" },
                { "$$A", "$A" },
                { "a $ b $1 $@", "a $ b $1 $@" },
                { "${U:-${U:-${A}}}", "one" },
                { "${U:-a-b:c?d}", "a-b:c?d" },
                { "${U:-x} and ${A}", "x and one" },
                { "$A-$A", "one-one" },
                { "plain", "plain" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                TemplateResult result;
                const char *error = NULL;

                assert_true(template_substitute(&loader, forms[i][0], lookup, NULL, &result, &error));
                assert_string_equal(result.text, forms[i][1]);
        }
}

static void test_what_is_wrong_is_said(void **state)
{
        static const char *const forms[][2] = {
                { "${U:?needed}", "required variable U is missing a value: needed" },
                { "${E:?}", "required variable E is missing a value" },
                { "${A:-${U?inner}}", "required variable U is missing a value: inner" },
                { "${", "invalid interpolation format" },
                { "${1}", "invalid interpolation format" },
                { "${A!b}", "invalid interpolation format" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                TemplateResult result;
                const char *error = NULL;

                assert_false(template_substitute(&loader, forms[i][0], lookup, NULL, &result, &error));
                assert_non_null(strstr(error, forms[i][1]));
        }
}

static void test_unset_variables_are_warned_of_once(void **state)
{
        TemplateResult result;
        const char *error = NULL;

        assert_true(template_substitute(&loader, "$U${U}", lookup, NULL, &result, &error));
        assert_string_equal(result.text, "");
        assert_int_equal(loader.warnings.length, 1);
        assert_string_equal(loader.warnings.entries[0].key,
                            "The \"U\" variable is not set. Defaulting to a blank string.");
}

static void test_env_files(void **state)
{
        static const char *const expected[][2] = {
                { "A", "plain" },  { "B", "two words" }, { "C", "a $A \\n" },    { "D", "line\nnext\tA $A" },
                { "F", "plainx" }, { "G", "a#b" },       { "H", "multi\nline" }, { "I", "one" },
        };
        _cleanup_(variables_done) Variables variables = { 0 };
        _cleanup_error_ Error *error = NULL;
        const char *text = "\xef\xbb\xbf# comment\nA=plain\nexport B = two words # comment\nC='a $A \\n'\n"
                           "D=\"line\\nnext\\t\\0101 \\$A\"\nF=${A}x\nG=a#b\nH='multi\nline'\nI: ${I2:-one}\n";

        assert_int_equal(dotenv_parse(&loader, "f.env", text, NULL, NULL, &variables, &error), 0);
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
                assert_string_equal(variables_get(&variables, expected[i][0])->value, expected[i][1]);
}

static void test_env_file_errors_name_the_line(void **state)
{
        _cleanup_(variables_done) Variables variables = { 0 };
        _cleanup_error_ Error *error = NULL;

        assert_int_equal(dotenv_parse(&loader, "f.env", "A=1\nB='x\n", NULL, NULL, &variables, &error), -ERROR_INVALID);
        assert_int_equal(error->line, 2);
        assert_string_equal(error->file, "f.env");
}

#define unit(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                unit(test_all_forms),
                unit(test_what_is_wrong_is_said),
                unit(test_unset_variables_are_warned_of_once),
                unit(test_env_files),
                unit(test_env_file_errors_name_the_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
