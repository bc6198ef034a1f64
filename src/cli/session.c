#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/fs.h"
#include "cli/interrupts.h"

static void *session_thread(void *argument)
{
        Session *session = argument;
        Engine *engine = session->engine;

        session->result =
                engine->operations->attach(engine, session->id, session->spec, &session->exit_code, &session->error);
        eventfd_write(session->done_fd, 1);
        return NULL;
}

int session_begin(Session *session, Engine *engine, const char *id, const ExecSpec *spec, Error **err)
{
        int r;

        *session = (Session){ .engine = engine, .id = id, .spec = spec };
        interrupts_open();
        session->done_fd = eventfd(0, EFD_CLOEXEC);
        r = pthread_create(&session->thread, NULL, session_thread, session);
        return r == 0 ? 0 : error_set_errno(err, r, "start a thread");
}

static void pass_on_interrupt(const Session *session)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;

        if (session->engine->operations->container_inspect(session->engine, session->id, &info, NULL) >= 0 &&
            info->pid > 0)
                kill(info->pid, SIGINT);
}

int session_end(Session *session, bool pass_interrupts, int *ret_exit_code, Error **err)
{
        struct pollfd pollers[] = { { .fd = session->done_fd, .events = POLLIN },
                                    { .fd = interrupts_open(), .events = POLLIN } };

        while (!pollers[0].revents) {
                if (poll(pollers, 2, -1) < 0)
                        pollers[0].revents = 0; /* a signal */
                if (interrupts_take() == 0)
                        continue;
                if (!pass_interrupts)
                        return -ERROR_CANCELLED;
                pass_on_interrupt(session);
        }
        pthread_join(session->thread, NULL);
        fs_close(session->done_fd);
        *ret_exit_code = session->exit_code;
        return session->result < 0 ? error_move(err, &session->error, session->result) : 0;
}
