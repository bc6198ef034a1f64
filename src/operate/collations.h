/* Which C library and ICU a volume's text is sorted by, where that was not noted when it was made, or is not so any more. */
#ifndef BERTH_OPERATE_COLLATIONS_H
#define BERTH_OPERATE_COLLATIONS_H

#include "engine/engine.h"

/* A database's container runs from an image with these libraries ("glibc 2.36, ICU 72"). Where its volume has another
 * note, its server is asked: when the versions of collations that every database has recorded are those that its libraries
 * have, the note is to be brought up to them. Else, and where the server does not answer, it stays as it is. A change of libc
 * is believed from PostgreSQL 15 on, which records a database's own version.
 *
 * The new note, and *ret_volume whose it is, both the caller's; NULL where there is nothing to change. */
char *collations_note(Engine *engine, const char *container, const char *libraries, char **ret_volume);

#endif
