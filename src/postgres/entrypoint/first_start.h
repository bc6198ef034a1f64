/* The first start of a cluster, from an empty folder to a complete one: it is whole, or it is as if it had not been. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_FIRST_START_H
#define BERTH_POSTGRES_ENTRYPOINT_FIRST_START_H

#include "postgres/entrypoint/settings.h"

/* No data yet, or what an unfinished first start left. */
bool first_start_is_needed(const Settings *settings);
/* A password or trust; says what is missing. */
bool first_start_verify(const Settings *settings);
/* Everything. server_args without "postgres". On failure the data folder is emptied again, *ret_status is the exit
 * status of what failed (1 where it was us), and *err is NULL where the reason has been told already. */
int first_start(const Settings *settings, const char *name, char *const *server_args, int *ret_status, Error **err);
/* Where a template fits and no init files wait: everything, or nothing at all with the error. Where none fits, 0, with
 * what an unfinished first start left removed: the caller's own way to a cluster begins from an empty folder. */
int first_start_from_template(const Settings *settings, char *const *server_args, Error **err);
/* initdb alone, for scripts that put the steps together by themselves. */
int first_start_initdb(const Settings *settings, char *const *extra_args, int *ret_status, Error **err);

#endif
