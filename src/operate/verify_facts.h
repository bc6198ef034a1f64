/* What postgres/verify.h judges, found out of a database's container: from its record, its project's model, its volume and
 * its backups, and by asking the server itself, inside the container. Nothing is changed. */
#ifndef BERTH_OPERATE_VERIFY_FACTS_H
#define BERTH_OPERATE_VERIFY_FACTS_H

#include "compose/xberth.h"
#include "engine/engine.h"
#include "postgres/verify.h"
#include "state/layout.h"

typedef struct VerifySubject {
        const Layout *layout;
        Engine *engine;
        const Project *project; /* NULL: no compose file */
        const XBerth *settings;
        const ContainerInfo *container;
} VerifySubject;

typedef struct VerifyGathering {
        VerifyFacts facts; /* strings are in texts, or borrowed from the subject */
        Arena *texts;
        const char *system; /* the cluster's identifier; NULL: not known */
} VerifyGathering;

void verify_gathering_done(VerifyGathering *gathering);
#define _cleanup_verify_gathering_ _cleanup_(verify_gathering_done)

/* What cannot be found out is a fact as well, so this does not fail. */
void verify_gather(const VerifySubject *subject, VerifyGathering *ret);

#endif
