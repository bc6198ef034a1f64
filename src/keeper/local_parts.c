#include "keeper/local_parts.h"
#include "operate/tls_serve.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "engine/local/lifecycle.h"
#include "engine/local/local.h"
#include "engine/local/network.h"
#include "engine/local/ports.h"
#include "engine/local/volume.h"
#include "image/remove.h"

/* Takes the ports and gives them back: whoever has one of them is named by the error. */
static int check_ports(const Layout *layout, const char *container, const SpecPort *ports, size_t n_ports, Error **err)
{
        _cleanup_held_ports_ HeldPorts held = { 0 };

        return ports_hold(layout, container, ports, n_ports, &held, err);
}

static int remove_image(const Layout *layout, Engine *engine, const char *reference, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_image_removal_ ImageRemoval removal = { 0 };
        _cleanup_strv_ char **used = NULL;
        int r = engine->operations->container_list(engine, NULL, &list, err);

        for (size_t i = 0; r >= 0 && i < list.length; i++)
                if (list.items[i]->image_id)
                        strv_add(&used, list.items[i]->image_id);
        return r < 0 ? r : image_remove(layout, reference, false, used, &removal, err);
}

void local_parts_leave_cgroups(void)
{
        _cleanup_free_ char *pid = xasprintf("%d", (int)getpid());
        _cleanup_strv_ char **roots = cgroup_paths("");

        STRV_FOREACH(root, roots) {
                _cleanup_free_ char *path = path_join(*root, "cgroup.procs");
                _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
                if (fd >= 0 && write(fd, pid, strlen(pid)) < 0)
                        log_debug("cgroup %s cannot be entered", *root);
        }
}

int local_parts_fill(KeeperParts *parts, Engine **ret_engine, Error **err)
{
        _cleanup_error_ Error *reason = NULL;
        int r = local_engine_create(parts->layout, ret_engine, err);

        if (r < 0)
                return r;
        parts->engine = *ret_engine;
        parts->check_network = network_check_spec;
        parts->check_volume = volume_check_spec;
        parts->note_volume = volume_set_written_by;
        parts->check_ports = check_ports;
        parts->remove_image = remove_image;
        parts->protect = !streq_ptr(getenv("BERTH_BACKUP"), "off");
        parts->backup_schedule = getenv("BERTH_BACKUP_SCHEDULE");
        parts->renew_certificate = tls_renew_container;
        parts->watch_fd = -1;
        parts->watch_read = local_network_watch_read;
        parts->watch_repair = local_network_refresh;
        if (local_network_watch_fd(&parts->watch_fd, &reason) < 0)
                log_failure(LOG_LEVEL_WARNING, reason, "watch firewall rules");
        return 0;
}
