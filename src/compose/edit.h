/* Changing one value in a compose file of a person's: nothing else of the file changes, not a blank. */
#ifndef BERTH_COMPOSE_EDIT_H
#define BERTH_COMPOSE_EDIT_H

#include "compose/project.h"

/* Where services.<service>.image stands, "compose.yaml:4"; owned by the caller. ERROR_UNSUPPORTED where its value is
 * not written there as it is (a variable, an anchor, another file's default): the hint says what to change by hand. */
int edit_find_image(const Project *project, const char *service, char **ret_place, Error **err);
/* Puts image in its place, durably and all or nothing; mode and owner of the file stay. */
int edit_replace_image(const Project *project, const char *service, const char *image, Error **err);

#endif
