/* What the parts of a repair share. */
#ifndef BERTH_REPOSITORY_REPAIR_PRIVATE_H
#define BERTH_REPOSITORY_REPAIR_PRIVATE_H

#include "repository/repair.h"
#include "repository/transfer.h"
#include "repository/verify_private.h"

typedef struct Repair {
        Repository *repository, *source;
        const WorkProgress *progress;
        RepairReport *report;
        const Verification *verification; /* what was found */
        const BackupList *backups;        /* that were sound */
        Repository stage; /* what was fetched and is looked at; storage NULL: repository lies elsewhere */
        char *stage_path;
        char *aside; /* "damaged/20261121T153012Z" */
        Transfer transfer;
} Repair;

/* Takes a damaged object out of its place: it is kept on this machine, and removed elsewhere. Absent is fine. */
int repair_set_aside(Repair *repair, const char *key, Error **err);
void repair_note_mended(Repair *repair, const char *object);
/* Takes *failure where it is the other repository's damage or lack (0); everything else is an error. */
int repair_note_failed(Repair *repair, const char *object, Error **failure, Error **err);

/* repair_log.c: segments and histories. */
int repair_log(Repair *repair, Error **err);
/* repair_packs.c: chunks that backups need. */
int repair_packs(Repair *repair, Error **err);

/* Fetches key, looks at it by check (in the repository that it is given) and puts it into its place. modified_ns, where it is
 * not 0, becomes its time on this machine. */
typedef int (*RepairCheck)(Repository *repository, const void *what, Error **err);
int repair_object(Repair *repair, const char *key, RepairCheck check, const void *what, int64_t modified_ns,
                  Error **err);
/* The parts of it, for objects that are looked at together. */
int repair_fetch(Repair *repair, const char *key, Error **err);
Repository *repair_fetched(Repair *repair);
int repair_put(Repair *repair, const char *key, int64_t modified_ns, Error **err);

#endif
