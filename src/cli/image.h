/* The verbs below `image` that are not in image.c. */
#ifndef BERTH_CLI_IMAGE_H
#define BERTH_CLI_IMAGE_H

#include "base/fs.h"
#include "cli/command.h"

extern const Command command_image_pull, command_image_load, command_image_import; /* image_fill.c */
extern const Command command_image_rm, command_image_prune;                        /* image_remove.c */

#endif
