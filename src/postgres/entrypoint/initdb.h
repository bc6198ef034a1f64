/* A new cluster by initdb, and the two settings the official image adds to it. */
#ifndef BERTH_POSTGRES_ENTRYPOINT_INITDB_H
#define BERTH_POSTGRES_ENTRYPOINT_INITDB_H

#include "postgres/entrypoint/settings.h"

/* The words of POSTGRES_INITDB_ARGS as a shell splits them; what needs a shell (variables, substitutions) goes through
 * one. *ret is the caller's. */
int initdb_split_args(const char *text, char ***ret, Error **err);
/* True where initdb would store the password as md5 by these settings. */
bool initdb_wants_md5(const Settings *settings);
/* True for a password that initdb would not read whole: it is given a verifier instead. */
bool initdb_password_is_odd(const Settings *settings);
/* Runs initdb into build_dir and shows its output with data_dir in place of build_dir. Data checksums are on unless
 * the arguments say otherwise. A status other than 0 is ERROR_FAILED with *ret_status set. */
int initdb_run(const Settings *settings, const char *build_dir, int *ret_status, Error **err);
/* listen_addresses = '*' where the sample's default is still commented out. */
int initdb_set_listen_addresses(const char *data_dir, Error **err);
/* Appends the "host all all all" rule. server_args are the server's arguments without "postgres". */
int initdb_add_host_rule(const Settings *settings, char *const *server_args, int *ret_status, Error **err);

#endif
