/* Places for tablespaces that the log of a restored copy makes anew, at paths which are another server's or are not there: inside
 * the copy, and seen at those paths by the container that recovers it alone. Rows: [{"oid", "location"}], as the worker's jobs
 * "restore" and "reflink" give them. */
#ifndef BERTH_OPERATE_TABLESPACE_PLACES_H
#define BERTH_OPERATE_TABLESPACE_PLACES_H

#include <jansson.h>

#include "operate/restore_service.h"

/* Before the container is made: makes the folders, and adds their mounts to spec. A location in the volume of the data itself
 * (data) is a folder of the copy at the same place. Notes in rows what settle needs. */
int tablespace_places_prepare(const RestorePlaces *places, ContainerSpec *spec, const SpecMount *data, json_t *rows,
                              Error **err);
/* After the server has ended: the copy's links lead into the copy. ERROR_CORRUPT: one leads elsewhere. */
int tablespace_places_settle(const RestorePlaces *places, const json_t *rows, Error **err);

#endif
