/* TLS of a database's container (docs/decisions/0301-tls-by-files-and-start-options.md). Where certificates lie:
 *
 *   <project's folder>/tls/ca.crt, ca.key              the project's authority
 *   <project's folder>/tls/<service>.crt, .key         a server's certificate
 *   <project's folder>/tls/clients/<name>.crt, .key    a client's
 *
 * or, where the service's own settings name certificate and key, the files that they mean on this machine. */
#ifndef BERTH_OPERATE_TLS_SERVE_H
#define BERTH_OPERATE_TLS_SERVE_H

#include "compose/xsecurity.h"
#include "engine/engine.h"
#include "state/layout.h"

/* Kept with a container: {"authority", "authority_key", "certificate", "key"}: paths on this machine, so that its keeper can
 * renew what it serves. */
#define ANNOTATION_TLS "dev.berth.tls"

typedef struct TlsFiles {
        char *authority, *authority_key, *certificate, *key; /* owned */
        bool own_settings;                                   /* the service's own settings name them */
} TlsFiles;
void tls_files_done(TlsFiles *files);
#define _cleanup_tls_files_ _cleanup_(tls_files_done)

/* Where the certificate of the service is or will be. spec tells what its own settings say; NULL: nothing. False where its own
 * settings switch TLS on with files that are none of this machine: nothing to do for us. */
bool tls_files_find(const Project *project, const Service *service, const XTls *settings, const ContainerSpec *spec,
                    TlsFiles *ret);
/* Names and addresses under which the service is reached: two new vectors. */
void tls_names_of(const Project *project, const Service *service, const XTls *settings, char ***ret_dns,
                  char ***ret_addresses);

/* Has the certificate made, or renewed where it is due or lacks a name (a job of the worker). params may hold more of what
 * the job takes. *ret (NULL: not wanted): {"changed", "reason", "not_after_s", "foreign"}, a new reference. */
int tls_ensure(const Layout *layout, const Project *project, const Service *service, const XTls *settings,
               const TlsFiles *files, json_t *params, json_t **ret, Error **err);

/* Gives the container the files, in memory and for the server's user only, and the options that switch TLS on; notes in an
 * annotation what it serves. ERROR_UNSUPPORTED where its command takes no options (a shell's). */
int tls_attach(ContainerSpec *spec, const TlsFiles *files, Error **err);

/* It reads who may connect from the file at host_path (see access.h). */
void tls_attach_rules(ContainerSpec *spec, const char *host_path);

/* A running container that serves TLS: renews its certificate where that is due at now_s. *ret_renewed: it has to be told. */
int tls_renew_container(const Layout *layout, const ContainerInfo *info, int64_t now_s, bool *ret_renewed, Error **err);

#endif
