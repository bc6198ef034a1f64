/* What concerns a database as a whole, for operate/roles.c. */
#ifndef BERTH_OPERATE_ROLES_PRIVATE_H
#define BERTH_OPERATE_ROLES_PRIVATE_H

#include "operate/roles.h"

/* Roles that may connect only because everybody may, apart from those of the wishes: "a, b", or "" for none; NULL where
 * not everybody may. *ret is the caller's. */
int roles_find_losers(Engine *engine, const ContainerInfo *container, const char *database, const json_t *wishes,
                      char **ret, Error **err);
/* What `from` owns in the database becomes `to`'s: schemas, tables, views, sequences, functions, types. What extensions
 * brought stays. All or nothing. */
int roles_hand_over(Engine *engine, const ContainerInfo *container, const char *database, const char *from,
                    const char *to, Error **err);

#endif
