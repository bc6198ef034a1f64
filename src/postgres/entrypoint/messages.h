/* What the entrypoint says. Lines go where users of the official image look for them. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_MESSAGES_H
#define BERTH_POSTGRES_ENTRYPOINT_MESSAGES_H

#include "base/error.h"

/* To stdout, at once. */
void say(const char *format, ...) _printf_(1, 2);
/* "error: …" to stderr, with its hint. */
void say_error(const Error *error);
void say_no_password(void);
void say_trust_warning(void);
void say_old_databases(char *const *folders, const char *data_dir);

#endif
