/* A file in a restored copy that is not in use yet. */
#ifndef BERTH_OPERATE_RESTORE_MARK_H
#define BERTH_OPERATE_RESTORE_MARK_H

#define RESTORE_MARK ".berth-restoring"

#endif
