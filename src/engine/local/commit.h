/* Bringing the kernel's rules and all hosts files in line with the state files. Changes that come at the same time, of one
 * process or several, are brought over together: whoever waits while another works finds his own done. */
#ifndef BERTH_ENGINE_LOCAL_COMMIT_H
#define BERTH_ENGINE_LOCAL_COMMIT_H

#include "base/error.h"
#include "state/layout.h"

/* The lock <run>/lock: addresses, ports, names. Held for the time of a few file operations only. */
int network_lock(const Layout *layout, int *ret_fd, Error **err);

/* Counts a change of the state files, made under the lock; *ret is for network_commit. */
int network_note_change(const Layout *layout, uint64_t *ret, Error **err);
/* Returns when that change, and perhaps later ones, are in effect. */
int network_commit(const Layout *layout, uint64_t change, Error **err);
/* Looks whether everything is in effect, also what depends on others' bridges. force: does it all again, whatever was
 * done before. */
int network_commit_all(const Layout *layout, bool force, Error **err);

#endif
