#include "repository/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "state/document.h"

#define KEY_FORMAT 1
#define ID_LABEL   "berth backup key id"

void backup_key_free(BackupKey *key)
{
        if (!key)
                return;
        free(key->name);
        erase_memory(key, sizeof(*key));
        free(key);
}

void backup_key_derive(const BackupKey *key, const void *data, size_t size, unsigned char ret[BACKUP_KEY_SIZE])
{
        unsigned length = 0;

        if (!HMAC(EVP_sha256(), key->bytes, BACKUP_KEY_SIZE, data, size, ret, &length) || length != BACKUP_KEY_SIZE)
                abort(); /* out of memory, or a libcrypto without SHA-256 */
}

static void compute_id(BackupKey *key)
{
        _cleanup_free_ char *digits = NULL;
        unsigned char derived[BACKUP_KEY_SIZE];

        backup_key_derive(key, ID_LABEL, strlen(ID_LABEL), derived);
        memcpy(key->id, derived, sizeof(key->id));
        digits = hex_encode(key->id, sizeof(key->id));
        memcpy(key->id_text, digits, sizeof(key->id_text));
}

static int save(const char *path, const BackupKey *key, Error **err)
{
        char *digits = hex_encode(key->bytes, sizeof(key->bytes));
        _cleanup_json_ json_t *document =
                json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", key->name, "id", key->id_text, "created_ns",
                          (json_int_t)key->created_ns, "key", digits, "note",
                          "Without this file the encrypted backups cannot be read by anybody: "
                          "keep a copy away from this machine.");

        free_secret(digits);
        return document_save(path, KEY_FORMAT, document, err);
}

int backup_key_create(const char *path, const char *name, BackupKey **ret, Error **err)
{
        _cleanup_(backup_key_freep) BackupKey *key = xnew(BackupKey);
        _cleanup_free_ char *parent = path_dirname(path), *lock = xasprintf("%s.lock", path);
        _cleanup_close_ int lock_fd = -1;
        int r = fs_make_directories(parent, 0700, err);

        if (r == 0)
                r = lock_file(lock, -1, &lock_fd, err);
        if (r < 0)
                return r;
        if (fs_exists(path))
                return error_set(err, ERROR_EXISTS, "there is a key at \"%s\" already", path);
        if (getrandom(key->bytes, sizeof(key->bytes), 0) != sizeof(key->bytes))
                return error_set_errno(err, errno, "make a key");
        key->name = xstrdup(name);
        key->created_ns = clock_realtime_ns();
        compute_id(key);
        r = save(path, key, err);
        if (r < 0)
                return error_prefix(err, r, "key of backups");
        *ret = TAKE_PTR(key);
        return 0;
}

static int check_mode(const char *path, Error **err)
{
        struct stat status;
        int r;

        if (stat(path, &status) < 0)
                return error_set_errno(err, errno, "open the key of backups \"%s\"", path);
        if (!(status.st_mode & 077))
                return 0;
        r = error_set(err, ERROR_INVALID, "the key of backups \"%s\" can be read by others (mode %04o)", path,
                      (unsigned)status.st_mode & 07777);
        return error_hint(err, r, "Run chmod 600 %s.", path);
}

static bool parse_digits(const char *digits, unsigned char ret[BACKUP_KEY_SIZE])
{
        if (strlen(digits) != 2 * BACKUP_KEY_SIZE || strspn(digits, "0123456789abcdef") != 2 * BACKUP_KEY_SIZE)
                return false;
        for (size_t i = 0; i < BACKUP_KEY_SIZE; i++) {
                unsigned value = 0;
                sscanf(digits + 2 * i, "%2x", &value);
                ret[i] = (unsigned char)value;
        }
        return true;
}

int backup_key_load(const char *path, BackupKey **ret, Error **err)
{
        _cleanup_(backup_key_freep) BackupKey *key = xnew(BackupKey);
        _cleanup_json_ json_t *document = NULL;
        int r = check_mode(path, err);

        if (r == 0)
                r = document_load(path, KEY_FORMAT, &document, err);
        if (r < 0)
                return r;
        key->name = xstrdup(json_get_string(document, "name", ""));
        key->created_ns = json_get_int(document, "created_ns", 0);
        if (parse_digits(json_get_string(document, "key", ""), key->bytes))
                compute_id(key);
        if (!streq(json_get_string(document, "id", "-"), key->id_text))
                return error_set(err, ERROR_CORRUPT, "\"%s\" is damaged: it is not the key that its id names", path);
        *ret = TAKE_PTR(key);
        return 0;
}
