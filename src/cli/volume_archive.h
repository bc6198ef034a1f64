/* A volume's files as a tar archive, by the system's tar. */
#ifndef BERTH_CLI_VOLUME_ARCHIVE_H
#define BERTH_CLI_VOLUME_ARCHIVE_H

#include "engine/engine.h"

/* ERROR_CONFLICT where a container that uses the volume runs, unless force. */
int check_not_running(Engine *engine, const VolumeInfo *info, bool force, Error **err);
/* path "-": standard output (refused where that is a terminal). A file appears whole or not at all. */
int volume_archive_write(const VolumeInfo *info, const char *path, Error **err);
/* path "-": standard input. Compressed archives are recognised by tar where path is a file. */
int volume_archive_read(const VolumeInfo *info, const char *path, Error **err);
bool volume_is_empty(const VolumeInfo *info);

#endif
