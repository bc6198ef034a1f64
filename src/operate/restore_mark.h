/* Names: of a file in a restored copy that is not in use yet, and of what a restore sets aside. */
#ifndef BERTH_OPERATE_RESTORE_MARK_H
#define BERTH_OPERATE_RESTORE_MARK_H

#define RESTORE_MARK ".berth-restoring"
/* What a restore has set aside is called as its data's place was, with this and the time. */
#define RESTORE_KEPT_SUFFIX ".before-"

#endif
