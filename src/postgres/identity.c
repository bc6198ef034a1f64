#include "postgres/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strv.h"
#include "postgres/crc32c.h"
#include "postgres/page.h"

#define NONCE_SIZE      32
#define STATE_SHUT_DOWN 1

/* Of ControlFileData: the first members are the same in every major. */
enum {
        CONTROL_IDENTIFIER = 0,
        CONTROL_VERSION = 8,
        CONTROL_CATALOG = 12,
        CONTROL_STATE = 16,
        CONTROL_REDO = 40,
};
/* Where the checksum, which is the last member, may lie. */
enum { CONTROL_CRC_FIRST = 200, CONTROL_CRC_LAST = 508 };
/* Of XLogLongPageHeaderData. */
enum { WAL_INFO = 2, WAL_IDENTIFIER = 24, WAL_HEADER_SIZE = 40, WAL_LONG_HEADER = 0x0002 };

#define NEWEST_CONTROL_VERSION 1800

static uint32_t get32(const void *data, size_t offset)
{
        uint32_t value;

        memcpy(&value, (const char *)data + offset, sizeof(value));
        return value;
}

static uint64_t get64(const void *data, size_t offset)
{
        uint64_t value;

        memcpy(&value, (const char *)data + offset, sizeof(value));
        return value;
}

static int open_in(const char *data_dir, const char *name, int flags, int *ret, Error **err)
{
        _cleanup_free_ char *path = path_join(data_dir, name);

        *ret = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
        return *ret < 0 ? error_set_errno(err, errno, "open \"%s\"", path) : 0;
}

static int read_exactly(int fd, void *data, size_t size, off_t offset, const char *name, Error **err)
{
        ssize_t n = pread(fd, data, size, offset);

        if (n < 0)
                return error_set_errno(err, errno, "read %s", name);
        return (size_t)n == size ? 0 : error_set(err, ERROR_CORRUPT, "%s is too short", name);
}

static int write_exactly(int fd, const void *data, size_t size, off_t offset, const char *name, Error **err)
{
        ssize_t n = pwrite(fd, data, size, offset);

        if (n < 0 || (size_t)n != size)
                return error_set_errno(err, n < 0 ? errno : ENOSPC, "write %s", name);
        return 0;
}

/* Its place differs by major: it is where the checksum of all before it stands. */
static size_t find_crc(const unsigned char *control)
{
        for (size_t offset = CONTROL_CRC_FIRST; offset <= CONTROL_CRC_LAST; offset += 4)
                if (get32(control, offset) == crc32c(control, offset))
                        return offset;
        return 0;
}

/* The member before the checksum; since 18 one odd byte comes before it, so that three of padding follow. */
static size_t find_nonce(const unsigned char *control, size_t crc)
{
        bool odd = get32(control, CONTROL_VERSION) >= 1800;

        if (!odd)
                return crc - NONCE_SIZE;
        for (size_t i = 1; i <= 3; i++)
                if (control[crc - i] != 0)
                        return 0;
        return crc - 3 - NONCE_SIZE;
}

static int read_control(int fd, unsigned char *control, size_t *ret_crc, Error **err)
{
        int r = read_exactly(fd, control, CONTROL_FILE_BYTES, 0, "pg_control", err);

        if (r < 0)
                return r;
        *ret_crc = find_crc(control);
        return *ret_crc ? 0 : error_set(err, ERROR_CORRUPT, "pg_control: its checksum does not match");
}

int identity_read_control(int fd, unsigned char control[CONTROL_FILE_BYTES], ControlFile *ret, Error **err)
{
        size_t crc;
        int r = read_control(fd, control, &crc, err);

        if (r < 0)
                return r;
        *ret = (ControlFile){ .system_identifier = get64(control, CONTROL_IDENTIFIER),
                              .control_version = get32(control, CONTROL_VERSION),
                              .catalog_version = get32(control, CONTROL_CATALOG),
                              .shut_down = get32(control, CONTROL_STATE) == STATE_SHUT_DOWN,
                              .redo_lsn = get64(control, CONTROL_REDO) };
        return 0;
}

int identity_read(const char *data_dir, ControlFile *ret, Error **err)
{
        unsigned char control[CONTROL_FILE_BYTES];
        _cleanup_close_ int fd = -1;
        int r = open_in(data_dir, "global/pg_control", O_RDONLY, &fd, err);

        return r < 0 ? r : identity_read_control(fd, control, ret, err);
}

uint64_t identity_new_system_identifier(void)
{
        uint16_t random = 0;
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        _unused_ ssize_t n = getrandom(&random, sizeof(random), 0);
        return (uint64_t)now.tv_sec << 32 | (uint64_t)(now.tv_nsec / 1000) << 12 | (random & 0xfff);
}

static int renew_segment(const char *data_dir, const char *segment, uint64_t old, uint64_t new, Error **err)
{
        _cleanup_free_ char *name = path_join("pg_wal", segment);
        unsigned char header[WAL_HEADER_SIZE];
        _cleanup_close_ int fd = -1;
        uint16_t info;
        int r;

        r = open_in(data_dir, name, O_RDWR, &fd, err);
        if (r == 0)
                r = read_exactly(fd, header, sizeof(header), 0, name, err);
        if (r < 0)
                return r;
        memcpy(&info, header + WAL_INFO, sizeof(info));
        if (!(info & WAL_LONG_HEADER) || get64(header, WAL_IDENTIFIER) != old)
                return error_set(err, ERROR_UNSUPPORTED, "%s does not begin as a segment of this cluster's", name);
        return write_exactly(fd, &new, sizeof(new), WAL_IDENTIFIER, name, err);
}

static int renew_log(const char *data_dir, uint64_t old, uint64_t new, Error **err)
{
        _cleanup_free_ char *folder = path_join(data_dir, "pg_wal");
        _cleanup_strv_ char **names = NULL;
        size_t n_renewed = 0;
        int r;

        r = fs_list_directory(AT_FDCWD, folder, &names, err);
        STRV_FOREACH(name, names) {
                if (r < 0)
                        return r;
                if (strlen(*name) != 24 || strspn(*name, "0123456789ABCDEF") != 24)
                        continue;
                r = renew_segment(data_dir, *name, old, new, err);
                n_renewed++;
        }
        return r == 0 && n_renewed == 0 ? error_set(err, ERROR_UNSUPPORTED, "pg_wal holds no segment") : r;
}

int identity_renew(const char *data_dir, uint64_t system_identifier, Error **err)
{
        unsigned char control[CONTROL_FILE_BYTES];
        _cleanup_close_ int fd = -1;
        size_t crc_offset, nonce;
        uint32_t crc;
        int r;

        r = open_in(data_dir, "global/pg_control", O_RDWR, &fd, err);
        if (r == 0)
                r = read_control(fd, control, &crc_offset, err);
        if (r < 0)
                return r;
        nonce = find_nonce(control, crc_offset);
        if (get32(control, CONTROL_STATE) != STATE_SHUT_DOWN)
                return error_set(err, ERROR_UNSUPPORTED, "the cluster was not shut down cleanly");
        if (get32(control, CONTROL_VERSION) > NEWEST_CONTROL_VERSION || nonce == 0)
                return error_set(err, ERROR_UNSUPPORTED, "pg_control has version %u, which is not known here",
                                 get32(control, CONTROL_VERSION));
        r = renew_log(data_dir, get64(control, CONTROL_IDENTIFIER), system_identifier, err);
        if (r < 0)
                return r;
        memcpy(control + CONTROL_IDENTIFIER, &system_identifier, sizeof(system_identifier));
        if (getrandom(control + nonce, NONCE_SIZE, 0) != NONCE_SIZE)
                return error_set_errno(err, errno, "read random numbers");
        crc = crc32c(control, crc_offset);
        memcpy(control + crc_offset, &crc, sizeof(crc));
        return write_exactly(fd, control, sizeof(control), 0, "pg_control", err);
}

/* True where it was found; the page's checksum is kept right where it has one. */
static bool patch_page(unsigned char *page, uint32_t block, const char *old, const char *verifier)
{
        size_t length = strlen(old);
        bool checked = page_stored_checksum(page) != 0, found = false;

        for (unsigned char *at = page; (at = memmem(at, (size_t)(page + PAGE_SIZE_BYTES - at), old, length));
             at += length) {
                memcpy(at, verifier, length);
                found = true;
        }
        if (found && checked)
                page_store_checksum(page, page_checksum(page, block));
        return found;
}

/* pg_authid, whose file has this name until the table is rewritten, which nothing does in a new cluster. */
#define AUTHID_FILE "global/1260"

int identity_replace_verifier(const char *data_dir, const char *old, const char *verifier, Error **err)
{
        unsigned char page[PAGE_SIZE_BYTES];
        _cleanup_close_ int fd = -1;
        struct stat status;
        bool found = false;
        int r;

        if (strlen(old) != strlen(verifier))
                return error_set(err, ERROR_UNSUPPORTED, "the verifier has another length than the template's");
        r = open_in(data_dir, AUTHID_FILE, O_RDWR, &fd, err);
        if (r < 0)
                return r;
        if (fstat(fd, &status) < 0)
                return error_set_errno(err, errno, "stat " AUTHID_FILE);
        for (uint32_t block = 0; r == 0 && block < status.st_size / PAGE_SIZE_BYTES; block++) {
                r = read_exactly(fd, page, sizeof(page), (off_t)block * PAGE_SIZE_BYTES, AUTHID_FILE, err);
                if (r == 0 && page_stored_checksum(page) != 0 &&
                    page_stored_checksum(page) != page_checksum(page, block))
                        r = error_set(err, ERROR_UNSUPPORTED,
                                      AUTHID_FILE ": the checksum of block %u is not as computed", block);
                if (r == 0 && patch_page(page, block, old, verifier)) {
                        found = true;
                        r = write_exactly(fd, page, sizeof(page), (off_t)block * PAGE_SIZE_BYTES, AUTHID_FILE, err);
                }
        }
        return r == 0 && !found ? error_set(err, ERROR_UNSUPPORTED, "the template's verifier is not in " AUTHID_FILE)
                                : r;
}
