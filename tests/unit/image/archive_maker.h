/* Makes layers in memory for tests: ordinary ones and such as nobody should accept. */
#ifndef BERTH_TEST_ARCHIVE_MAKER_H
#define BERTH_TEST_ARCHIVE_MAKER_H

#include <archive.h>
#include <archive_entry.h>

typedef struct Maker {
        struct archive *archive;
        char data[1 << 20];
        size_t size;
} Maker;

Maker *maker_create(int compression); /* ARCHIVE_FILTER_NONE, _GZIP, _ZSTD */
void maker_free(Maker *maker);
void maker_folder(Maker *maker, const char *name, int mode, int uid);
void maker_file(Maker *maker, const char *name, const char *text, int mode, int uid);
void maker_link(Maker *maker, const char *name, const char *target);
void maker_hardlink(Maker *maker, const char *name, const char *target);
void maker_device(Maker *maker, const char *name);
void maker_file_with_attribute(Maker *maker, const char *name, const char *attribute, const char *value);
void maker_finish(Maker *maker);
/* A file that holds the archive's first size bytes, at its start. */
int maker_open(const Maker *maker, size_t size);

#endif
