#include "archive_maker.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

Maker *maker_create(int compression)
{
        Maker *maker = xnew(Maker);

        maker->archive = archive_write_new();
        archive_write_add_filter(maker->archive, compression);
        archive_write_set_format_pax_restricted(maker->archive);
        archive_write_set_bytes_per_block(maker->archive, 0);
        archive_write_open_memory(maker->archive, maker->data, sizeof(maker->data), &maker->size);
        return maker;
}

void maker_free(Maker *maker)
{
        archive_write_free(maker->archive);
        free(maker);
}

static struct archive_entry *entry_new(const char *name, unsigned type, int mode, int uid)
{
        struct archive_entry *entry = archive_entry_new();

        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, type);
        archive_entry_set_perm(entry, (mode_t)mode);
        archive_entry_set_uid(entry, uid);
        archive_entry_set_gid(entry, uid);
        archive_entry_set_mtime(entry, 1700000000, 0);
        return entry;
}

static void put(Maker *maker, struct archive_entry *entry, const char *text)
{
        archive_entry_set_size(entry, text ? (la_int64_t)strlen(text) : 0);
        archive_write_header(maker->archive, entry);
        if (text)
                archive_write_data(maker->archive, text, strlen(text));
        archive_entry_free(entry);
}

void maker_folder(Maker *maker, const char *name, int mode, int uid)
{
        put(maker, entry_new(name, AE_IFDIR, mode, uid), NULL);
}

void maker_file(Maker *maker, const char *name, const char *text, int mode, int uid)
{
        put(maker, entry_new(name, AE_IFREG, mode, uid), text);
}

void maker_link(Maker *maker, const char *name, const char *target)
{
        struct archive_entry *entry = entry_new(name, AE_IFLNK, 0777, 0);

        archive_entry_set_symlink(entry, target);
        put(maker, entry, NULL);
}

void maker_hardlink(Maker *maker, const char *name, const char *target)
{
        struct archive_entry *entry = entry_new(name, AE_IFREG, 0644, 0);

        archive_entry_set_hardlink(entry, target);
        put(maker, entry, NULL);
}

void maker_device(Maker *maker, const char *name)
{
        struct archive_entry *entry = entry_new(name, AE_IFBLK, 0600, 0);

        archive_entry_set_rdevmajor(entry, 8);
        archive_entry_set_rdevminor(entry, 0);
        put(maker, entry, NULL);
}

void maker_file_with_attribute(Maker *maker, const char *name, const char *attribute, const char *value)
{
        struct archive_entry *entry = entry_new(name, AE_IFREG, 0644, 0);

        archive_entry_xattr_add_entry(entry, attribute, value, strlen(value));
        put(maker, entry, "x");
}

void maker_finish(Maker *maker)
{
        archive_write_close(maker->archive);
}

int maker_open(const Maker *maker, size_t size)
{
        int fd = memfd_create("layer", MFD_CLOEXEC);

        if (write(fd, maker->data, size) != (ssize_t)size)
                abort();
        lseek(fd, 0, SEEK_SET);
        return fd;
}
