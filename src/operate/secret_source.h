/* What a secret of the project holds, wherever it comes from: its file, a variable, or a program that prints it (vault,
 * pass, sops: x-berth.secrets). Values are erased by who gets them (free_secret), and are in no message. */
#ifndef BERTH_OPERATE_SECRET_SOURCE_H
#define BERTH_OPERATE_SECRET_SOURCE_H

#include "compose/project.h"

#define SECRET_LIMIT ((size_t)64 * 1024)

/* The content without one newline at its end. ERROR_NOT_FOUND: no file, no variable; ERROR_INVALID: empty, too long, no
 * regular file, NUL bytes; ERROR_FAILED, ERROR_TIMEOUT: what the program said on its standard error. A program inherits the
 * caller's environment and folder; its standard input is empty. */
int secret_source_read(const FileSource *source, char **ret, Error **err);
/* The same of a file alone. */
int secret_file_read(const char *path, char **ret, Error **err);
/* Runs the programs of all secrets that have one, and keeps what they print as content, in the project's arena. */
int secret_sources_fetch(Project *project, Error **err);

#endif
