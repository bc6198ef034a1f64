#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "operate/dump_private.h"
#include "operate/sql.h"

#define FOLDER_INSIDE "/proc/self/fd/0" /* its standard input, whatever it sees of this machine's folders */
#define ERRORS_LIMIT  ((size_t)256 * 1024)
#define MOST_JOBS     4

/* "pg_dump: error: no matching tables were found": the first line that is an error, else the last one that is no hint.
 */
static char *reason_of(const char *errors, const char *program)
{
        _cleanup_strv_ char **lines = strv_split(errors, '\n');
        const char *found = NULL, *start;

        STRV_FOREACH(line, lines) {
                if (!**line || strstr(*line, "hint:") || startswith(*line, "Try "))
                        continue;
                if (strstr(*line, "error:") || strstr(*line, "ERROR:") || strstr(*line, "FATAL:")) {
                        found = *line;
                        break;
                }
                found = *line;
        }
        if (!found)
                return xasprintf("%s said nothing", program);
        start = strstr(found, "error: ");
        return start ? xasprintf("%s: %s", program, start + strlen("error: ")) : xstrdup(found);
}

static void pass_on_warnings(const DumpRun *run, const char *errors)
{
        _cleanup_strv_ char **lines = strv_split(errors, '\n');

        STRV_FOREACH(line, lines)
                if (**line && run->progress->warning)
                        run->progress->warning(run->progress->context, *line);
}

int dump_program(const DumpRun *run, char *const *argv, int folder_fd, int output_fd, Error **err)
{
        Engine *engine = run->options->engine;
        _cleanup_close_ int errors_fd = fs_memory_file("errors", NULL, 0, err);
        ExecSpec spec = { .argv = argv,
                          .environment = run->environment,
                          .user = folder_fd >= 0 ? "0" : NULL,
                          .stdin_fd = folder_fd,
                          .stdout_fd = output_fd,
                          .stderr_fd = errors_fd,
                          .cancel_fd = run->progress->cancel_fd };
        _cleanup_strbuf_ Strbuf errors = STRBUF_INIT;
        _cleanup_free_ char *reason = NULL;
        int code = 0, r = errors_fd;

        if (r >= 0)
                r = engine->operations->exec_stdio(engine, run->options->container->id, &spec, &code, err);
        if (r < 0)
                return r;
        lseek(errors_fd, 0, SEEK_SET);
        fs_read_fd(errors_fd, ERRORS_LIMIT, &errors, NULL);
        if (code == 0) {
                pass_on_warnings(run, strbuf_text(&errors));
                return 0;
        }
        reason = reason_of(strbuf_text(&errors), argv[0]);
        return error_set(err, ERROR_FAILED, "%s", reason);
}

int dump_list_databases(const DumpRun *run, char ***ret, Error **err)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_strv_ char **lines = NULL;
        int r = sql_run(run->options->engine, run->options->container, NULL,
                        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname;\n",
                        &text, err);

        if (r < 0)
                return r;
        lines = strv_split(text, '\n');
        STRV_FOREACH(line, lines)
                if (**line)
                        strv_add(ret, *line);
        return 0;
}

static void add_each(char ***argv, const char *option, char *const *values)
{
        STRV_FOREACH(value, values)
                strv_addf(argv, "%s=%s", option, *value);
}

static int jobs_of(const DumpOptions *options)
{
        long processors = sysconf(_SC_NPROCESSORS_ONLN);

        return options->jobs > 0 ? options->jobs : (int)MIN(MAX(processors, 1L), (long)MOST_JOBS);
}

int dump_one(const DumpRun *run, const char *database, const char *name, int folder_fd, int output_fd, Error **err)
{
        static const char *const formats[] = { "custom", "directory", "plain" };
        const DumpOptions *options = run->options;
        _cleanup_strv_ char **argv = strv_new("pg_dump", "--no-password", NULL);

        strv_addf(&argv, "--format=%s", formats[options->format]);
        if (options->format == DUMP_DIRECTORY) {
                strv_addf(&argv, "--jobs=%d", jobs_of(options));
                strv_addf(&argv, "--file=" FOLDER_INSIDE "/%s", name);
        }
        add_each(&argv, "--table", options->tables);
        add_each(&argv, "--schema", options->schemas);
        strv_add_all(&argv, options->arguments);
        strv_addf(&argv, "--dbname=%s", database);
        return dump_program(run, argv, options->format == DUMP_DIRECTORY ? folder_fd : -1, output_fd, err);
}

int dump_cluster(const DumpRun *run, bool roles_only, int output_fd, Error **err)
{
        _cleanup_strv_ char **argv = strv_new("pg_dumpall", "--no-password", NULL);

        if (roles_only)
                strv_add(&argv, "--roles-only");
        if (run->options->no_role_passwords)
                strv_add(&argv, "--no-role-passwords");
        if (!roles_only)
                strv_add_all(&argv, run->options->arguments);
        return dump_program(run, argv, -1, output_fd, err);
}

int dump_check_archive(const DumpRun *run, const char *name, int folder_fd, Error **err)
{
        _cleanup_free_ char *inside = xasprintf(FOLDER_INSIDE "/%s", name);
        _cleanup_strv_ char **argv = strv_new("pg_restore", "--list", inside, NULL);
        _cleanup_error_ Error *reason = NULL;

        if (dump_program(run, argv, folder_fd, -1, &reason) == 0)
                return 0;
        return error_set(err, ERROR_CORRUPT, "what was written cannot be read back: %s", reason->message);
}

int dump_check_script(const char *tail, size_t length, Error **err)
{
        static const char last[] = "PostgreSQL database";

        if (length > 0 && memmem(tail, length, last, strlen(last)) && (memmem(tail, length, "dump complete", 13)))
                return 0;
        return error_set(err, ERROR_CORRUPT, "the end is missing of what was written");
}
