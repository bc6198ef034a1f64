/* An upgrade of a database to a newer major, as it is remembered: <data>/databases/<volume>.upgrade.json, from its
 * beginning until the old data are let go. The new cluster is made in a volume beside (`kept`); the switch exchanges the
 * content of the two. What has happened is read off the data themselves: which major lies in the service's volume. */
#ifndef BERTH_OPERATE_UPGRADE_H
#define BERTH_OPERATE_UPGRADE_H

#include <jansson.h>

#include "engine/engine.h"
#include "state/layout.h"

typedef enum UpgradePhase {
        UPGRADE_COPYING,   /* the old one is untouched */
        UPGRADE_SWITCHING, /* from here on to the end of the exchange, and of what follows it */
        UPGRADE_SWITCHED,
        UPGRADE_RETURNING, /* the way back */
        UPGRADE_RETURNED,  /* kept holds the newer major */
        _UPGRADE_PHASE_MAX,
} UpgradePhase;

typedef struct UpgradeRecord {
        char *project, *service;
        char *volume;                  /* the service's */
        char *kept;                    /* the volume beside */
        char *old_folder, *new_folder; /* PGDATA below each volume's root; "" */
        char *old_image, *new_image;   /* as the compose file names them */
        char *old_target, *new_target; /* where in the container the volume is mounted; "": not known */
        int from, to;                  /* majors */
        UpgradePhase phase;
} UpgradeRecord;

void upgrade_record_done(UpgradeRecord *record);
#define _cleanup_upgrade_record_ _cleanup_(upgrade_record_done)

/* That of a project's service; ERROR_NOT_FOUND. */
int upgrade_record_find(const Layout *layout, const char *project, const char *service, UpgradeRecord *ret,
                        Error **err);
int upgrade_record_save(const Layout *layout, const UpgradeRecord *record, Error **err);
int upgrade_record_remove(const Layout *layout, const UpgradeRecord *record, Error **err);

/* The major of the data in the service's volume now: record->from, record->to or something else. */
int upgrade_major_in_place(const Layout *layout, const UpgradeRecord *record);
/* The major in <folder>/PG_VERSION; 0: none. */
int upgrade_major_of_folder(const char *folder);

/* "postgres:15.4-bookworm" for 17 gives "postgres:17-bookworm"; NULL where the tag names no major, or a digest holds it.
 * Owned by the caller. */
char *upgrade_image_for(const char *image, int major);
/* The major that the tag begins with; 0: none. */
int upgrade_image_major(const char *image);

/* The model of a project in which service is the new server beside the old one: the image, the volume beside in place of
 * the service's under the same key, the old container's network, nothing published, no init files, no network address
 * of its own. A new reference. */
json_t *upgrade_model(const json_t *model, const UpgradeRecord *record, const char *old_container,
                      const char *volume_key);

/* Images from 18 on have their volume elsewhere: the file was changed by hand and cannot be changed back by us. */
bool upgrade_moves_mount(const UpgradeRecord *record);
/* The model as it was before, for such a way back: the old image, and the volume where that wants it. */
void upgrade_model_back(json_t *model, const UpgradeRecord *record, const char *volume_key);

/* Access rules and certificates that lie in the data folder go along; owner and mode as the new folder's files have. */
int upgrade_carry_files(const char *old_folder, const char *new_folder, Error **err);

#endif
