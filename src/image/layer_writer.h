/* Writes the entries of a layer into a folder; see unpack.h for what is refused. */
#ifndef BERTH_IMAGE_LAYER_WRITER_H
#define BERTH_IMAGE_LAYER_WRITER_H

#include <archive.h>
#include <archive_entry.h>

#include "base/vector.h"
#include "image/unpack.h"

typedef struct FolderTime {
        char *path;
        struct timespec times[2];
} FolderTime;

typedef struct LayerWriter {
        int root_fd; /* not owned */
        bool plain;
        char *parent_path; /* the folder that parent_fd is open on; NULL: none */
        int parent_fd;
        VECTOR(FolderTime) folder_times; /* set at the end: writing into a folder changes its own */
        uint64_t size_bytes;
} LayerWriter;

void layer_writer_init(LayerWriter *writer, int root_fd, bool plain);
void layer_writer_done(LayerWriter *writer);
#define _cleanup_layer_writer_ _cleanup_(layer_writer_done)

int layer_writer_add(LayerWriter *writer, struct archive *archive, struct archive_entry *entry, Error **err);
int layer_writer_finish(LayerWriter *writer, Error **err);

#endif
