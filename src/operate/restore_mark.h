/* Names: of a file in a restored copy that is not in use yet, of what a restore sets aside, and of what it puts into the copy. */
#ifndef BERTH_OPERATE_RESTORE_MARK_H
#define BERTH_OPERATE_RESTORE_MARK_H

#define RESTORE_MARK ".berth-restoring"
/* What a restore has set aside is called as its data's place was, with this and the time. */
#define RESTORE_KEPT_SUFFIX ".before-"

/* Where tablespaces lie in a restored data folder; pg_tblspc links to them. */
#define RESTORED_TABLESPACES "berth_tablespaces"

#endif
