#include "postgres/entrypoint/ahead.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/process.h"
#include "base/strv.h"
#include "postgres/entrypoint/child.h"
#include "postgres/entrypoint/first_start.h"
#include "postgres/entrypoint/messages.h"
#include "postgres/entrypoint/run.h"
#include "postgres/entrypoint/stage.h"

#define PROGRAM_LIMIT ((size_t)8 * 1024 * 1024)

/* An entrypoint that takes a folder with PG_VERSION for a database: the official script and its descendants, which all
 * have this function, and our own program, which offers it. */
static bool knows_databases(const char *name)
{
        static const char word[] = "docker_init_database_dir";
        _cleanup_free_ char *program = process_find(name);
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;

        return program && fs_read_file(AT_FDCWD, program, PROGRAM_LIMIT, &text, NULL) == 0 &&
               memmem(text.data, text.length, word, sizeof(word) - 1);
}

static int start_from_template(char **server)
{
        _cleanup_strv_ char **argv = strv_new("/proc/self/exe", "--step", "ahead", NULL);
        _cleanup_error_ Error *error = NULL;
        int status = 0;

        strv_add_all(&argv, server);
        if (child_watch_signals(&error) == 0 && child_run(argv, NULL, &status, &error) < 0 && !child_stop_signal())
                say_error(error);
        return child_stop_signal() ? 128 + child_stop_signal() : 0;
}

int run_ahead(char **argv)
{
        _cleanup_strv_ char **server = argv[0] ? run_server_arguments(argv + 1) : NULL;
        sigset_t none;
        int status = 0;

        if (server && knows_databases(argv[0]))
                status = start_from_template(server);
        if (status)
                return status;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        return run_command(path_basename(argv[0]), argv);
}

int run_ahead_step(char **args)
{
        _cleanup_settings_ Settings settings = { 0 };
        _cleanup_error_ Error *error = NULL;

        if (settings_load(&settings, &error) < 0 || child_watch_signals(&error) < 0 ||
            run_prepare(&settings, &error) < 0 || first_start_from_template(&settings, args + 1, &error) < 0) {
                fprintf(stderr, "warning: %s; the image's own first start makes the cluster instead\n", error->message);
                return 1;
        }
        return 0;
}
