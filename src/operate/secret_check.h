/* What is wrong with a project's secrets, seen from its files: a list of findings with their fixes. Nothing is changed, and
 * no value is in any message. */
#ifndef BERTH_OPERATE_SECRET_CHECK_H
#define BERTH_OPERATE_SECRET_CHECK_H

#include "base/vector.h"
#include "compose/project.h"

typedef struct SecretFinding {
        const char *id; /* "secret-open", …: static; x-berth.silence takes it */
        bool is_error;
        char *subject; /* "secret app_password", "service api: POSTGRES_PASSWORD" */
        char *place;   /* the file, with a line where there is one; NULL */
        char *message, *fix;
} SecretFinding;

typedef VECTOR(SecretFinding) SecretFindings;
void secret_findings_done(SecretFindings *findings);
#define _cleanup_secret_findings_ _cleanup_(secret_findings_done)

/* Secrets whose content is known (files, variables, what commands printed) and the environments of all services. Programs
 * of external secrets are not run. Findings named by x-berth.silence are left out. */
void secret_check(const Project *project, SecretFindings *ret);

/* Whether the secret holds a password: by its name, or because a variable like POSTGRES_PASSWORD_FILE names it. */
bool secret_is_password(const Project *project, const FileSource *source);

#endif
