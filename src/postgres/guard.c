#include "postgres/guard.h"

#include <ctype.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strv.h"
#include "postgres/scram.h"

#define FIRST_MAJOR_WITH_NEW_LAYOUT 18
#define CHECKPOINT_GRACE_MS         60000
#define ENOUGH_SHM_BYTES            (INT64_C(256) * 1024 * 1024)
#define SHORTEST_PASSWORD           8
#define FEWEST_DIFFERENT            4

/* Of the guides and of everyone's first try. */
static const char *const known_passwords[] = {
        "AutoDeploy123",
        "backstage_secret",
        "your_strong_password",
        "dev123",
        "staging-secret-from-vault",
        "postgres",
        "password",
        "secret",
        "admin",
        "example",
        "changeme",
        "mysecretpassword",
        "123456",
        "12345678",
        "qwerty",
        "root",
        "test",
        "pass",
        "postgrespw",
        "supersecret",
        "your_password",
        "password123",
        "changeit",
        "letmein",
        "hunter2",
        "pgpassword",
        "admin123",
};

typedef struct Report {
        const GuardFacts *facts;
        char *const *silenced;
        GuardFindings *findings;
} Report;

void guard_findings_done(GuardFindings *findings)
{
        VECTOR_FOREACH(finding, findings) {
                free(finding->message);
                free(finding->hint);
        }
        vector_done(findings);
}

static void add(const Report *report, const char *id, bool is_error, char *message, char *hint)
{
        if (strv_contains(report->silenced, id)) {
                free(message);
                free(hint);
                return;
        }
        vector_add(report->findings, (GuardFinding){ id, is_error, message, hint });
}

static void check_major(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (!facts->initialised && !facts->unfinished && facts->elsewhere_major && facts->image_major)
                add(report, "major-version", true,
                    xasprintf("the volume holds data of PostgreSQL %d, not where the image, PostgreSQL %d, has its own",
                              facts->elsewhere_major, facts->image_major),
                    xasprintf("`berth upgrade %s --to %d` moves the data, while a container of postgres:%d runs. Or go "
                              "back to postgres:%d and the mount that it had; nothing has been changed.",
                              facts->service, facts->image_major, facts->elsewhere_major, facts->elsewhere_major));
        if (!facts->initialised || !facts->data_major || !facts->image_major || facts->data_major == facts->image_major)
                return;
        add(report, "major-version", true,
            xasprintf("the data was written by PostgreSQL %d, and the image has PostgreSQL %d", facts->data_major,
                      facts->image_major),
            facts->data_major < facts->image_major
                    ? xasprintf(
                              "`berth upgrade %s --to %d` moves the data, while a container of postgres:%d runs. Or go "
                              "back to postgres:%d; nothing has been changed.",
                              facts->service, facts->image_major, facts->data_major, facts->data_major)
                    : xasprintf("Go back to postgres:%d; nothing has been changed. After an upgrade `berth upgrade %s "
                                "--rollback` returns to the earlier data.",
                                facts->data_major, facts->service));
}

/* "glibc" of "glibc 2.36"; empty where unknown. */
static size_t kind_length(const char *libc)
{
        return strcspn(libc, " ,");
}

#define REINDEX_HINT \
        "Run REINDEX DATABASE and ALTER DATABASE … REFRESH COLLATION VERSION once, and check unique indexes."

/* Who sorts by ICU minds ICU's version, whatever the libc. Not known of data that an earlier Berth wrote. */
static void check_icu(const Report *report, const char *before, const char *now)
{
        const char *then = strstr(before, "ICU "), *here = strstr(now, "ICU ");

        if (!then || (here && strtol(then + 4, NULL, 10) == strtol(here + 4, NULL, 10)))
                return;
        add(report, "collation-version", false,
            here ? xasprintf(
                           "the data was written under ICU %ld, and the image has ICU %ld: what is sorted by ICU may sort differently",
                           strtol(then + 4, NULL, 10), strtol(here + 4, NULL, 10))
                 : xasprintf(
                           "the data was written under ICU %ld, and the image has none: what is sorted by ICU cannot be read",
                           strtol(then + 4, NULL, 10)),
            xstrdup(REINDEX_HINT));
}

static void check_collation(const Report *report)
{
        const GuardFacts *facts = report->facts;
        const char *now = facts->image_libc, *before = NULL;
        int length;

        if (!facts->initialised || !now || !facts->written_by)
                return;
        before = strstr(facts->written_by, "glibc ");
        if (!before)
                before = strstr(facts->written_by, "musl ");
        if (!before)
                return;
        length = (int)strcspn(now, ",");
        if (strncmp(before, now, (size_t)length) == 0 && strchr(", ", before[length])) {
                check_icu(report, before, now);
                return;
        }
        if (kind_length(before) == kind_length(now) && strncmp(before, now, kind_length(now)) == 0) {
                add(report, "collation-version", false,
                    xasprintf("the data was written under %.*s, and the image has %.*s: text may sort differently",
                              (int)strcspn(before, ","), before, length, now),
                    xstrdup(REINDEX_HINT));
                return;
        }
        add(report, "libc", true,
            xasprintf("the data was written under %.*s, and the image has %.*s: indexes on text would be corrupt",
                      (int)strcspn(before, ","), before, length, now),
            xstrdup("Use an image of the same kind (Alpine or Debian), or dump and restore into a new volume."));
}

static void check_layout(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (!facts->shadowed_mount)
                return;
        add(report, "data-layout", true,
            xasprintf("the mount at %s does not hold the data: this image keeps it in %s, which would be %s",
                      facts->shadowed_mount, facts->pgdata,
                      facts->in_container ? "lost with the container" : "in an anonymous volume"),
            xasprintf("Mount the volume at %s%s.",
                      facts->image_major >= FIRST_MAJOR_WITH_NEW_LAYOUT ? "/var/lib/postgresql" : facts->pgdata,
                      facts->image_major >= FIRST_MAJOR_WITH_NEW_LAYOUT ? " (images from 18 on)" : ""));
}

static void check_persistence(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (facts->shadowed_mount || (!facts->anonymous_volume && !facts->in_container))
                return;
        add(report, "no-volume", false,
            xasprintf("the data is in %s: nothing names it",
                      facts->in_container ? "the container itself" : "an anonymous volume"),
            xasprintf("Mount a named volume at %s.",
                      facts->image_major >= FIRST_MAJOR_WITH_NEW_LAYOUT ? "/var/lib/postgresql" : facts->pgdata));
}

static void check_half(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (facts->unfinished)
                add(report, "unfinished-first-start", false,
                    xstrdup("an earlier first start of this volume did not finish: its remains are removed and it "
                            "starts over"),
                    xstrdup("Look at the container's log for what stopped it: a failing init file fails again."));
        else if (facts->partial)
                add(report, "half-initialised", true,
                    xstrdup("the volume holds a PG_VERSION but no control file: it was never initialised to its end, "
                            "or is damaged"),
                    xstrdup("Restore a backup, or, where it never held data, remove the volume and start again."));
}

static const char *or_default(const char *text, const char *fallback)
{
        return isempty(text) ? fallback : text;
}

static void check_drift(const Report *report)
{
        const GuardFacts *facts = report->facts;
        const char *user = or_default(facts->user, "postgres"), *database = or_default(facts->database, user);

        if (!facts->initialised)
                return;
        if (facts->first_user && !streq(facts->first_user, user))
                add(report, "user-drift", false,
                    xasprintf("POSTGRES_USER is %s, but the volume was initialised with %s: the variable has no effect "
                              "on it",
                              user, facts->first_user),
                    xasprintf("Set POSTGRES_USER to %s, or run: CREATE ROLE \"%s\" SUPERUSER LOGIN PASSWORD '…'",
                              facts->first_user, user));
        if (facts->first_database && !streq(facts->first_database, database))
                add(report, "database-drift", false,
                    xasprintf("POSTGRES_DB is %s, but the volume was initialised with %s: the variable has no effect "
                              "on it",
                              database, facts->first_database),
                    xasprintf("Set POSTGRES_DB to %s, or run: CREATE DATABASE \"%s\"", facts->first_database,
                              database));
        if (facts->first_password_mark && !isempty(facts->password) &&
            !guard_password_matches(facts->first_password_mark, facts->password))
                add(report, "password-drift", false,
                    xasprintf("POSTGRES_PASSWORD%s is not the one the volume was initialised with: the database keeps "
                              "its own",
                              facts->password_from_file ? "_FILE" : ""),
                    xasprintf("Bring the database up to it: berth secret rotate %s --adopt.", facts->service));
}

static bool is_known_password(const char *password)
{
        for (size_t i = 0; i < ARRAY_SIZE(known_passwords); i++)
                if (streq(password, known_passwords[i]))
                        return true;
        return false;
}

const char *guard_password_weakness(const char *password, bool *ret_known)
{
        bool seen[256] = { false };
        size_t different = 0;

        *ret_known = is_known_password(password);
        if (*ret_known)
                return "is one that everybody knows";
        if (strlen(password) < SHORTEST_PASSWORD)
                return "has less than 8 characters";
        for (const char *c = password; *c; c++) {
                different += !seen[(unsigned char)*c];
                seen[(unsigned char)*c] = true;
        }
        return different < FEWEST_DIFFERENT ? "repeats the same few characters" : NULL;
}

static void check_password(const Report *report)
{
        const GuardFacts *facts = report->facts;
        const char *name = facts->password_from_file ? "the file of POSTGRES_PASSWORD_FILE" : "POSTGRES_PASSWORD";

        if (facts->password_file_is_missing)
                add(report, "password-file", !facts->initialised,
                    xstrdup("the file that POSTGRES_PASSWORD_FILE names is no secret, config or mount here"),
                    xstrdup("Give the service the secret, or correct the path."));
        else if (isempty(facts->password) && facts->password_from_file && !facts->trust)
                add(report, "empty-password", !facts->initialised, xasprintf("%s is empty", name),
                    xstrdup("Write a password into it, without a newline: printf '%s' PASSWORD > FILE."));
        else if (isempty(facts->password) && !facts->trust && !facts->initialised)
                add(report, "empty-password", false,
                    xstrdup("POSTGRES_PASSWORD is empty or not given: the first start will end there"),
                    xasprintf("Give service \"%s\" a password: POSTGRES_PASSWORD_FILE and a secret.", facts->service));
        else if (!isempty(facts->password) && is_known_password(facts->password))
                add(report, "known-password", false, xasprintf("%s is one that everybody knows", name),
                    xstrdup("Make one: openssl rand -base64 24."));
        else if (!isempty(facts->password) && strlen(facts->password) < SHORTEST_PASSWORD)
                add(report, "short-password", false, xasprintf("%s has %zu characters", name, strlen(facts->password)),
                    xstrdup("Make one: openssl rand -base64 24."));
}

static void check_reach(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (facts->trust && facts->published_to_all)
                add(report, "trust-published", true,
                    xasprintf("port %s is published to all addresses, and POSTGRES_HOST_AUTH_METHOD=trust asks nobody "
                              "for a password",
                              or_default(facts->published_port, "5432")),
                    xasprintf("Publish it to this machine alone (127.0.0.1:%s:5432), or set a password.",
                              or_default(facts->published_port, "5432")));
        else if (facts->published_to_all)
                add(report, "published-to-all", false,
                    xasprintf("port %s is published to all addresses of this machine, past its firewall",
                              or_default(facts->published_port, "5432")),
                    xasprintf("Publish it to this machine alone where that is enough: 127.0.0.1:%s:5432.",
                              or_default(facts->published_port, "5432")));
}

static void check_resources(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (facts->stop_grace_ms >= 0 && facts->stop_grace_ms < CHECKPOINT_GRACE_MS)
                add(report, "stop-grace", false,
                    xasprintf(
                            "stop_grace_period is %lld s: a checkpoint may take longer, and then the server is killed",
                            (long long)(facts->stop_grace_ms / 1000)),
                    xstrdup("Leave it out (Berth waits 60 s), or give a minute or more."));
        if (facts->shm_bytes >= 0 && facts->shm_bytes < ENOUGH_SHM_BYTES)
                add(report, "shm-size", false,
                    xasprintf("shm_size is %lld MB: parallel queries may fail to resize shared memory",
                              (long long)(facts->shm_bytes >> 20)),
                    xstrdup("Leave it out (Berth gives 256 MB), or give 256mb or more."));
}

/* A line "name …" or "name = …" that is no comment. */
static bool sets(const char *text, const char *name)
{
        size_t length = strlen(name);

        for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                const char *start = line + strspn(line, " \t");
                if (strncasecmp(start, name, length) == 0 &&
                    (isspace((unsigned char)start[length]) || start[length] == '='))
                        return true;
        }
        return false;
}

static void check_configuration(const Report *report)
{
        const GuardFacts *facts = report->facts;

        if (facts->config_file && !sets(facts->config_file, "listen_addresses") &&
            !sets(facts->config_file, "include") && !sets(facts->config_file, "include_dir"))
                add(report, "listen-addresses", false,
                    xasprintf("%s sets no listen_addresses: the server will be healthy on its socket and unreachable "
                              "by TCP",
                              or_default(facts->config_path, "the mounted configuration")),
                    xstrdup("Add the line listen_addresses = '*'."));
        if (facts->command_changes_key_owner)
                add(report, "key-owner", false,
                    xstrdup("the start command changes the owner of a file that is bound from this machine: it changes "
                            "here too"),
                    xstrdup("Use a secret with uid, gid and mode instead."));
}

void guard_check(const GuardFacts *facts, char *const *silenced, GuardFindings *findings)
{
        Report report = { facts, silenced, findings };

        check_major(&report);
        check_collation(&report);
        check_layout(&report);
        check_half(&report);
        check_persistence(&report);
        check_drift(&report);
        check_password(&report);
        check_reach(&report);
        check_resources(&report);
        check_configuration(&report);
}

const char *const *guard_identifiers(void)
{
        static const char *const identifiers[] = {
                "major-version",
                "collation-version",
                "libc",
                "data-layout",
                "no-volume",
                "unfinished-first-start",
                "half-initialised",
                "user-drift",
                "database-drift",
                "password-drift",
                "password-file",
                "empty-password",
                "known-password",
                "short-password",
                "trust-published",
                "published-to-all",
                "stop-grace",
                "shm-size",
                "listen-addresses",
                "key-owner",
                "job-not-awaited",
                "job-without-verb",
                NULL,
        };

        return identifiers;
}

char *guard_password_mark(const char *password)
{
        char *verifier = NULL;

        scram_build_verifier(password, NULL, SCRAM_DEFAULT_ITERATIONS, &verifier, NULL);
        return verifier;
}

bool guard_password_matches(const char *mark, const char *password)
{
        _cleanup_free_ char *again = NULL;
        unsigned char salt[SCRAM_SALT_SIZE];

        if (!scram_read_salt(mark, salt) ||
            scram_build_verifier(password, salt, SCRAM_DEFAULT_ITERATIONS, &again, NULL) < 0)
                return true; /* not known to differ */
        return streq(mark, again);
}
