/* The commands that the table lists, one `const Command command_<name>` each, defined in the verb's file. */
#ifndef BERTH_CLI_VERBS_H
#define BERTH_CLI_VERBS_H

#include "cli/command.h"

#define GUIDE_VERBS 12

extern const Command command_init, command_up, command_create, command_scale, command_start, command_stop,
        command_restart, command_down, command_kill, command_rm, command_pause, command_unpause, command_run,
        command_exec, command_attach, command_psql, command_wait, command_pull, command_cp;
extern const Command command_ps, command_logs, command_top, command_stats, command_events, command_port, command_config,
        command_images, command_volumes, command_inspect, command_ls, command_tune;
extern const Command command_schedule, command_secret, command_secure;
extern const Command command_secret, command_secure, command_role;
extern const Command command_seed, guide_commands[GUIDE_VERBS];
extern const Command command_migrate, command_upgrade, command_image, command_volume, command_network;
extern const Command command_seed, command_verify, guide_commands[GUIDE_VERBS];
extern const Command command_backup, command_dump, command_load;
extern const Command command_backup, command_restore, command_recover;
extern const Command command_backup;
extern const Command command_backup, command_restore, command_clone;
extern const Command command_release;
extern const Command command_backup, command_restore, command_clone, command_drill;
extern const Command command_release, command_status;
extern const Command command_migrate, command_image, command_volume, command_network;
extern const Command command_system, command_enable, command_disable, command_version, command_help, command_completion,
        command_complete;

#endif
