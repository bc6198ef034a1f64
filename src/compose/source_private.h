/* Shared by source.c and include.c only. */
#ifndef BERTH_COMPOSE_SOURCE_PRIVATE_H
#define BERTH_COMPOSE_SOURCE_PRIVATE_H

#include "compose/source.h"

/* One file in work. */
typedef struct Source {
        Loader *loader;
        const SourceOptions *options;
        const char *file;
        const SourceFiles *files;
        bool extended; /* read for a service to extend: no extends, includes and validation of its own */
} Source;

/* Paths in the arena. relative_to: "sub" for ("/a", "/a/sub"), both absolute and clean. */
const char *source_relative_to(Loader *loader, const char *base, const char *path);
const char *source_absolute_path(Loader *loader, const char *base, const char *path);
const char *source_folder_of(Loader *loader, const char *path);

/* Takes `include` out of dict and puts what it names in. */
void source_apply_includes(const Source *source, Node *dict);

#endif
