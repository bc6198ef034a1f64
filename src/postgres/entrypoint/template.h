/* Clusters that were initialised once and are copied. They lie, read-only, in a folder that the engine binds into the
 * container (BERTH_TEMPLATES or /run/berth/templates), one folder a key. A template holds the same cluster that initdb
 * with the same arguments would make, with the user and the database, and a password that nobody knows. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_TEMPLATE_H
#define BERTH_POSTGRES_ENTRYPOINT_TEMPLATE_H

#include "postgres/entrypoint/settings.h"

/* The folder of the template that fits, or NULL: none here, or the settings ask for what a template cannot give (a WAL
 * folder elsewhere, md5 passwords, a password that only a server can prepare). *ret is the caller's. */
char *template_find(const Settings *settings);
/* Everything a template depends on, as 32 hexadecimal digits: build of the server, arguments, locale, user, database.
 */
char *template_key(const Settings *settings);
/* Copies the template to build_dir and gives it an identity and the password of its own. On failure build_dir holds
 * something incomplete. */
int template_copy(const char *template_dir, const Settings *settings, const char *build_dir, Error **err);
/* Makes the template of these settings in folder: <folder>/<key>, complete or absent. */
int template_make(const Settings *settings, const char *folder, int *ret_status, Error **err);

#endif
