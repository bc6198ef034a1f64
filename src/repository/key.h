/* The key of an encrypted repository: 32 random bytes in a file of its own (mode 0600, JSON, docs/formats.md), told apart by
 * an id that is computed from it. Whoever has the file can read the backups; without it nobody can. */
#ifndef BERTH_REPOSITORY_KEY_H
#define BERTH_REPOSITORY_KEY_H

#include "base/error.h"

#define BACKUP_KEY_SIZE    32
#define BACKUP_KEY_ID_SIZE 8

typedef struct BackupKey {
        unsigned char bytes[BACKUP_KEY_SIZE];
        unsigned char id[BACKUP_KEY_ID_SIZE];
        char id_text[2 * BACKUP_KEY_ID_SIZE + 1]; /* hexadecimal */
        char *name;                               /* what people call it */
        int64_t created_ns;
} BackupKey;

void backup_key_free(BackupKey *key); /* erases it */
DEFINE_CLEANUP(BackupKey, backup_key_free);

/* Makes a key and its file, folders included. ERROR_EXISTS where path is there: a key is never replaced. */
int backup_key_create(const char *path, const char *name, BackupKey **ret, Error **err);
/* ERROR_NOT_FOUND; ERROR_INVALID where others than its owner can read it; ERROR_CORRUPT where key and id disagree. */
int backup_key_load(const char *path, BackupKey **ret, Error **err);
/* HMAC-SHA-256 with the key. */
void backup_key_derive(const BackupKey *key, const void *data, size_t size, unsigned char ret[BACKUP_KEY_SIZE]);

#endif
