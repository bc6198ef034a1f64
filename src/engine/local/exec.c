#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/exec_process.h"
#include "engine/local/private.h"

/* The runtime's own failure, told apart from the command's by its words: with Docker's exit codes. */
static int exit_code_of(int status, const char *text)
{
        if (status != 255 || !strstr(text, "exec failed"))
                return status;
        return strstr(text, "not found") || strstr(text, "no such file") ? 127 : 126;
}

int local_exec(Engine *engine, const char *id, const ExecSpec *spec, ExecResult *ret, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_exec_process_ ExecProcess process = { 0 };
        _cleanup_process_result_ ProcessResult result = { 0 };
        ProcessRun run = PROCESS_RUN_INIT;
        int r = local_running(engine, id, false, &record, err);

        *ret = (ExecResult){ 0 };
        if (r >= 0)
                r = exec_process_prepare(engine_layout(engine), record, spec, NULL, &process, err);
        if (r < 0)
                return r;
        if (process.failure) {
                ret->exit_code = process.failure;
                ret->output = xasprintf("%s\n", process.reason);
                return 0;
        }
        run.spec.argv = process.argv;
        run.spec.directory = "/";
        run.timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : -1;
        run.output_limit = spec->output_limit;
        run.merge_errors = true;
        r = process_run(&run, &result, err);
        if (r < 0)
                return r;
        if (result.timed_out)
                kill_process_tree(exec_process_pid(&process));
        ret->timed_out = result.timed_out;
        ret->exit_code = exit_code_of(result.status, strbuf_text(&result.output));
        ret->output = strbuf_take(&result.output);
        return 0;
}

int local_exec_stdio(Engine *engine, const char *id, const ExecSpec *spec, int *ret_exit_code, Error **err)
{
        _cleanup_record_ ContainerRecord *record = NULL;
        _cleanup_exec_process_ ExecProcess process = { 0 };
        ProcessSpec child = PROCESS_SPEC_INIT;
        Process started;
        int r = local_running(engine, id, false, &record, err);

        if (r >= 0)
                r = exec_process_prepare(engine_layout(engine), record, spec, NULL, &process, err);
        if (r < 0)
                return r;
        if (process.failure) {
                if (spec->stderr_fd >= 0)
                        dprintf(spec->stderr_fd, "%s\n", process.reason);
                *ret_exit_code = process.failure;
                return 0;
        }
        child.argv = process.argv;
        child.directory = "/";
        child.stdin_fd = spec->stdin_fd;
        child.stdout_fd = spec->stdout_fd;
        child.stderr_fd = spec->stderr_fd;
        r = process_spawn(&child, &started, err);
        return r < 0 ? r : process_wait(&started, -1, ret_exit_code, err);
}
