/* From files to one merged tree: reading, interpolation, extends, include, merging, validation. */
#ifndef BERTH_COMPOSE_SOURCE_H
#define BERTH_COMPOSE_SOURCE_H

#include "compose/loader.h"
#include "compose/yaml_tree.h"

typedef struct SourceOptions {
        const char *working_dir; /* base of relative paths in results; may be relative to that of the including file */
        const char *project_dir; /* absolute: where `include` and `extends` look for files */
        const Variables *variables;
        bool resolve_paths;
        const struct SourceFiles *including; /* files on the way here, to find cycles */
        const Node *at;                      /* what names the files; NULL: nothing in a file */
} SourceOptions;

typedef struct SourceFiles {
        const struct SourceFiles *parent;
        const char *file;
} SourceFiles;

/* Reads files (absolute paths; "-" is standard input) in order into one tree, as far as paths and variables resolved.
 * Mistakes are on the loader's list and what is wrong is not in the tree; NULL where nothing can be read. */
Node *source_load(Loader *loader, char *const *files, const SourceOptions *options);

/* Does path name a file elsewhere, which is refused: in a git repository or a registry, as the reference reads them? */
bool source_is_remote(const char *path);
/* Puts that on the loader's list. */
void source_fail_remote(Loader *loader, const Node *at, const char *path);

/* The documents of one file; every file is read and parsed once. NULL where it cannot be. at: what names it, or NULL.
 */
const YamlDocuments *source_documents(Loader *loader, const char *file, const Node *at);

#endif
