/* <data>/projects/<project>/project.json: what was last brought up, from where. Written by the project's keeper alone.
 * A corrupt file is kept aside under another name and rebuilt from what the engine knows. */
#ifndef BERTH_KEEPER_PROJECT_STATE_H
#define BERTH_KEEPER_PROJECT_STATE_H

#include <jansson.h>

#include "engine/engine.h"
#include "state/layout.h"

#define PROJECT_STATE_FORMAT 1

typedef struct ProjectState {
        char *path;        /* of the file */
        char *working_dir; /* NULL: never brought up */
        char **files;
        json_t *model;    /* canonical; NULL */
        char *kept_aside; /* where a corrupt file went when this was loaded; NULL */
} ProjectState;

void project_state_init(ProjectState *state, const Layout *layout, const char *project);
void project_state_done(ProjectState *state);

/* An absent file is an empty state. A corrupt one is moved aside, named in kept_aside, and the state is empty. */
int project_state_load(ProjectState *state, Error **err);
/* Fills what can be read off the containers' labels. */
void project_state_rebuild(ProjectState *state, const ContainerList *containers);
int project_state_save(const ProjectState *state, Error **err);
/* After `down` of everything. */
int project_state_remove(ProjectState *state, Error **err);
/* Takes over what a request says; model stays the caller's. */
void project_state_set(ProjectState *state, const char *working_dir, char *const *files, json_t *model);

/* ERROR_CONFLICT where the project was brought up from another folder, which still exists or whose containers do, and the
 * name was not given on purpose. */
int project_state_check_folder(const ProjectState *state, const char *project, const char *working_dir, bool name_given,
                               Error **err);

#endif
