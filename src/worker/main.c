/* berth-worker: one job, then the end. It is stopped by SIGTERM, and gives up when its parent is gone. */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "state/document.h"
#include "worker/job.h"

#define PARAMS_FD    3
#define PARAMS_LIMIT ((size_t)16 * 1024 * 1024)

static int cancel_fd = -1;

static void on_signal(int signal_number)
{
        int saved = errno;
        uint64_t one = 1;

        if (write(cancel_fd, &one, sizeof(one)) < 0)
                _exit(128 + signal_number);
        errno = saved;
}

/* A pipe whose reader is gone reports an error; everything else never does. */
static void *watch_reader(void *context)
{
        struct pollfd item = { .fd = STDOUT_FILENO };

        while (poll(&item, 1, -1) <= 0)
                ;
        on_signal(SIGTERM);
        return NULL;
}

static int prepare(Error **err)
{
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
        pthread_t thread;

        cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (cancel_fd < 0)
                return error_set_errno(err, errno, "make an event descriptor");
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        umask(022);
        /* Without it libarchive cannot give names that are not ASCII. */
        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                setlocale(LC_CTYPE, "");
        if (pthread_create(&thread, NULL, watch_reader, NULL) != 0)
                return error_set(err, ERROR_INTERNAL, "start a thread");
        pthread_detach(thread);
        return 0;
}

/* From the command line when run by hand, else from the descriptor. */
static int read_params(int argc, char **argv, json_t **ret, Error **err)
{
        _cleanup_strbuf_ Strbuf text = STRBUF_INIT;
        int r;

        if (argc > 2) {
                strbuf_adds(&text, argv[2]);
        } else {
                r = fs_read_fd(PARAMS_FD, PARAMS_LIMIT, &text, err);
                if (r < 0)
                        return error_prefix(err, r, "parameters");
        }
        *ret = json_loadb(strbuf_text(&text), text.length, 0, NULL);
        if (!json_is_object(*ret))
                return error_set(err, ERROR_USAGE, "the parameters are not a JSON object");
        return 0;
}

static int run_entry(const JobEntry *entry, int argc, char **argv, json_t **ret, Error **err)
{
        _cleanup_(layout_freep) Layout *layout = layout_create();
        _cleanup_json_ json_t *params = NULL;
        Job job = { .layout = layout };
        int r = prepare(err);

        if (r == 0)
                r = read_params(argc, argv, &params, err);
        if (r == 0 && !entry->folderless)
                r = layout_prepare(layout, err);
        if (r < 0)
                return r;
        job.params = params;
        job.cancel_fd = cancel_fd;
        return entry->run(&job, ret, err);
}

static int usage(void)
{
        fputs("usage: berth-worker JOB [PARAMETERS]\n\njobs:\n", stderr);
        for (size_t i = 0; i < job_table_length; i++)
                fprintf(stderr, "  %-10s %s\n", job_table[i].name, job_table[i].summary);
        return 2;
}

int main(int argc, char **argv)
{
        const JobEntry *entry = NULL;
        _cleanup_error_ Error *error = NULL;
        json_t *result = NULL;
        int r;

        for (size_t i = 0; argc >= 2 && i < job_table_length; i++)
                if (streq(job_table[i].name, argv[1]))
                        entry = &job_table[i];
        if (!entry || argc > 3)
                return usage();
        r = run_entry(entry, argc, argv, &result, &error);
        if (r < 0) {
                job_emit(json_pack("{s:o}", "error", json_from_error(error)));
                return error_kind_exit_status(error->kind);
        }
        job_emit(json_pack("{s:o}", "result", result ? result : json_object()));
        return 0;
}
