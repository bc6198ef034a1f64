/* Guards of one-shot jobs, which concern services and not a database: a service that does not wait for a job's end, and a
 * migration job without a verb. Pure functions over the model. */
#ifndef BERTH_OPERATE_JOB_GUARDS_H
#define BERTH_OPERATE_JOB_GUARDS_H

#include "compose/project.h"
#include "postgres/guard.h"

/* Appends what applies to the service and is not named in silenced (a strv; NULL: none). Always warnings:
 * "job-not-awaited", "job-without-verb". */
void job_guards_check(const Project *project, const Service *service, char *const *silenced, GuardFindings *findings);

#endif
