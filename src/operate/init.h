/* `berth init`: writes a production deployment that runs under Berth and under docker compose alike. */
#ifndef BERTH_OPERATE_INIT_H
#define BERTH_OPERATE_INIT_H

#include "base/error.h"

typedef struct InitOptions {
        const char *directory; /* made where it is missing; refused where it holds anything */
        int major;             /* of PostgreSQL */
        const char *database;  /* NULL: "app" */
        int host_port;         /* 0: 5432 */
} InitOptions;

typedef struct InitFile {
        char *path;    /* relative to the directory */
        char *purpose; /* a few words */
        unsigned mode;
} InitFile;

typedef struct InitResult {
        InitFile *files; /* in the order in which they were written */
        size_t length;
        bool owner_set; /* the server's key belongs to uid 999: false where the caller may not give files away */
} InitResult;

void init_result_done(InitResult *result);
#define _cleanup_init_result_ _cleanup_(init_result_done)

/* Everything is written into a folder beside the directory and moved into place at the end: all or nothing.
 * ERROR_EXISTS where the directory is not empty. */
int init_deployment(const InitOptions *options, InitResult *ret, Error **err);

#endif
