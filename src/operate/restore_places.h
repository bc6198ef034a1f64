/* Parts of restore_service.c: where the data of a service lies, and what an interrupted restore left. */
#ifndef BERTH_OPERATE_RESTORE_PLACES_H
#define BERTH_OPERATE_RESTORE_PLACES_H

#include "operate/restore_service.h"

/* The service's container. ERROR_NOT_FOUND with a hint. */
int restore_find_container(const ServiceRestore *restore, ContainerInfo **ret, Error **err);
/* Fills what is known without a copy: container, present, inside, rest, target. *ret_mount is borrowed from info. */
int restore_find_present(const ServiceRestore *restore, const ContainerInfo *info, RestorePlaces *ret,
                         const SpecMount **ret_mount, Error **err);
/* The root of a copy that is nobody's data yet. */
bool restore_is_unfinished(const char *root);
/* Waits for the worker of a keeper that was killed, which holds the mark until it notices. */
int restore_await_writer(const char *root, Error **err);

#endif
