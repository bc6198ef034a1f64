/* Copies of a database that stand beside it: services of the project that no compose file has. Each is remembered in
 * <data>/projects/<project>/copies/<name>.json, and added to the model whenever that goes to the keeper, so that `up`,
 * `ps`, `stop` and `down` treat it as they treat the others. Its data lie in a volume of its own; where that is gone
 * (`down -v`) the copy is, too. */
#ifndef BERTH_OPERATE_COPIES_H
#define BERTH_OPERATE_COPIES_H

#include <jansson.h>

#include "state/layout.h"

typedef struct CopyRecord {
        char *project, *name; /* name: of the new service */
        char *service;        /* whose copy it is */
        char *image;          /* that the data are of */
        char *volume, *key;   /* the engine's name, and the project's */
        char *target;         /* where the container has the volume */
        char *backup, *point; /* what it was made of, for listings */
        int64_t port;         /* of 127.0.0.1; 0: none */
        int64_t container_port;
        int64_t made_ns; /* realtime */
        bool ready;      /* false: being made, or that was interrupted */
} CopyRecord;

void copy_record_done(CopyRecord *record);
#define _cleanup_copy_record_ _cleanup_(copy_record_done)

/* ERROR_NOT_FOUND. */
int copy_record_load(const Layout *layout, const char *project, const char *name, CopyRecord *ret, Error **err);
int copy_record_save(const Layout *layout, const CopyRecord *record, Error **err);
/* Absent is fine. */
int copy_record_remove(const Layout *layout, const char *project, const char *name, Error **err);
/* Of every record of the project, sorted; the caller's, NULL: none. */
char **copy_names(const Layout *layout, const char *project);
/* It is ready, and its volume is there. */
bool copy_is_whole(const Layout *layout, const CopyRecord *record);

/* Adds every whole copy to a canonical model. One whose service the model lacks is left out. */
void copies_add_to_model(const Layout *layout, const char *project, json_t *model);
/* The same for one, whether it is ready or not; false where the model lacks its service. */
bool copy_add_to_model(const CopyRecord *record, json_t *model);
/* The first TCP port that a service of a canonical model publishes (5432 before others); 0: none. */
int64_t copy_published_port(const json_t *model, const char *service);

#endif
