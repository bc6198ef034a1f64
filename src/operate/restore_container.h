/* Parts of restore_service.c. */
#ifndef BERTH_OPERATE_RESTORE_CONTAINER_H
#define BERTH_OPERATE_RESTORE_CONTAINER_H

#include "operate/restore_service.h"

/* Runs a worker's job, whose events become progress. params are taken. */
int restore_run_job(const ServiceRestore *restore, const char *job, json_t *params, const EngineProgress *progress,
                    json_t **ret, Error **err);
/* Has a server recover the copy in a container of its own, without network and without an archive of its own, and shuts
 * it down cleanly; or, with ret_container, leaves it running. What it learnt goes into result. */
int restore_recover(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                    json_t *result, char **ret_container, Error **err);
/* Runs the image's pg_verifybackup on the copy's files in such a container, where nothing else runs. *ret: "yes", or why it was not
 * done; the caller's. ERROR_CORRUPT: its words. */
int restore_verify_files(const ServiceRestore *restore, const RestorePlaces *places, const EngineProgress *progress,
                         char **ret, Error **err);
/* Removes that container, where an interrupted restore left it or ret_container was wanted. */
int restore_container_clear(const ServiceRestore *restore, Error **err);

#endif
