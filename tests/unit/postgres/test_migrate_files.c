#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "postgres/migrate/plan.h"
#include "postgres/migrate/statements.h"

static void test_names(void **state)
{
        static const struct {
                const char *file;
                bool matches, up;
                uint64_t version;
                const char *name;
        } rows[] = {
                { "1_a.up.sql", true, true, 1, "a" },
                { "000012_create_users.down.sql", true, false, 12, "create_users" },
                { "20060102150405_x.up.sql", true, true, 20060102150405, "x" },
                { "3_.up.", true, true, 3, "" },
                { "4_a.down.b.up.sql", true, true, 4, "a.down.b" },
                { "18446744073709551615_max.up.sql", true, true, UINT64_MAX, "max" },
                { "18446744073709551616_over.up.sql", false, false, 0, NULL },
                { "x1_a.up.sql", false, false, 0, NULL },
                { "1a.up.sql", false, false, 0, NULL },
                { "1_a.sql", false, false, 0, NULL },
                { "1_a.up", false, false, 0, NULL },
                { "_a.up.sql", false, false, 0, NULL },
                { "README.md", false, false, 0, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t version = 0;
                char *name = NULL;
                bool up = false;

                assert_int_equal(migration_parse_name(rows[i].file, &version, &up, &name), rows[i].matches);
                if (rows[i].matches) {
                        assert_true(version == rows[i].version);
                        assert_int_equal(up, rows[i].up);
                        assert_string_equal(name, rows[i].name);
                }
                free(name);
        }
}

/* Versions 1, 2, 5 with 2's down half missing. */
static MigrationSource *make_source(void)
{
        static const uint64_t versions[] = { 1, 2, 5 };
        MigrationSource *source = xnew(MigrationSource);

        source->folder = xstrdup("/m");
        for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
                Migration *migration = vector_add_zero(&source->migrations);
                migration->version = versions[i];
                migration->up = (MigrationFile){ xasprintf("%zu.up", i), xstrdup("n") };
                if (versions[i] != 2)
                        migration->down = (MigrationFile){ xasprintf("%zu.down", i), xstrdup("n") };
        }
        return source;
}

static void free_source(MigrationSource *source)
{
        migration_source_done(source);
        free(source);
}

static char *plan_text(const MigratePlan *plan)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        VECTOR_FOREACH(step, &plan->steps)
                strbuf_addf(&text, "%d%s>%d%s ", (int)step->version, step->up ? "u" : "d", (int)step->target,
                            step->file ? "" : "!");
        strbuf_adds(&text, plan->no_change ? "no change" : plan->failure ? plan->failure : "");
        return strbuf_take(&text);
}

static void test_plans(void **state)
{
        MigrationSource *source = make_source();
        static const struct {
                char command;
                int64_t current, argument;
                const char *expected; /* NULL: refused */
        } rows[] = {
                { 'u', -1, MIGRATE_ALL, "1u>1 2u>2 5u>5 " },
                { 'u', 5, MIGRATE_ALL, "no change" },
                { 'u', 5, 1, "file does not exist" },
                { 'u', 2, 3, "5u>5 limit 2 short" },
                { 'u', 1, 1, "2u>2 " },
                { 'u', 1, 0, "no change" },
                { 'u', 3, MIGRATE_ALL, NULL },
                { 'd', 5, MIGRATE_ALL, "5d>2 2d>1! 1d>-1 " },
                { 'd', 5, 1, "5d>2 " },
                { 'd', 2, 5, "2d>1! 1d>-1 limit 3 short" },
                { 'd', -1, MIGRATE_ALL, "no change" },
                { 'd', -1, 1, "file does not exist" },
                { 'd', 4, 1, NULL },
                { 'g', -1, 2, "1u>1 2u>2 " },
                { 'g', 5, 1, "5d>2 2d>1! " },
                { 'g', 2, 2, "no change" },
                { 'g', 2, 3, NULL },
                { 'g', 3, 2, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_migrate_plan_ MigratePlan plan = { 0 };
                _cleanup_error_ Error *error = NULL;
                _cleanup_free_ char *text = NULL;
                int r = rows[i].command == 'u'
                                ? migrate_plan_up(source, rows[i].current, rows[i].argument, &plan, &error)
                        : rows[i].command == 'd'
                                ? migrate_plan_down(source, rows[i].current, rows[i].argument, &plan, &error)
                                : migrate_plan_goto(source, rows[i].current, (uint64_t)rows[i].argument, &plan, &error);
                if (!rows[i].expected) {
                        assert_int_equal(r, -ERROR_NOT_FOUND);
                        assert_non_null(strstr(error->message, "no migration found for version "));
                        continue;
                }
                assert_int_equal(r, 0);
                text = plan_text(&plan);
                assert_string_equal(text, rows[i].expected);
        }
        free_source(source);
}

static void test_empty_source(void **state)
{
        MigrationSource source = { 0 };
        _cleanup_migrate_plan_ MigratePlan plan = { 0 };

        assert_int_equal(migrate_plan_up(&source, -1, MIGRATE_ALL, &plan, NULL), 0);
        assert_string_equal(plan.failure, "first .: file does not exist");
}

static void test_duplicates_and_byte_order_mark(void **state)
{
        char folder[] = "/tmp/migrate-files-XXXXXX";
        _cleanup_free_ char *one = NULL, *two = NULL;
        _cleanup_error_ Error *error = NULL;
        MigrationSource source = { 0 };
        Strbuf text = STRBUF_INIT;

        assert_non_null(mkdtemp(folder));
        one = path_join(folder, "1_a.up.sql");
        two = path_join(folder, "01_b.up.sql");
        assert_int_equal(fs_write_file(AT_FDCWD, one, "\xef\xbb\xbfSELECT 1", 11, 0600, NULL), 0);
        assert_int_equal(migration_source_open(folder, &source, NULL), 0);
        assert_int_equal(migration_source_read(&source, "1_a.up.sql", &text, NULL), 0);
        assert_string_equal(text.data, "SELECT 1");
        strbuf_done(&text);
        migration_source_done(&source);

        assert_int_equal(fs_write_file(AT_FDCWD, two, "x", 1, 0600, NULL), 0);
        assert_int_equal(migration_source_open(folder, &source, &error), -ERROR_EXISTS);
        assert_string_equal(error->message, "duplicate migration file: 1_a.up.sql");
        fs_remove_tree(AT_FDCWD, folder, NULL);
}

static void check_split(const char *text, size_t n, const char *const *expected)
{
        Statements statements = { 0 };

        statements_split(text, &statements);
        assert_int_equal(statements.length, n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *part =
                        xstrndup(text + statements.items[i].start, statements.items[i].end - statements.items[i].start);
                assert_string_equal(part, expected[i]);
        }
        vector_done(&statements);
}

#define CHECK_SPLIT(text, ...)                                          \
        do {                                                            \
                static const char *const expected_[] = { __VA_ARGS__ }; \
                check_split(text, ARRAY_SIZE(expected_), expected_);    \
        } while (0)

static void test_split(void **state)
{
        CHECK_SPLIT("SELECT 1; SELECT 2", "SELECT 1", "SELECT 2");
        CHECK_SPLIT(";; -- nothing\n/* ; */ ;SELECT ';';", "SELECT ';'");
        CHECK_SPLIT("SELECT 'it''s; ok'; SELECT \"a;b\"", "SELECT 'it''s; ok'", "SELECT \"a;b\"");
        CHECK_SPLIT("SELECT E'\\'; '; SELECT 2", "SELECT E'\\'; '", "SELECT 2");
        CHECK_SPLIT("SELECT '\\'; SELECT 2", "SELECT '\\'", "SELECT 2");
        CHECK_SPLIT("DO $$ BEGIN x; END $$; SELECT $a$ ; $$ $a$", "DO $$ BEGIN x; END $$", "SELECT $a$ ; $$ $a$");
        CHECK_SPLIT("SELECT $1; SELECT a$1;", "SELECT $1", "SELECT a$1");
        CHECK_SPLIT("/* a /* ; */ ; */ SELECT 1; -- x;y\nSELECT 2", "SELECT 1", "SELECT 2");
        CHECK_SPLIT(
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END",
                "SELECT 2");
        CHECK_SPLIT("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; SELECT 2",
                    "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END", "SELECT 2");
        CHECK_SPLIT("BEGIN; SELECT 1; END; COMMIT", "BEGIN", "SELECT 1", "END", "COMMIT");
        CHECK_SPLIT("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
                    "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3");
}

static void test_locate(void **state)
{
        int line, column;

        statements_locate("a\r\nbc\nd", 4, &line, &column);
        assert_int_equal(line, 2);
        assert_int_equal(column, 2);
        /* Characters, not bytes. */
        statements_locate("äöü x", statements_offset_of_position("äöü x", 5), &line, &column);
        assert_int_equal(line, 1);
        assert_int_equal(column, 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),        cmocka_unit_test(test_plans),
                cmocka_unit_test(test_empty_source), cmocka_unit_test(test_duplicates_and_byte_order_mark),
                cmocka_unit_test(test_split),        cmocka_unit_test(test_locate),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
