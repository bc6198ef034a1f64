/* The locale en_US.UTF-8, which the official image has and a server machine often has not. It is compiled once for a
 * version of libc: at build time beside our programs, else on first use into the store. */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "image/host.h"

#define LOCALE_FOLDER "/usr/lib/locale"
#define LOCALE_NAME   "en_US.utf8"

const char *host_libc_version(void)
{
        return gnu_get_libc_version();
}

/* An archive is looked at by its index, which only localedef reads: it lists what is in there. */
static bool archive_has_locale(void)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[] = { "localedef", "--list-archive", NULL };
        ProcessRun run = PROCESS_RUN_INIT;
        _cleanup_strv_ char **names = NULL;

        if (!fs_exists(LOCALE_FOLDER "/locale-archive"))
                return false;
        run.spec.argv = (char *const *)argv;
        run.timeout_ms = 10000;
        if (process_run_checked(&run, &result, NULL) < 0)
                return false;
        names = strv_split(strbuf_text(&result.output), '\n');
        return strv_contains(names, LOCALE_NAME);
}

bool host_has_locale(void)
{
        return fs_is_directory(LOCALE_FOLDER "/" LOCALE_NAME) || archive_has_locale();
}

/* The machine's C.utf8 comes along, since the folder hides the one that has it. */
static int copy_c_locale(const char *folder, Error **err)
{
        _cleanup_free_ char *target = path_join(folder, "C.utf8");
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[] = { "cp", "-a", LOCALE_FOLDER "/C.utf8", target, NULL };
        ProcessRun run = PROCESS_RUN_INIT;

        if (!fs_is_directory(LOCALE_FOLDER "/C.utf8"))
                return 0;
        run.spec.argv = (char *const *)argv;
        return process_run_checked(&run, &result, err);
}

static int compile_locale(const char *folder, Error **err)
{
        _cleanup_free_ char *target = path_join(folder, LOCALE_NAME);
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[] = { "localedef", "--no-archive", "-i", "en_US", "-f", "UTF-8", target, NULL };
        ProcessRun run = PROCESS_RUN_INIT;

        run.spec.argv = (char *const *)argv;
        run.timeout_ms = 120000;
        return process_run_checked(&run, &result, err);
}

/* The caller's umask may be strict; the container's users must be able to read it. */
static int open_up(const char *folder, Error **err)
{
        _cleanup_process_result_ ProcessResult result = { 0 };
        const char *argv[] = { "chmod", "-R", "a+rX", folder, NULL };
        ProcessRun run = PROCESS_RUN_INIT;

        run.spec.argv = (char *const *)argv;
        return process_run_checked(&run, &result, err);
}

static int make_locale(const char *folder, Error **err)
{
        _cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", folder, (int)gettid());
        int r;

        r = fs_make_directories(temporary, 0755, err);
        if (r == 0)
                r = compile_locale(temporary, err);
        if (r == 0)
                r = copy_c_locale(temporary, err);
        if (r == 0)
                r = open_up(temporary, err);
        if (r == 0 && rename(temporary, folder) < 0 && !fs_is_directory(folder))
                r = error_set_errno(err, errno, "rename to \"%s\"", folder);
        fs_remove_tree(AT_FDCWD, temporary, NULL);
        return r;
}

char *host_locale_folder(const Layout *layout)
{
        _cleanup_free_ char *name = xasprintf("locale-%s", host_libc_version());
        _cleanup_free_ char *built = layout_libexec(layout, name), *made = layout_data(layout, "images/host/%s", name);
        _cleanup_free_ char *compiled = path_join(built, LOCALE_NAME);

        if (fs_is_directory(compiled))
                return TAKE_PTR(built);
        if (fs_is_directory(made) || make_locale(made, NULL) == 0)
                return TAKE_PTR(made);
        return NULL;
}
