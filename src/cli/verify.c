/* verify: the checklists of the courses, against a project that runs. */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strv.h"
#include "cli/confirm.h"
#include "cli/database.h"
#include "cli/output/listing.h"
#include "cli/verbs.h"
#include "operate/sql.h"
#include "operate/verify_facts.h"
#include "state/document.h"

#define ANSWER_LIMIT_NS    (60 * NSEC_PER_SEC)
#define ANSWER_PAUSE_MS    100
#define STATEMENT_LIMIT_MS 20000

static const ListingColumn columns[] = {
        { "SERVICE", "service" },
        { "CHECK", "check" },
        { "RESULT", "result" },
        { "WHAT", "title", .flexible = true, .spare = true },
        { "FOUND", "found", .flexible = true },
        { "WHAT TO DO", "fix", .flexible = true },
        { NULL },
};

typedef struct Verification {
        const Invocation *invocation;
        const Scope *scope;
        unsigned lists;
        json_t *rows;
        bool failed;
} Verification;

/* ---- the experiments ---- */

static int ask(const Verification *verification, const char *service, const char *sql, char **ret, Error **err)
{
        _cleanup_(container_info_freep) ContainerInfo *info = NULL;
        const SqlRequest request = { .timeout_ms = STATEMENT_LIMIT_MS };
        int r = scope_database(verification->scope, service, &info, err);

        return r < 0 ? r : sql_ask(verification->scope->engine, info, &request, sql, ret, err);
}

/* A database without a health check counts as up before it answers. */
static int ask_until_answered(const Verification *verification, const char *service, const char *sql, char **ret,
                              Error **err)
{
        int64_t deadline = clock_monotonic_ns() + ANSWER_LIMIT_NS;

        for (;;) {
                _cleanup_error_ Error *error = NULL;
                int r = ask(verification, service, sql, ret, &error);

                if (r == 0 || clock_monotonic_ns() >= deadline)
                        return r < 0 ? error_move(err, &error, r) : 0;
                poll(NULL, 0, ANSWER_PAUSE_MS);
        }
}

static int run_words(const Verification *verification, const char *const *words, const char *service, Error **err)
{
        _cleanup_strv_ char **all = NULL;
        int r;

        for (; *words; words++)
                strv_add(&all, *words);
        strv_add(&all, service);
        r = invocation_run_words(verification->invocation, all, err);
        return r > 0 ? error_set(err, ERROR_FAILED, "%s ended with status %d", all[0], r) : r;
}

/* Does the row that was written before still stand there, once the database was taken away and brought back? */
static int experiment(const Verification *verification, const char *service, const char *const *away,
                      VerifyOutcome *ret, Error **err)
{
        static const char *const back[] = { "up", "-d", "--wait", NULL };
        _cleanup_free_ char *output = NULL;
        int r = run_words(verification, away, service, err);

        if (r == 0)
                r = run_words(verification, back, service, err);
        if (r == 0)
                r = ask_until_answered(verification, service, "SELECT to_regclass('berth_verify_kept') IS NOT NULL",
                                       &output, err);
        if (r == 0)
                *ret = streq(output, "t\n") ? OUTCOME_YES : OUTCOME_NO;
        return r;
}

static int run_experiments(const Verification *verification, const char *service, VerifyFacts *facts, Error **err)
{
        static const char *const stop[] = { "stop", NULL }, *const remove[] = { "rm", "--stop", "--force", NULL };
        _cleanup_free_ char *output = NULL, *dropped = NULL;
        VerifyOutcome restart = OUTCOME_NOT_TRIED, removal = OUTCOME_NOT_TRIED;
        int r = ask(verification, service, "DROP TABLE IF EXISTS berth_verify_kept; CREATE TABLE berth_verify_kept ()",
                    &output, err);

        if (r == 0)
                r = experiment(verification, service, stop, &restart, err);
        if (r == 0)
                r = experiment(verification, service, remove, &removal, err);
        ask(verification, service, "DROP TABLE IF EXISTS berth_verify_kept", &dropped, NULL);
        facts->survives_restart = restart;
        facts->survives_removal = removal;
        return error_prefix(err, r, "experiments with service \"%s\"", service);
}

/* ---- the list ---- */

static const char *lists_name(unsigned lists)
{
        return lists == CHECKLIST_BASICS       ? "basics"
               : lists == CHECKLIST_PRODUCTION ? "production"
                                               : "basics, production";
}

static void add_rows(Verification *verification, const char *service, const VerifyResults *results)
{
        VECTOR_FOREACH(result, results) {
                json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "service", service, "check", result->id, "result",
                                        verify_state_name(result->state), "title", result->title, "list",
                                        lists_name(result->lists));

                json_set_string(row, "found", result->detail);
                json_set_string(row, "fix", result->fix);
                json_array_append_new(verification->rows, row);
                verification->failed |= result->state == VERIFY_FAIL;
        }
}

static int verify_service(Verification *verification, const char *service, bool experiments, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        _cleanup_verify_gathering_ VerifyGathering gathering = { 0 };
        _cleanup_verify_results_ VerifyResults results = { 0 };
        XBerth settings = scope_settings(verification->scope, service);
        char *services[] = { (char *)service, NULL };
        VerifyFacts outcomes = { 0 };
        Scope narrowed = *verification->scope;
        int r = experiments ? run_experiments(verification, service, &outcomes, err) : 0;

        narrowed.services = services;
        if (r == 0)
                r = scope_containers(&narrowed, false, &list, err);
        if (r < 0 || list.length == 0)
                return r < 0 ? r : error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container", service);
        verify_gather(&(VerifySubject){ .layout = verification->invocation->layout,
                                        .engine = verification->scope->engine,
                                        .project = verification->scope->project,
                                        .settings = &settings,
                                        .container = list.items[0] },
                      &gathering);
        gathering.facts.survives_restart = outcomes.survives_restart;
        gathering.facts.survives_removal = outcomes.survives_removal;
        verify_judge(&gathering.facts, verification->lists, &results);
        add_rows(verification, service, &results);
        return 0;
}

/* The databases that were named, or all but copies (`clone`). */
static int find_databases(const Scope *scope, char ***ret, Error **err)
{
        _cleanup_container_list_ ContainerList list = { 0 };
        int r = scope_containers(scope, false, &list, err);

        for (size_t i = 0; r == 0 && i < list.length; i++)
                if (container_is_database(list.items[i]) &&
                    (scope->services || !scope_is_copy(scope, list.items[i]->service)) &&
                    !strv_contains(*ret, list.items[i]->service))
                        strv_add(ret, list.items[i]->service);
        return r < 0 || *ret ? r
                             : error_set(err, ERROR_NOT_FOUND, "project \"%s\" has no database that was brought up",
                                         scope->name);
}

static int run_verify(Invocation *invocation, Error **err)
{
        const char *list = invocation_text(invocation, "list", "all");
        bool experiments = invocation_flag(invocation, "experiments");
        _cleanup_json_ json_t *rows = json_array();
        _cleanup_strv_ char **services = NULL;
        _cleanup_scope_ Scope scope = { 0 };
        Verification verification = { .invocation = invocation, .scope = &scope, .rows = rows };
        int r;

        verification.lists = streq(list, "basics")       ? CHECKLIST_BASICS
                             : streq(list, "production") ? CHECKLIST_PRODUCTION
                                                         : CHECKLIST_BASICS | CHECKLIST_PRODUCTION;
        r = scope_open(invocation, invocation->arguments, 0, &scope, err);
        if (r == 0)
                r = find_databases(&scope, &services, err);
        if (r == 0 && experiments)
                r = confirm("stop, start and recreate the database for the experiments", NULL,
                            invocation_flag(invocation, "yes"), "--yes", err);
        for (char **service = services; r == 0 && service && *service; service++)
                r = verify_service(&verification, *service, experiments, err);
        if (r == 0)
                r = listing_print(rows, columns, invocation_text(invocation, "format", NULL), LISTING_LINES, err);
        return r < 0 ? r : verification.failed;
}

static const Option options[] = {
        { "experiments", 0, OPTION_FLAG, NULL,
          "Stop and start the database, and put a new container in its place, and look whether data survives" },
        { "format", 0, OPTION_TEXT, "FORMAT", "table, json, or a template such as '{{.check}}'" },
        { "list", 0, OPTION_CHOICE, "LIST", "Which checklist", "basics|production|all" },
        { "yes", 'y', OPTION_FLAG, NULL, "Do not ask before the experiments" },
        { NULL },
};

const Command command_verify = {
        .name = "verify",
        .summary = "Go through the checklists of the guides with the databases that run",
        .arguments = "[SERVICE...]",
        .details =
                "Each check passes, fails, or is not applicable, with what was found and what to do. basics: it runs, "
                "is reached by name with its password, is migrated, keeps its data in a volume with a name, has room "
                "for connections and a backup. production: secrets, TLS, reach, order of start, durability. Ends with "
                "status 1 where a check fails.\n\nNothing is changed. With --experiments the database is stopped and "
                "started, and then recreated, to see that its data survives; it is away for some seconds. The volume "
                "itself is not put at risk.",
        .examples =
                "berth verify\nberth verify db --list production\nberth verify --format json\nberth verify --experiments",
        .group = GROUP_LOOK,
        .flags = COMMAND_NEEDS_ROOT | COMMAND_JSON,
        .options = options,
        .max_arguments = -1,
        .function = run_verify,
        .complete = COMPLETE_SERVICES,
};
