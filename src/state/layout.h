/* Where things live. The three roots can be moved by BERTH_DATA_DIR, BERTH_RUN_DIR and BERTH_CONFIG_DIR.
 *
 * Data (durable):
 *   format.json                      the installation: format number and installation id
 *   images/                          the image store (see image/store.h)
 *   templates/                       initialised clusters, kept to be copied
 *   volumes/<name>/{_data/,volume.json}
 *   trash/<time>-<name>/             volumes that were removed, kept for seven days
 *   networks/<name>.json             networks: subnet, bridge, the leases of addresses
 *   projects/<project>/project.json  what was last brought up
 *   projects/<project>/containers/<id>/{container.json,state.json,upper/,work/,logs/}
 *   names/<container name>           links to <project>/<id>
 *   backups/<project>/<service>/
 * Run (rebuilt after a reboot; every file carries the boot id):
 *   lock                             shared by all projects: addresses, ports, names
 *   networks/<name>/<container id>.json   endpoints that exist now
 *   <project>/{keeper.sock,keeper.pid,keeper.lock,health.json}
 *   <project>/containers/<id>/       bundle, monitor's files, netns, merged root
 *   <project>/secrets/               a tmpfs
 * A project's folder in the run root is its name; the names "lock" and "networks" are kept apart by the
 * subfolder "projects": <run>/projects/<project>/. */
#ifndef BERTH_STATE_LAYOUT_H
#define BERTH_STATE_LAYOUT_H

#include "base/error.h"

typedef struct Layout {
        char *data_dir, *run_dir, *config_dir; /* absolute, owned */
        char *libexec_dir;                     /* berth-keeper and its sisters; BERTH_LIBEXEC_DIR */
        char *id;                              /* 6 hex digits that set this installation apart in the kernel's names */
} Layout;

/* Reads the environment; makes nothing. id is derived from data_dir's path (first 6 hex digits of its SHA-256). */
Layout *layout_create(void);
void layout_free(Layout *layout);
DEFINE_CLEANUP(Layout, layout_free);

/* Makes the data and run roots (0700 would hide volumes from container users below: 0711), checks the format number:
 * ERROR_UNSUPPORTED where a newer Berth wrote them. Needs root: ERROR_DENIED with a hint otherwise. */
int layout_prepare(const Layout *layout, Error **err);

/* Paths, owned by the caller. The format's result is appended to "<root>/". */
char *layout_data(const Layout *layout, const char *format, ...) _printf_(2, 3);
char *layout_run(const Layout *layout, const char *format, ...) _printf_(2, 3);
char *layout_config(const Layout *layout, const char *format, ...) _printf_(2, 3);
char *layout_libexec(const Layout *layout, const char *program);

/* Kernel's random boot id, owned by the caller; "" where unknown. */
char *layout_boot_id(void);
/* [a-z0-9][a-z0-9_-]*, at most 63 bytes: what a project may be called. */
bool layout_project_name_is_valid(const char *name);

#endif
