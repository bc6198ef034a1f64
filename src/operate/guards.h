/* The guards of a database on what is really there: facts are gathered from the container's specification, its image
 * and its volume; postgres/guard.h judges them. */
#ifndef BERTH_OPERATE_GUARDS_H
#define BERTH_OPERATE_GUARDS_H

#include "engine/engine.h"
#include "postgres/guard.h"
#include "state/layout.h"

/* Before a container of a database is made or started, or (runs) while it runs: then its data are in its own hands, and
 * what a first start has done so far is not looked at. Warnings are appended to *warnings (a strv); the first error is *err, with
 * the identifier in brackets. silenced: identifiers not to be told. A fresh volume's user, database and a mark of its
 * password are remembered, for later comparison, in <data>/databases/<volume>.json. */
int guards_run(const Layout *layout, Engine *engine, const Image *image, const ContainerSpec *spec,
               char *const *silenced, bool runs, bool dry_run, char ***warnings, Error **err);

/* The warnings among findings, as lines for people. */
void guards_add_warnings(const char *service, const GuardFindings *findings, char ***warnings);
/* The superuser's password was changed on purpose: no drift to be told of. */
void guards_remember_password(const Layout *layout, Engine *engine, const ContainerSpec *spec, const char *password);

#endif
