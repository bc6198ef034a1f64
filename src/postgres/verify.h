/* The checklists of two courses, against what was found of a running database: pure functions over facts. `basics` is the
 * one of first steps with PostgreSQL in a container (it runs, is reached, is migrated, keeps its data, is watched and backed
 * up); `production` that of a deployment for production (secrets, TLS, order of start, reach, durability). */
#ifndef BERTH_POSTGRES_VERIFY_H
#define BERTH_POSTGRES_VERIFY_H

#include "base/vector.h"

typedef enum VerifyStorage { STORAGE_CONTAINER, STORAGE_ANONYMOUS, STORAGE_NAMED, STORAGE_BOUND } VerifyStorage;
typedef enum VerifyReach { REACH_NONE, REACH_THIS_MACHINE, REACH_ALL } VerifyReach;
typedef enum VerifyOutcome { OUTCOME_NOT_TRIED, OUTCOME_YES, OUTCOME_NO } VerifyOutcome;

typedef struct VerifyFacts {
        const char *service;
        bool running;
        const char *health;  /* "healthy", …; NULL: no check */
        const char *restart; /* "no", "always", … */
        const char *image;   /* as written */
        VerifyStorage storage;
        const char *volume; /* its name, or the folder; NULL */
        VerifyReach reach;
        const char *port; /* published to all; NULL */
        bool password_in_environment, trust;
        size_t open_secrets;        /* findings of secret_check that are errors */
        const char *secret_finding; /* the first; NULL */
        const char *impatient;      /* a service that does not wait for health, or for a job's end; NULL */
        int64_t backups;            /* good base backups of this cluster */
        int64_t backup_age_s;       /* since the newest was whole */
        bool streaming;             /* its log is being received */
        const char *not_streaming;  /* why not; NULL: nobody says */
        bool backups_off;           /* x-berth says so */

        /* Asked of the server; where it did not answer, answer is NULL and error says why. */
        const char *answer; /* its version */
        const char *error;
        VerifyOutcome by_name; /* over TCP by the service's name with the password */
        const char *by_name_error;
        VerifyOutcome wrong_password; /* YES: it was let in */
        bool wrote_and_read;
        bool ssl, checksums, fsync, full_page_writes, synchronous_commit, statements;
        int64_t connections, max_connections;                   /* clients' ones, without reserved */
        int64_t tables;                                         /* of users */
        bool certificate_seen;                                  /* what a client is handed */
        int64_t certificate_left_s;                             /* below 0: it has expired */
        bool certificate_due;                                   /* it should have been renewed */
        VerifyOutcome certificate_is_file, certificate_trusted; /* the project's file's; signed by its authority */
        const char *certificate_file, *certificate_error;       /* NULL */
        const char *tool; /* "golang-migrate", "Alembic", "knex"; NULL: none has run */
        bool has_folder;  /* of migrations, or one was expected */
        bool dirty;
        int64_t pending, odd; /* odd: changed, out of order or missing */

        /* --experiments */
        VerifyOutcome survives_restart, survives_removal;
} VerifyFacts;

typedef enum VerifyState { VERIFY_PASS, VERIFY_FAIL, VERIFY_NOT_APPLICABLE } VerifyState;

enum { CHECKLIST_BASICS = 1 << 0, CHECKLIST_PRODUCTION = 1 << 1 };

typedef struct VerifyResult {
        const char *id;    /* "runs", …: static */
        const char *title; /* static */
        unsigned lists;
        VerifyState state;
        char *detail, *fix; /* fix: NULL unless there is something to do */
} VerifyResult;

typedef VECTOR(VerifyResult) VerifyResults;
void verify_results_done(VerifyResults *results);
#define _cleanup_verify_results_ _cleanup_(verify_results_done)

/* Every check of the lists, in order. */
void verify_judge(const VerifyFacts *facts, unsigned lists, VerifyResults *ret);
/* "pass", "fail", "not applicable" */
const char *verify_state_name(VerifyState state);

#endif
