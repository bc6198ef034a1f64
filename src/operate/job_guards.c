#include "operate/job_guards.h"

#include "base/mem.h"
#include "base/strv.h"
#include "compose/node.h"
#include "image/reference.h"

static const char *const migrate_verbs[] = {
        "create", "goto", "up", "down", "drop", "force", "version", "status", "seed",
};

static bool image_is_migrate(const Service *service)
{
        _cleanup_reference_ Reference reference = { 0 };

        return service->image && reference_parse(service->image, &reference, NULL) == 0 &&
               streq(reference.repository, "migrate/migrate");
}

static bool is_awaited_by_somebody(const Project *project, const Service *service)
{
        for (size_t i = 0; i < project->n_services; i++)
                for (size_t k = 0; k < project->services[i].n_depends_on; k++) {
                        const Dependency *dependency = &project->services[i].depends_on[k];
                        if (dependency->condition == DEPENDENCY_COMPLETED && streq(dependency->service, service->name))
                                return true;
                }
        return false;
}

/* `restart: "no"` that somebody took the trouble to write, on a service that offers nothing. */
static bool looks_like_a_job(const Service *service)
{
        return node_find(service->node, "restart") && service->restart.kind == RESTART_NO && !service->healthcheck &&
               service->n_ports == 0 && !service->expose;
}

static bool is_job(const Project *project, const Service *service)
{
        return image_is_migrate(service) || is_awaited_by_somebody(project, service) || looks_like_a_job(service);
}

static void check_dependencies(const Project *project, const Service *service, GuardFindings *findings)
{
        for (size_t i = 0; i < service->n_depends_on; i++) {
                const Dependency *dependency = &service->depends_on[i];
                const Service *other = project_find_service(project, dependency->service);

                if (dependency->condition != DEPENDENCY_STARTED || !other || !is_job(project, other))
                        continue;
                vector_add(
                        findings,
                        (GuardFinding){ "job-not-awaited", false,
                                        xasprintf("it does not wait for the end of \"%s\", a job: it starts as soon as "
                                                  "that has begun, whether it succeeds or not",
                                                  other->name),
                                        xasprintf("Write depends_on: {%s: {condition: "
                                                  "service_completed_successfully}}.",
                                                  other->name) });
        }
}

/* Also inside the words of a script: "migrate -path … up". */
static bool words_have_verb(char *const *words)
{
        STRV_FOREACH(word, words) {
                _cleanup_strv_ char **parts = strv_split(*word, ' ');
                for (size_t i = 0; i < ARRAY_SIZE(migrate_verbs); i++)
                        if (strv_contains(parts, migrate_verbs[i]))
                                return true;
        }
        return false;
}

static bool is_empty(char *const *words)
{
        STRV_FOREACH(word, words)
                if (**word)
                        return false;
        return true;
}

/* An entrypoint of the user's own may have the verb inside; one that is given nothing probably hands nothing on. */
static bool lacks_verb(const Service *service)
{
        bool own_entrypoint = service->has_entrypoint && service->entrypoint;

        if (words_have_verb(service->command) || (own_entrypoint && words_have_verb(service->entrypoint)))
                return false;
        return !own_entrypoint || (service->has_command && is_empty(service->command));
}

static void check_verb(const Service *service, GuardFindings *findings)
{
        if (!image_is_migrate(service) || !lacks_verb(service))
                return;
        vector_add(findings,
                   (GuardFinding){ "job-without-verb", false,
                                   xstrdup("a migration job without a verb migrates nothing: the program shows "
                                           "its usage and ends with status 2"),
                                   xstrdup("Write command: [up].") });
}

void job_guards_check(const Project *project, const Service *service, char *const *silenced, GuardFindings *findings)
{
        if (!strv_contains(silenced, "job-not-awaited"))
                check_dependencies(project, service, findings);
        if (!strv_contains(silenced, "job-without-verb"))
                check_verb(service, findings);
}
