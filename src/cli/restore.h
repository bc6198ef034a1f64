/* Parts of the verbs that restore. */
#ifndef BERTH_CLI_RESTORE_H
#define BERTH_CLI_RESTORE_H

#include <jansson.h>

#include "cli/backup.h"

/* Which point is wished for; restore_open reads them. */
#define RESTORE_POINT_OPTIONS                                                                                       \
        { "to", 0, OPTION_TEXT, "POINT",                                                                            \
          "A time, an LSN, the name of a restore point, \"latest\" (default) or \"immediate\"" },                  \
        { "backup", 0, OPTION_TEXT, "BACKUP", "Start from this one (default: the newest that leads there)" },       \
        { "timeline", 0, OPTION_NUMBER, "N", "Along this timeline (default: the newest)" }

/* A wish and what is there for it. */
typedef struct Restore {
        Invocation *invocation; /* options to, backup, timeline */
        Scope scope;
        char *service;
        char *repository; /* path */
        char *to;         /* a time in UTC: whoever reads it may be in another zone */
        char *shown;      /* the same for people here */
        json_t *plan;
        ContainerInfo *container; /* the service's */
        bool runs;                /* it did when this began */
        bool reflink;             /* the copy shares blocks with the running database: neither repository nor plan */
        char *not_reflinked;      /* why it does not, where that was tried; NULL */
} Restore;

void restore_done(Restore *restore);
#define _cleanup_restore_ _cleanup_(restore_done)

/* ---- restore_open.c ---- */

/* By the option "to"; restore_open does so. */
void restore_read_point(Restore *restore);
/* Only finds the service; restore_open does so. */
int restore_open_service(Restore *restore, Error **err);
/* Finds service, repository and a way to the point; the first argument names the service. */
int restore_open(Restore *restore, Error **err);
/* Looks at the service's container, and makes it from the compose file where there is none. */
int restore_need_container(Restore *restore, Error **err);
/* {"repository", "to", "timeline", "backup"?, "elsewhere"?}, as the worker and the keeper take them. A new reference. */
json_t *restore_point_params(const Restore *restore);

/* The keeper's "restore" or "restore_part" with params (taken); a point that the log does not have is answered with what can be had. */
int restore_request(const Restore *restore, const char *method, json_t *params, json_t **ret, Error **err);

/* ---- other files ---- */

/* restore_offsite.c: {"copy", "key"?} of the copy elsewhere that the project names, a new reference; NULL: there is none. */
json_t *restore_elsewhere(const Restore *restore);
/* restore_offsite.c: fetches the service's backups from the copy elsewhere that the project names. *ret_fetched false: there is
 * none, or it has nothing of this. */
int restore_fetch(Restore *restore, bool *ret_fetched, Error **err);
/* restore_offsite.c: mends the repository here from that copy, where not even a way can be found in it. */
int restore_mend(const Restore *restore, bool *ret_mended, Error **err);
/* restore_copy.c: a second database beside the first. port is the option "port", or a free one. */
int restore_beside(Restore *restore, const char *name, Error **err);
/* The same of the running database as it is now, by sharing its blocks; from its backups where that cannot be, which is said. */
int restore_reflinked(Restore *restore, const char *name, Error **err);
/* restore_part.c: databases or tables, into the running database. */
int restore_part(Restore *restore, Error **err);
/* restore_forget.c: removes what restores have set aside. */
int restore_forget(Restore *restore, Error **err);

#endif
