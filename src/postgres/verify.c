#include "postgres/verify.h"

#include <inttypes.h>

#include "base/mem.h"

#define OLDEST_BACKUP_S (INT64_C(36) * 3600)

typedef void (*Judge)(const VerifyFacts *facts, VerifyResult *result);

void verify_results_done(VerifyResults *results)
{
        VECTOR_FOREACH(result, results) {
                free(result->detail);
                free(result->fix);
        }
        vector_done(results);
}

const char *verify_state_name(VerifyState state)
{
        static const char *const names[] = { "pass", "fail", "not applicable" };

        return names[state];
}

/* detail and fix are taken. */
static void set(VerifyResult *result, VerifyState state, char *detail, char *fix)
{
        result->state = state;
        result->detail = detail;
        result->fix = fix;
}

static void set_outcome(VerifyResult *result, bool good, const char *detail, const char *fix)
{
        set(result, good ? VERIFY_PASS : VERIFY_FAIL, xstrdup(detail), good ? NULL : xstrdup(fix));
}

static void judge_running(const VerifyFacts *facts, VerifyResult *result)
{
        set_outcome(result, facts->running, facts->running ? "it runs" : "it does not run", "berth up -d");
}

static void judge_health(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->health)
                set(result, VERIFY_FAIL, xstrdup("no health check"),
                    xstrdup("Give the service a healthcheck with pg_isready."));
        else
                set_outcome(result, streq(facts->health, "healthy"), facts->health,
                            "See what its check says: berth inspect, berth logs.");
}

static void judge_answer(const VerifyFacts *facts, VerifyResult *result)
{
        set_outcome(result, facts->answer != NULL,
                    facts->answer  ? facts->answer
                    : facts->error ? facts->error
                                   : "no answer",
                    "See what the server says: berth logs.");
}

static void judge_by_name(const VerifyFacts *facts, VerifyResult *result)
{
        if (facts->by_name == OUTCOME_NOT_TRIED)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else if (facts->by_name == OUTCOME_YES)
                set(result, VERIFY_PASS, xasprintf("as \"%s\", over TCP, with the password", facts->service), NULL);
        else
                set(result, VERIFY_FAIL, xstrdup(facts->by_name_error ? facts->by_name_error : "refused"),
                    xstrdup("Look at listen_addresses, at pg_hba.conf, and whether the password is the one that the "
                            "volume was initialised with."));
}

static void judge_wrong_password(const VerifyFacts *facts, VerifyResult *result)
{
        if (facts->by_name != OUTCOME_YES)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("no connection over TCP"), NULL);
        else
                set_outcome(result, facts->wrong_password == OUTCOME_NO,
                            facts->wrong_password == OUTCOME_NO ? "refused" : "let in",
                            "Take `trust` out of pg_hba.conf and POSTGRES_HOST_AUTH_METHOD; berth secure.");
}

static void judge_write(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else
                set_outcome(result, facts->wrote_and_read, facts->wrote_and_read ? "in a temporary table" : "refused",
                            "See what the server says: berth logs.");
}

static void judge_tables(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->answer || (facts->tables == 0 && !facts->tool && !facts->has_folder))
                set(result, VERIFY_NOT_APPLICABLE,
                    xstrdup(facts->answer ? "no tables and no migrations" : "the server does not answer"), NULL);
        else
                set(result, facts->tables > 0 ? VERIFY_PASS : VERIFY_FAIL,
                    xasprintf("%" PRId64 " table%s", facts->tables, facts->tables == 1 ? "" : "s"),
                    facts->tables > 0 ? NULL : xstrdup("Run the migrations: berth migrate up."));
}

static void judge_migrations(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->answer || (!facts->tool && !facts->has_folder))
                set(result, VERIFY_NOT_APPLICABLE, xstrdup(facts->answer ? "none" : "the server does not answer"),
                    NULL);
        else if (facts->dirty)
                set(result, VERIFY_FAIL, xstrdup("one failed half-way: the database is dirty"),
                    xstrdup("Mend it, then: berth migrate force VERSION."));
        else if (facts->pending > 0)
                set(result, VERIFY_FAIL, xasprintf("%" PRId64 " pending", facts->pending),
                    xstrdup("berth migrate up, or x-berth: {migrations: {on_up: true}}"));
        else if (facts->odd > 0)
                set(result, VERIFY_FAIL, xasprintf("%" PRId64 " changed, missing or out of order", facts->odd),
                    xstrdup("berth migrate status"));
        else
                set(result, VERIFY_PASS, xasprintf("all applied (%s)", facts->tool ? facts->tool : "none yet"), NULL);
}

static void judge_storage(const VerifyFacts *facts, VerifyResult *result)
{
        static const char *const kinds[] = { "in the container: lost with it",
                                             "in an anonymous volume: nothing names it", "in volume", "in folder" };
        bool good = facts->storage >= STORAGE_NAMED;

        set(result, good ? VERIFY_PASS : VERIFY_FAIL,
            xasprintf("%s%s%s", kinds[facts->storage], good ? " " : "", good && facts->volume ? facts->volume : ""),
            good ? NULL : xstrdup("Mount a named volume at the data folder."));
}

static void judge_experiment(VerifyOutcome outcome, VerifyResult *result)
{
        if (outcome == OUTCOME_NOT_TRIED)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("not tried"),
                    xstrdup("berth verify --experiments stops, starts and recreates the database."));
        else
                set_outcome(result, outcome == OUTCOME_YES,
                            outcome == OUTCOME_YES ? "the data was there" : "the data was gone",
                            "Mount a named volume at the data folder.");
}

static void judge_restart_experiment(const VerifyFacts *facts, VerifyResult *result)
{
        judge_experiment(facts->survives_restart, result);
}

static void judge_removal_experiment(const VerifyFacts *facts, VerifyResult *result)
{
        judge_experiment(facts->survives_removal, result);
}

static void judge_restart(const VerifyFacts *facts, VerifyResult *result)
{
        bool good = facts->restart &&
                    (startswith(facts->restart, "always") || startswith(facts->restart, "unless-stopped"));

        set_outcome(result, good, facts->restart ? facts->restart : "no", "Write restart: unless-stopped.");
}

static void judge_connections(const VerifyFacts *facts, VerifyResult *result)
{
        bool good = facts->connections * 5 < facts->max_connections * 4;

        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else
                set(result, good ? VERIFY_PASS : VERIFY_FAIL,
                    xasprintf("%" PRId64 " of %" PRId64, facts->connections, facts->max_connections),
                    good ? NULL : xstrdup("Look for a leak first, then use a pool; raise max_connections last."));
}

static void judge_statements(const VerifyFacts *facts, VerifyResult *result)
{
        if (facts->answer && facts->statements)
                set(result, VERIFY_PASS, xstrdup("pg_stat_statements is loaded"), NULL);
        else
                set(result, VERIFY_NOT_APPLICABLE,
                    xstrdup(facts->answer ? "pg_stat_statements is not loaded" : "the server does not answer"),
                    xstrdup("Set shared_preload_libraries = 'pg_stat_statements'."));
}

static void judge_backup(const VerifyFacts *facts, VerifyResult *result)
{
        if (facts->backups_off)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("switched off in x-berth"), NULL);
        else if (facts->backups == 0)
                set(result, VERIFY_FAIL, xstrdup("no base backup"),
                    xstrdup("berth backup; docs/backup.md tells what is done by itself."));
        else
                set(result, facts->backup_age_s <= OLDEST_BACKUP_S ? VERIFY_PASS : VERIFY_FAIL,
                    xasprintf("%" PRId64 ", the newest %" PRId64 " h old", facts->backups, facts->backup_age_s / 3600),
                    facts->backup_age_s <= OLDEST_BACKUP_S
                            ? NULL
                            : xstrdup("berth schedule tells why; berth backup takes one now."));
}

static void judge_streaming(const VerifyFacts *facts, VerifyResult *result)
{
        static const char fix[] =
                "See the receiver's log: projects/PROJECT/logs/receiver-SERVICE.log in the data folder; berth backup ls.";

        if (facts->backups_off)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("switched off in x-berth"), NULL);
        else if (!facts->running)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not run"), NULL);
        else if (!facts->streaming)
                set(result, VERIFY_FAIL,
                    xstrdup(facts->not_streaming ? facts->not_streaming : "nobody receives the log"), xstrdup(fix));
        else
                set(result, VERIFY_PASS, xstrdup("the log is received as it is written"), NULL);
}

static void judge_certificate(const VerifyFacts *facts, VerifyResult *result)
{
        int64_t days = facts->certificate_left_s / 86400;

        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else if (!facts->ssl)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("TLS is off"), NULL);
        else if (!facts->certificate_seen)
                set(result, VERIFY_FAIL, xstrdup(facts->certificate_error ? facts->certificate_error : "no handshake"),
                    xstrdup("See what the server says: berth logs."));
        else if (facts->certificate_left_s < 0)
                set(result, VERIFY_FAIL, xasprintf("it expired %" PRId64 " days ago", -days),
                    xstrdup("berth secure, then berth up -d"));
        else if (facts->certificate_is_file == OUTCOME_NO)
                set(result, VERIFY_FAIL, xasprintf("another one is served than %s holds", facts->certificate_file),
                    xstrdup("berth up -d; where that does not help, berth restart."));
        else if (facts->certificate_trusted == OUTCOME_NO)
                set(result, VERIFY_FAIL,
                    xstrdup("the project's authority (ca.crt) did not sign it: sslmode=verify-full fails with that"),
                    xstrdup("Hand clients the authority that signed it: berth secure SERVICE --from CERT KEY CA; or berth secure --force."));
        else if (facts->certificate_due)
                set(result, VERIFY_FAIL, xasprintf("it ends in %" PRId64 " days and has not been renewed", days),
                    xstrdup("berth secure; one of somebody else: berth secure SERVICE --from CERT KEY."));
        else
                set(result, VERIFY_PASS,
                    xasprintf("it ends in %" PRId64 " days%s%s", days,
                              facts->certificate_is_file == OUTCOME_YES ? "; it is that of " : "",
                              facts->certificate_is_file == OUTCOME_YES ? facts->certificate_file : ""),
                    NULL);
}

static void judge_password(const VerifyFacts *facts, VerifyResult *result)
{
        bool good = !facts->password_in_environment && !facts->trust;

        set_outcome(result, good,
                    facts->trust ? "no password is asked for"
                    : good       ? "in a file"
                                 : "in the environment, where whoever may inspect the container reads it",
                    "Use a secret and POSTGRES_PASSWORD_FILE.");
}

static void judge_secrets(const VerifyFacts *facts, VerifyResult *result)
{
        if (facts->open_secrets == 0)
                set(result, VERIFY_PASS, xstrdup("nothing found"), NULL);
        else
                set(result, VERIFY_FAIL, xstrdup(facts->secret_finding), xstrdup("berth secret check"));
}

static void judge_image(const VerifyFacts *facts, VerifyResult *result)
{
        const char *name = facts->image ? facts->image : "", *slash = strrchr(name, '/');
        const char *tag = strrchr(slash ? slash : name, ':');
        bool good = strchr(name, '@') || (tag && !streq(tag, ":latest"));

        set_outcome(result, good, name, "Name the major version: postgres:16.");
}

static void judge_reach(const VerifyFacts *facts, VerifyResult *result)
{
        static const char *const words[] = { "not published", "this machine only", "all addresses, past the firewall" };

        set_outcome(result, facts->reach != REACH_ALL, words[facts->reach],
                    "Publish it to this machine alone: 127.0.0.1:5432:5432.");
}

static void judge_tls(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else
                set_outcome(result, facts->ssl, facts->ssl ? "on" : "off", "berth secure");
}

static void judge_order(const VerifyFacts *facts, VerifyResult *result)
{
        set_outcome(result, !facts->impatient, facts->impatient ? facts->impatient : "who needs it waits for it",
                    "depends_on with condition: service_healthy, and service_completed_successfully for jobs.");
}

static void judge_durable(const VerifyFacts *facts, VerifyResult *result)
{
        bool good = facts->fsync && facts->full_page_writes && facts->synchronous_commit;

        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else
                set_outcome(result, good,
                            good ? "fsync, full_page_writes and synchronous_commit are on"
                                 : "one of fsync, full_page_writes and synchronous_commit is off",
                            "Leave them on: a power cut costs data.");
}

static void judge_checksums(const VerifyFacts *facts, VerifyResult *result)
{
        if (!facts->answer)
                set(result, VERIFY_NOT_APPLICABLE, xstrdup("the server does not answer"), NULL);
        else
                set_outcome(result, facts->checksums, facts->checksums ? "on" : "off",
                            "Stop the server and run pg_checksums --enable on its data folder.");
}

#define BOTH (CHECKLIST_BASICS | CHECKLIST_PRODUCTION)

static const struct {
        const char *id, *title;
        unsigned lists;
        Judge judge;
} checks[] = {
        { "runs", "the server runs in its container", BOTH, judge_running },
        { "healthy", "its health check is green", BOTH, judge_health },
        { "answers", "it answers a query", CHECKLIST_BASICS, judge_answer },
        { "by-name", "an application reaches it by name, with the password", BOTH, judge_by_name },
        { "wrong-password", "a wrong password is refused", BOTH, judge_wrong_password },
        { "migrations", "migrations are applied", BOTH, judge_migrations },
        { "tables", "the tables are there", CHECKLIST_BASICS, judge_tables },
        { "write-read", "what is written is read", CHECKLIST_BASICS, judge_write },
        { "storage", "the data is in a volume with a name", BOTH, judge_storage },
        { "restart", "it comes back after a crash and a reboot", BOTH, judge_restart },
        { "survives-restart", "data survives stop and start", CHECKLIST_BASICS, judge_restart_experiment },
        { "survives-removal", "data survives a new container", CHECKLIST_BASICS, judge_removal_experiment },
        { "connections", "connections are below four fifths of the limit", CHECKLIST_BASICS, judge_connections },
        { "statements", "slow queries can be found", CHECKLIST_BASICS, judge_statements },
        { "backup", "there is a backup of yesterday or later", BOTH, judge_backup },
        { "streaming", "the log is received as it is written", BOTH, judge_streaming },
        { "password", "the password is in a file", CHECKLIST_PRODUCTION, judge_password },
        { "secrets", "secrets are closed and strong", CHECKLIST_PRODUCTION, judge_secrets },
        { "image", "the image names its version", CHECKLIST_PRODUCTION, judge_image },
        { "published", "the port is not open to everybody", CHECKLIST_PRODUCTION, judge_reach },
        { "tls", "connections are encrypted", CHECKLIST_PRODUCTION, judge_tls },
        { "certificate", "its certificate is good, and the one in the file", CHECKLIST_PRODUCTION, judge_certificate },
        { "order", "database, then jobs, then applications", CHECKLIST_PRODUCTION, judge_order },
        { "durable", "a commit is on the disk", CHECKLIST_PRODUCTION, judge_durable },
        { "checksums", "damaged pages are noticed", CHECKLIST_PRODUCTION, judge_checksums },
};

void verify_judge(const VerifyFacts *facts, unsigned lists, VerifyResults *ret)
{
        for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
                VerifyResult result = { .id = checks[i].id, .title = checks[i].title, .lists = checks[i].lists };

                if (!(checks[i].lists & lists))
                        continue;
                checks[i].judge(facts, &result);
                vector_add(ret, result);
        }
}
