/* Files of variables: .env, --env-file, env_file and label_file.
 *
 * Grammar: `export KEY=value` or `KEY: value`; blank lines and # comments; 'single quotes' literal but for \'; "double
 * quotes" know \n \t \" \\ \$ and octal, then interpolate; unquoted values interpolate, end at " #", lose trailing
 * space. A key alone takes its value from outside. Quoted values may span lines. */
#ifndef BERTH_COMPOSE_DOTENV_H
#define BERTH_COMPOSE_DOTENV_H

#include "compose/template.h"

/* Adds what data defines to *out. lookup answers for variables in values and for keys without a value; *out itself
 * comes after it. Errors name `file` and the line. */
int dotenv_parse(Loader *loader, const char *file, const char *data, TemplateLookup lookup, const void *context,
                 Variables *out, Error **err);
/* `format: raw`: KEY=VALUE lines as they are, no quotes, no interpolation. */
int dotenv_parse_raw(Loader *loader, const char *file, const char *data, TemplateLookup lookup, const void *context,
                     Variables *out, Error **err);
/* Reads the files in order for interpolation: current is asked first, then what was read so far. Missing: an error. */
int dotenv_read_files(Loader *loader, char *const *files, const Variables *current, Variables *out, Error **err);

#endif
