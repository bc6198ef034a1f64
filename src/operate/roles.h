/* Roles of a database by what they are for, each with what that takes and nothing more:
 *
 *   owner     owns database and schemas
 *   app       reads and writes data, of what the owner makes later too
 *   readonly  reads data, the same
 *   monitor   reads statistics (pg_monitor)
 *
 * A comment on each role tells for which wish it was made, so that applying the same again is one query. */
#ifndef BERTH_OPERATE_ROLES_H
#define BERTH_OPERATE_ROLES_H

#include <jansson.h>

#include "compose/xsecurity.h"
#include "engine/engine.h"

/* Wishes: [{"name", "kind", "password" (absent: as it is), "databases": [] (absent: POSTGRES_DB), "declared": by
 * x-berth, so that PUBLIC may not connect to those databases any longer, "hand_over": the owner gets what the superuser
 * owns there}]. Passwords are read from the project's secrets. A new reference. ERROR_NOT_FOUND: no such secret; and
 * what secret_source_read says. */
int roles_wish(const Project *project, const XSecurity *wanted, json_t **ret, Error **err);
void roles_wish_free(json_t *wishes); /* erases passwords; NULL is accepted */

/* Makes the database so. Names of roles that were made or changed are appended to *changed (a strv), and to *notes what
 * others lose by it. ERROR_INVALID: a role is the superuser. */
int roles_apply(Engine *engine, const ContainerInfo *container, const json_t *wishes, char ***changed, char ***notes,
                Error **err);

/* [{"Name", "Kind" ("" for a role of somebody else), "Login", "Superuser", "MemberOf": []}], a new reference. */
int roles_list(Engine *engine, const ContainerInfo *container, json_t **ret, Error **err);
/* Adds "Drift" to the rows of declared roles: a list of what is not as their kinds have it, in their databases. Those
 * that are missing become rows. */
int roles_find_drift(Engine *engine, const ContainerInfo *container, const XSecurity *wanted, json_t *rows,
                     Error **err);

#endif
