/* What is checked of every database before anything starts: pure functions over facts. A guard is an error where data
 * is at risk and a warning elsewhere; each has an identifier, under which x-berth can silence it. */
#ifndef BERTH_POSTGRES_GUARD_H
#define BERTH_POSTGRES_GUARD_H

#include "base/error.h"
#include "base/vector.h"

typedef struct GuardFacts {
        const char *service;    /* for messages */
        const char *pgdata;     /* inside the container */
        int image_major;        /* 0: unknown */
        const char *image_libc; /* "glibc 2.36, ICU 72", "musl 1.2.4"; NULL: unknown */

        /* The data folder on the host. */
        bool initialised;           /* PG_VERSION is there and not empty, and no first start is unfinished */
        int data_major;             /* of PG_VERSION; 0: none or unreadable */
        bool unfinished;            /* an unfinished first start of ours */
        bool partial;               /* PG_VERSION without pg_control: somebody else's half */
        int elsewhere_major;        /* no data there, but in another folder of the same volume, of this major; 0 */
        bool in_container;          /* no mount covers it: it goes with the container */
        bool anonymous_volume;      /* the mount that covers it is an anonymous volume */
        const char *shadowed_mount; /* a named or bound mount of the user's that does not hold PGDATA although it is
                                     * meant to
                                     * (/var/lib/postgresql before 18, …/data from 18 on); NULL */
        const char *written_by;     /* what wrote the volume: "postgres 16.9, glibc 2.36"; NULL: unknown */

        /* What the environment asks for. "" or NULL: not given. */
        const char *user, *database, *password;
        bool password_from_file, password_file_is_missing, trust;

        /* What the cluster was made with, remembered at its first start; NULL: unknown. */
        const char *first_user, *first_database;
        const char *first_password_mark; /* a salted mark of the password; see guard_password_mark */

        bool published_to_all;          /* a port on all addresses */
        const char *published_port;     /* "5432"; for the message */
        int64_t stop_grace_ms;          /* -1: not given */
        int64_t shm_bytes;              /* -1: not given */
        const char *config_file;        /* text of a mounted postgresql.conf; NULL: none */
        const char *config_path;        /* its path inside */
        bool command_changes_key_owner; /* a start command runs chown on a file that is bound from the host */
} GuardFacts;

typedef struct GuardFinding {
        const char *id; /* "major-version", …: static */
        bool is_error;
        char *message, *hint;
} GuardFinding;

typedef VECTOR(GuardFinding) GuardFindings;

void guard_findings_done(GuardFindings *findings);
#define _cleanup_guard_findings_ _cleanup_(guard_findings_done)

/* Appends what applies and is not named in silenced (a strv; NULL: none). */
void guard_check(const GuardFacts *facts, char *const *silenced, GuardFindings *findings);
/* All identifiers, for documentation and for checking what x-berth names; ends with NULL. */
const char *const *guard_identifiers(void);

/* Why a password is no good ("one that everybody knows", "8 characters long": lower case, static or NULL), and *ret_known:
 * it is on the list of everybody's first tries, the guides' among them. */
const char *guard_password_weakness(const char *password, bool *ret_known);

/* A mark by which a changed password is noticed, without giving the password away: "<salt>$<hash>" of many rounds, with
 * a new salt each. Owned by the caller; NULL for passwords that a server must normalise. */
char *guard_password_mark(const char *password);
bool guard_password_matches(const char *mark, const char *password);

#endif
