/* Storage whose objects are encrypted before they get to another one: AES-256-GCM in frames, so that what lies there can be
 * read from any place on and every byte is checked. docs/backup-format.md describes a sealed object. Names of objects stay
 * readable; which name an object was written under is part of what is checked. */
#ifndef BERTH_REPOSITORY_STORAGE_SEALED_H
#define BERTH_REPOSITORY_STORAGE_SEALED_H

#include "repository/key.h"
#include "repository/storage.h"

#define SEALED_FRAME_BYTES  (256u << 10) /* of content; the last frame is shorter, and may be empty */
#define SEALED_TAG_BYTES    16
#define SEALED_HEADER_BYTES 56

/* Whether these are the first bytes of a sealed object; ret_key: the id of its key, as text. */
bool sealed_by(const char *head, size_t size, char ret_key[2 * BACKUP_KEY_ID_SIZE + 1]);

/* Takes inner; key is borrowed for the storage's life. Reading what
 * another key sealed is ERROR_DENIED and names both keys; what is damaged is ERROR_CORRUPT. */
Storage *storage_sealed_create(Storage *inner, const BackupKey *key);

#endif
