#include "operate/synchronous_off.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/mem.h"
#include "operate/data_folder.h"
#include "operate/receiver_control.h"
#include "operate/target.h"
#include "postgres/auto_conf_file.h"
#include "state/document.h"
#include "state/worker.h"

#define DEFAULT_FOLDER "/var/lib/postgresql/data"

static const char *folder_inside(const ContainerInfo *info)
{
        const char *folder = info->spec ? data_folder_of_spec(info->spec) : NULL;

        return folder ? folder : DEFAULT_FOLDER;
}

/* A quick look that spares a worker where there is nothing to take back; what cannot be read may hold it. */
static bool is_set(const ContainerInfo *info)
{
        _cleanup_close_ int folder = auto_conf_open_running(info->pid, folder_inside(info));

        return auto_conf_is_synchronous(folder, NULL) != 0;
}

int synchronous_off_running(const Layout *layout, Engine *engine, const ContainerInfo *info, Error **err)
{
        _cleanup_json_ json_t *params = NULL, *result = NULL;
        bool asked;
        WorkerRun run = { .job = "synchronous-off", .input_fd = -1, .cancel_fd = -1 };

        if (!info->service || info->oneoff || info->pid <= 0 || !info->project)
                return 0;
        /* A receiver that cannot say so may have ended between the change of the file and the word to the server. */
        asked = receiver_was_asked(layout, info->project, info->service) &&
                receiver_pause(layout, info->project, info->service) == 0;
        if (!asked && !is_set(info))
                return 0;
        params = json_pack("{s:s, s:s, s:o}", "project", info->project, "service", info->service, "target",
                           database_target_to_json(info));
        run.params = params;
        return worker_run(layout, &run, &result, err);
}

int synchronous_off_stopped(Engine *engine, const ContainerInfo *info, Error **err)
{
        const SpecMount *mount = NULL;
        bool is_new = false;
        _cleanup_free_ char *path =
                info->spec ? data_folder_on_host(engine, info->spec, folder_inside(info), &mount, &is_new) : NULL;
        _cleanup_close_ int folder = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        return auto_conf_clear_synchronous(folder, err);
}
