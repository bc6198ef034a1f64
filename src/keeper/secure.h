/* TLS, access rules and roles at `up`: certificates before anything changes, the rest in the database once it is healthy. */
#ifndef BERTH_KEEPER_SECURE_H
#define BERTH_KEEPER_SECURE_H

#include "keeper/prepare.h"
#include "keeper/step.h"

/* What services want of TLS: certificates are made or renewed, and the hashes say that they are served. */
int preparation_secure(Preparation *preparation, Error **err);
/* Containers get their certificates and rules, and each SECURE action what it needs. */
int preparation_secure_plan(Preparation *preparation, Error **err);
void preparation_secure_done(Preparation *preparation);
/* SECURE as a step: rules are checked and loaded, roles made. */
int secure_container(Step *step, Error **err);

#endif
