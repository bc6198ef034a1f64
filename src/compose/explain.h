/* Where a value of the model came from, and which variables the files use. */
#ifndef BERTH_COMPOSE_EXPLAIN_H
#define BERTH_COMPOSE_EXPLAIN_H

#include "compose/project.h"

/* path: "services.db.ports[0].target"; dots in keys as they are. *ret: lines for people, owned by the caller.
 * ERROR_NOT_FOUND, with what there is instead, where the model has no such place. */
int explain_value(const Project *project, const char *path, char **ret, Error **err);

/* The variables of a project loaded without interpolation: a table, or a JSON object by name. Owned by the caller. */
char *explain_variables(const Project *project);
char *explain_variables_json(const Project *project);

#endif
