/* The state found: what an engine has of a project, and what the project's names refer to. */
#ifndef BERTH_DEPLOY_FOUND_H
#define BERTH_DEPLOY_FOUND_H

#include "compose/project.h"
#include "engine/engine.h"

typedef struct Found {
        ContainerList containers; /* all of the project, one-offs too */
        NetworkInfo **networks;   /* the project's, and those that the model names */
        size_t n_networks;
        VolumeInfo **volumes; /* the same */
        size_t n_volumes;
        char **warnings; /* what was damaged, and what was done about it */
} Found;

/* model may be NULL: then only what carries the project's label. Has damaged containers repaired first. */
int found_load(Engine *engine, const char *project, const Project *model, Found *ret, Error **err);
void found_done(Found *found);
#define _cleanup_found_ _cleanup_(found_done)

const NetworkInfo *found_network(const Found *found, const char *name); /* NULL */
const VolumeInfo *found_volume(const Found *found, const char *name);

#endif
