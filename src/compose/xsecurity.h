/* The typed form of x-berth's tls, access, roles and secrets: who may reach a database, and how. For each key what a
 * service says replaces what the top level says. docs/x-berth.md tells their meaning. */
#ifndef BERTH_COMPOSE_XSECURITY_H
#define BERTH_COMPOSE_XSECURITY_H

#include "compose/project.h"

typedef enum XTlsMode {
        X_TLS_UNSAID, /* on where a certificate was made for the service */
        X_TLS_OFF,
        X_TLS_ON,
        X_TLS_REQUIRED, /* what comes by network and is not encrypted is refused */
} XTlsMode;

typedef struct XTls {
        XTlsMode mode;
        char *path;   /* folder of authority and certificates, as written; NULL: "tls" */
        char **names; /* further names of the certificate; NULL: none */
        int64_t days; /* a new certificate is good for; 365 */
} XTls;

typedef struct XAccess {                       /* one rule: all that are named may connect, encrypted */
        char **databases, **roles, **networks; /* NULL: all */
        char *method;                          /* "scram-sha-256" (default), "cert", "reject" */
} XAccess;

typedef enum XRoleKind { X_ROLE_OWNER, X_ROLE_APP, X_ROLE_READONLY, X_ROLE_MONITOR } XRoleKind;

typedef struct XRole {
        char *name;
        XRoleKind kind;
        char *secret;     /* key of the project's secrets: its password */
        char **databases; /* NULL: POSTGRES_DB */
} XRole;

typedef struct XSecurity {
        XTls tls;
        XAccess *access;
        size_t n_access;
        XRole *roles; /* in the order of the file */
        size_t n_roles;
} XSecurity;

/* service NULL: the top level alone. Strings live in the project's arena. */
void x_security_read(const Project *project, const Service *service, XSecurity *ret);

const char *x_role_kind_name(XRoleKind kind); /* "owner", … */
bool x_role_kind_parse(const char *name, XRoleKind *ret);

#define X_SECRET_TIMEOUT_NS (INT64_C(30) * 1000 * 1000 * 1000)

/* Part of filling a project: external secrets for which x-berth.secrets names a file or a command get it. */
void x_berth_fill_secrets(Project *project);
typedef struct Loader Loader;
/* Entries of x-berth.secrets that cannot be: no such external secret, neither a command nor a file, or both. */
void x_berth_check_secrets(Loader *loader, const Node *model);

#endif
