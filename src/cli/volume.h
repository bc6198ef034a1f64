/* Between the files of the volume commands. */
#ifndef BERTH_CLI_VOLUME_H
#define BERTH_CLI_VOLUME_H

#include "cli/command.h"
#include "engine/engine.h"

typedef struct VolumeList {
        VolumeInfo **items;
        size_t length;
} VolumeList;

void volume_list_done(VolumeList *list);
#define _cleanup_volume_list_ _cleanup_(volume_list_done)

/* volume_change.c */
extern const Command command_volume_rm, command_volume_restore, command_volume_prune, command_volume_export,
        command_volume_import;

#endif
