/* The form of volume.json and of the trash's entries; between the files on volumes. */
#ifndef BERTH_ENGINE_LOCAL_VOLUME_FORMAT_H
#define BERTH_ENGINE_LOCAL_VOLUME_FORMAT_H

#include "engine/fields.h"

#define VOLUME_FORMAT 1

extern const FieldTable volume_table;

/* "<nanoseconds since 1970>-<name>"; *ret_name points into entry. */
bool trash_entry_parse(const char *entry, int64_t *ret_removed_ns, const char **ret_name);

#endif
