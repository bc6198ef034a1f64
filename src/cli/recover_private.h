/* Recovering a project from a copy elsewhere: what its steps share. */
#ifndef BERTH_CLI_RECOVER_PRIVATE_H
#define BERTH_CLI_RECOVER_PRIVATE_H

#include <jansson.h>

#include "cli/invocation.h"

typedef struct Recover {
        Invocation *invocation;
        const char *url;
        char *key;    /* path; NULL */
        json_t *copy; /* the place, as the worker takes it */
        char *project, *directory;
        json_t *found; /* what offsite-look says */
        json_t *lines; /* of each service the newest: an array */
        char *mark_path;
        json_t *mark;  /* what an earlier run has done */
        char **global; /* options that each command of the project is given; a strv */
} Recover;

/* Of the project's files; borrowed; NULL: the copy has none. */
const json_t *recover_manifest(const Recover *recover);
/* {"copy", "key"?}: a new reference. */
json_t *recover_params(const Recover *recover);
/* A path of the lost machine as it is on this one: below the project's folder, or the same. The caller's. */
char *recover_path(const Recover *recover, const char *path);
int recover_remember(const Recover *recover, Error **err);

/* Finds the project and its clusters: found, project, lines. */
int recover_look(Recover *recover, Error **err);
/* Lays the project's files out. ERROR_NOT_FOUND names what the copy does not have and the compose file needs. */
int recover_files(Recover *recover, Error **err);
/* Brings repositories and data back, one service after the other. */
int recover_data(Recover *recover, Error **err);
/* Goes on with the copy from here. */
int recover_claim(const Recover *recover, Error **err);
/* `berth WORDS…` of the project. *ret_output: its standard output, the caller's; NULL: it goes where ours goes. */
int recover_command(const Recover *recover, char *const *words, char **ret_output, Error **err);

#endif
