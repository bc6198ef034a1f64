/* Who may connect to a database by network: pg_hba.conf made of x-berth.access. What comes over the server's socket or its
 * loopback, inside the container, is trusted as in the official image; of the rest only what a rule names, encrypted.
 *
 * <data>/projects/<project>/access/<service>.conf is the file; a container gets a copy. Until networks have their addresses it
 * lets nobody in from outside. */
#ifndef BERTH_OPERATE_ACCESS_H
#define BERTH_OPERATE_ACCESS_H

#include <jansson.h>

#include "compose/xsecurity.h"
#include "engine/engine.h"
#include "state/layout.h"

/* The service's rules with the names of the engine's networks: {"path", "rules": [{"databases", "roles", "networks": [],
 * "addresses": [], "method"}]}, a new reference; NULL where x-berth says nothing of it. ERROR_INVALID: something that is neither
 * a network of the project nor an address. */
int access_plan(const Layout *layout, const Project *project, const Service *service, const XSecurity *wanted,
                json_t **ret, Error **err);
/* The file as it is without networks, where there is none yet. */
int access_prepare(const json_t *plan, Error **err);
/* Writes the file, has the server of a running container check it (pg_hba_file_rules), and load it. ERROR_INVALID: the server
 * finds fault with it; the former rules stay. *ret_changed: there are new ones. */
int access_apply(Engine *engine, const ContainerInfo *container, const json_t *plan, bool *ret_changed, Error **err);

#endif
